"""Makes preview.png: ten pictures by which an artist can judge an avatar beside its photo."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import numpy as np

from ..exchange.avatar_package import PHOTO_FILE, AvatarPackage
from ..exchange.errors import LikenessError
from .build_avatar import AvatarObjects
from .photo_camera import PhotoView
from .photo_state import AvatarState, apply_state
from .preview_scene import DEFAULT_RENDER_OPTIONS, RenderOptions, preview_scene, render_view
from .studio import make_studio, studio_view
from .visible_edges import evaluated_positions, visible_edges
from .whole_file import whole_file

if TYPE_CHECKING:
    from .preview_layout import Panel, Rectangle

_THREE_QUARTER_TURN = math.radians(38)
# room around the head in the photo's panels, as a share of the head's size in the photo
_PHOTO_MARGIN = 0.12


@dataclass(frozen=True)
class Expression:
    """One expression of the sheet: a label, and values of ARKit keys."""

    label: str
    values: dict[str, float]


EXPRESSIONS = (
    Expression("Neutral", {}),
    Expression(
        "Smile",
        {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    ),
    Expression("Jaw open", {"jawOpen": 1.0}),
    Expression("Raised brows", {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}),
    Expression("Closed eyes", {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
)


def make_preview_sheet(
    package: AvatarPackage, avatar: AvatarObjects, path: Path, options: RenderOptions = DEFAULT_RENDER_OPTIONS
) -> None:
    """Render the sheet: photo, mesh over it, the avatar from the photo's camera, both three-quarter views, expressions.

    Args:
        package: the avatar's package.
        avatar: as built from it, with its photo light; left in the photo's expression.
        path: of the PNG, which appears whole or not at all.
        options: how it is rendered.

    Raises:
        LikenessError: the file cannot be written, the avatar was made without a photo, or Pillow is missing (it is no
            part of Blender).
    """
    if avatar.photo_view is None:
        raise LikenessError(
            "preview_needs_photo", f"{package.description.name} was made without a photo.", "Leave the preview out."
        )
    try:
        from .preview_layout import lay_out
    except ImportError as error:
        raise LikenessError(
            "preview_needs_pillow", "The preview sheet needs Pillow.", "Run it with the project's own Python."
        ) from error
    with tempfile.TemporaryDirectory(prefix="likeness-preview-") as folder:
        panels = _photo_panels(package, avatar, Path(folder), options)
        panels += _studio_panels(package, avatar, Path(folder), options)
    quality = package.description.quality
    note = f"fit {quality.words}, landmark error {quality.landmark_error_percent:.1f}% of the eye distance"
    sheet = lay_out(panels, package.description.name, note)
    with whole_file(path) as partial:
        sheet.save(partial)


def _photo_panels(package: AvatarPackage, avatar: AvatarObjects, folder: Path, options: RenderOptions) -> list[Panel]:
    """Photo, mesh over the photo, the avatar in the photo's light and view."""
    from PIL import Image

    from .preview_layout import PANEL_SIZE_PX, overlay_panel, photo_panel, render_panel

    apply_state(avatar.photo_state, avatar.armature, avatar.expression_keys)
    positions = evaluated_positions(avatar.mesh)
    crop = _head_rectangle(avatar.photo_view.project(positions), package.description.camera.image_size_px)
    view = avatar.photo_view.cropped((crop.left, crop.top), (crop.width, crop.height))
    with Image.open(package.folder / PHOTO_FILE) as photo:
        panel = photo_panel(photo.convert("RGB"), crop, "Photo")
    edges = visible_edges(avatar.mesh, positions, view.towards_camera(positions))
    lines = view.project(positions)[edges] * (PANEL_SIZE_PX[0] / crop.width)
    rendered = folder / "photo_view.png"
    with preview_scene([avatar.mesh, avatar.armature, *avatar.suns], options) as scene:
        camera = bpy.data.objects.new("Preview camera", bpy.data.cameras.new("Preview camera"))
        scene.collection.objects.link(camera)
        scene.camera = camera
        scene.world = bpy.context.scene.world
        render_view(scene, view, PANEL_SIZE_PX, rendered)
    return [panel, overlay_panel(panel, lines, "Mesh over the photo"), render_panel(rendered, "Avatar, photo's camera")]


def _studio_panels(package: AvatarPackage, avatar: AvatarObjects, folder: Path, options: RenderOptions) -> list[Panel]:
    """Three-quarter views in the photo's expression, then the expressions from the front."""
    from .preview_layout import PANEL_SIZE_PX, render_panel

    def view(turn: float) -> PhotoView:
        return studio_view(package.head.vertices, package.head.joints, turn, PANEL_SIZE_PX)

    # a head that turns to its right shows its left side
    shots = [
        ("Left three-quarter", avatar.photo_state, view(-_THREE_QUARTER_TURN)),
        ("Right three-quarter", avatar.photo_state, view(_THREE_QUARTER_TURN)),
        *((expression.label, AvatarState(expression.values, {}), view(0.0)) for expression in EXPRESSIONS),
    ]
    panels = []
    with preview_scene([avatar.mesh, avatar.armature], options) as scene:
        make_studio(scene)
        for number, (label, state, shot_view) in enumerate(shots):
            apply_state(state, avatar.armature, avatar.expression_keys)
            rendered = folder / f"studio_{number}.png"
            render_view(scene, shot_view, PANEL_SIZE_PX, rendered)
            panels.append(render_panel(rendered, label))
    apply_state(avatar.photo_state, avatar.armature, avatar.expression_keys)
    return panels


def _head_rectangle(pixels: np.ndarray, photo_size_px: tuple[int, int]) -> Rectangle:
    """The rectangle of the photo around a head whose vertices lie at `pixels` (V,2), of the panel's aspect."""
    from .preview_layout import PANEL_SIZE_PX, Rectangle

    low, high = pixels.min(0), pixels.max(0)
    needed = (high - low) * (1 + 2 * _PHOTO_MARGIN)
    aspect = PANEL_SIZE_PX[0] / PANEL_SIZE_PX[1]
    width = float(max(needed[0], needed[1] * aspect))
    size = np.array([width, width / aspect])
    corner = (low + high) / 2 - size / 2
    # stay on the photo where it is large enough
    room = np.array(photo_size_px) - size
    corner = np.where(room > 0, np.clip(corner, 0, np.maximum(room, 0)), corner)
    return Rectangle(float(corner[0]), float(corner[1]), *size.tolist())

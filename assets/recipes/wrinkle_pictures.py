"""Draws the pictures of docs/wrinkles.md, expressions with wrinkles off and on and one that comes and goes, and that of
docs/base_model.md, from photo to detail.

    python -m assets.recipes.wrinkle_pictures PACKAGE --older PACKAGE [--out FOLDER] [--threads N] [--only NAME]

The packages are one person's, made with a lower and a higher `--wrinkle-age`. Cycles renders on the processor.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from addon.exchange.avatar_package import THUMBNAIL_FILE, AvatarPackage, read_package
from addon.expressions.expression import NEUTRAL_EXPRESSION, Expression
from addon.expressions.presets import of_action_units
from addon.scene.build_avatar import AvatarObjects, AvatarOptions, build_avatar
from addon.scene.photo_camera import PhotoView
from addon.scene.photo_state import AvatarState, apply_state
from addon.scene.preview_scene import RenderOptions, preview_scene, render_view
from addon.scene.scene_settings import empty_scene
from addon.scene.studio import SoftLight, make_studio, studio_view
from addon.wrinkles.add_wrinkles import wrinkle_modifier
from addon.wrinkles.modifier_inputs import set_input
from addon.wrinkles.wrinkle_group import DYNAMIC_WRINKLES, STRENGTH

DOCS = Path(__file__).resolve().parents[2] / "docs"
STRIP_FILE, ANIMATION_FILE, DETAIL_FILE = "wrinkles_strip.webp", "wrinkles_smile.webp", "base_model_detail.webp"

# A small key from the side and above, so that furrows cast shade; the fill only opens the other half of the face.
RAKING_LIGHT = (
    SoftLight((-0.75, 1.2, 0.45), 27.0, 0.2, (1.0, 0.96, 0.91)),
    SoftLight((1.2, 0.1, 1.0), 3.0, 1.0, (0.92, 0.96, 1.0)),
    SoftLight((0.7, 0.8, -1.1), 13.0, 0.6, (1.0, 1.0, 1.0)),
)
# of the head to its left, which shows the outer corner of its right eye, on the side of the key
_TURN = math.radians(14)
EXPRESSIONS: Mapping[str, Expression] = {
    "Neutral": NEUTRAL_EXPRESSION,
    "Smile": of_action_units({6: 1.0, 12: 1.0}),
    "Brows up": of_action_units({1: 1.0, 2: 1.0}),
    "Frown": of_action_units({4: 1.0, 7: 0.4}),
}
MOVED = of_action_units({1: 1.0, 2: 1.0, 6: 1.0, 12: 1.0})
# frames of the animation: rising, held, falling, at rest
_RISE, _HOLD, _FALL, _REST = 8, 4, 8, 6
_FRAME_MS = 70
_PANEL_PX, _ANIMATION_PX = (330, 390), (320, 380)
# enough for the denoiser to keep what the bump shows
_STRIP_SAMPLES, _ANIMATION_SAMPLES = 14, 6
_STRIP_QUALITY, _ANIMATION_QUALITY = 88, 88
# share of the face's height and width that is shown around it
_ROOM = 0.03
_PAPER, _INK, _BACKDROP = (244, 244, 242), (38, 40, 44), (120, 124, 130)
_MARGIN_PX, _LABEL_PX, _FONT_PX = 6, 30, 18


@dataclass(frozen=True)
class Row:
    """One row of the strip: its label, whose avatar it shows, and how much of the dynamic wrinkles."""

    label: str
    package: AvatarPackage
    dynamic_wrinkles: float


def draw_strip(rows: Sequence[Row], path: Path, threads: int) -> None:
    """Render every expression in every row and lay the pictures out.

    Args:
        rows: from top to bottom.
        path: WebP to write.
        threads: of the processor.
    """
    pictures = []
    for row in rows:
        with _lit_avatar(row.package, RenderOptions(_STRIP_SAMPLES, threads)) as studio:
            studio.set_wrinkles(row.dynamic_wrinkles)
            pictures.append([studio.shoot(shown, _PANEL_PX) for shown in EXPRESSIONS.values()])
    _lay_out(pictures, [row.label for row in rows], list(EXPRESSIONS)).save(
        path, "WEBP", quality=_STRIP_QUALITY, method=6
    )


def draw_animation(package: AvatarPackage, path: Path, threads: int) -> None:
    """Render one expression that comes and goes, as a WebP that repeats.

    Args:
        package: the avatar's.
        path: WebP to write.
        threads: of the processor.
    """
    with _lit_avatar(package, RenderOptions(_ANIMATION_SAMPLES, threads)) as studio:
        # a fall shows the rise's pictures in reverse: no wrinkle depends on the time
        seen = {value: studio.shoot(MOVED.scaled(value), _ANIMATION_PX) for value in sorted(set(strengths()))}
    frames = [seen[value] for value in strengths()]
    # every frame whole: differences to the one before leave blocks on skin
    frames[0].save(
        path, "WEBP", save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0,
        quality=_ANIMATION_QUALITY, method=6, kmax=1,
    )  # fmt: skip


def draw_detail(package: AvatarPackage, path: Path, threads: int) -> None:
    """The photo, the coarse head, its detail, and the detail driven to a smile and to raised brows, side by side.

    Args:
        package: the avatar's, made with the learned networks.
        path: WebP to write.
        threads: of the processor.
    """
    with Image.open(package.folder / THUMBNAIL_FILE) as thumbnail:
        photo = ImageOps.fit(thumbnail.convert("RGB"), _PANEL_PX)
    with _lit_avatar(package, RenderOptions(_STRIP_SAMPLES, threads)) as studio:
        studio.set_strength(0.0)
        coarse = studio.shoot(NEUTRAL_EXPRESSION, _PANEL_PX)
        studio.set_strength(1.0)
        shown = [studio.shoot(EXPRESSIONS[name], _PANEL_PX) for name in ("Neutral", "Smile", "Brows up")]
    names = ["Photo", "Coarse", "Detail", "Smile", "Brows up"]
    sheet = _lay_out([[photo, coarse, *shown]], [package.description.name], names)
    sheet.save(path, "WEBP", quality=_STRIP_QUALITY, method=6)


def strengths() -> list[float]:
    """The expression's strength at each frame of the animation: 0 to 1 and back, starting and ending softly."""
    rise = [_smooth(step / _RISE) for step in range(1, _RISE + 1)]
    fall = [_smooth(1 - step / _FALL) for step in range(1, _FALL + 1)]
    return [0.0] * (_REST // 2) + rise + [1.0] * _HOLD + fall + [0.0] * (_REST - _REST // 2)


def _smooth(share: float) -> float:
    return round(share * share * (3 - 2 * share), 6)


@dataclass(frozen=True)
class _Studio:
    """An avatar in the studio."""

    package: AvatarPackage
    avatar: AvatarObjects
    scene: bpy.types.Scene
    folder: Path

    def set_wrinkles(self, dynamic: float) -> None:
        """0: what the expression brings is left out; the skin at rest stays."""
        set_input(wrinkle_modifier(self.avatar.mesh), DYNAMIC_WRINKLES, dynamic)

    def set_strength(self, strength: float) -> None:
        """0: neither the skin's detail at rest nor wrinkles."""
        set_input(wrinkle_modifier(self.avatar.mesh), STRENGTH, strength)

    def shoot(self, expression: Expression, size_px: tuple[int, int]) -> Image.Image:
        """The face with an expression."""
        apply_state(AvatarState(dict(expression.shapes), {}), self.avatar.armature, self.avatar.expression_keys)
        rendered = self.folder / "face.png"
        render_view(self.scene, _face_view(self.package, size_px), size_px, rendered)
        picture = Image.new("RGB", size_px, _BACKDROP)
        with Image.open(rendered) as face:
            picture.paste(face.convert("RGB"), (0, 0), face.convert("RGBA").getchannel("A"))
        return picture


@contextmanager
def _lit_avatar(package: AvatarPackage, options: RenderOptions) -> Iterator[_Studio]:
    """The avatar alone in an empty file, between raking lights."""
    empty_scene()
    avatar = build_avatar(package, AvatarOptions(photo_camera=False, photo_light=False, show_photo_state=False))
    with (
        preview_scene([avatar.mesh, avatar.armature], options) as scene,
        tempfile.TemporaryDirectory(prefix="likeness-wrinkles-") as folder,
    ):
        make_studio(scene, RAKING_LIGHT)
        # the denoiser's fast setting takes fine lines for noise
        scene.cycles.denoising_quality = "HIGH"
        yield _Studio(package, avatar, scene, Path(folder))


def _face_view(package: AvatarPackage, size_px: tuple[int, int]) -> PhotoView:
    """The face from hairline to chin, filling the picture."""
    head = package.head
    whole = studio_view(head.vertices, head.joints, _TURN, size_px)
    face = whole.project(head.vertices[head.masks["face"] > 0.5])
    low, high = face.min(0), face.max(0)
    aspect = size_px[0] / size_px[1]
    needed = (high - low) * (1 + 2 * _ROOM)
    width = max(needed[0], needed[1] * aspect)
    size = np.array([width, width / aspect])
    corner = (low + high) / 2 - size / 2
    return whole.cropped(tuple(corner.tolist()), tuple(size.tolist()))


def _lay_out(pictures: Sequence[Sequence[Image.Image]], rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Pictures in a grid, the columns' names above, the rows' at the left and turned upright."""
    width, height = _PANEL_PX
    font = ImageFont.load_default(_FONT_PX)

    def corner(row: int, column: int) -> tuple[int, int]:
        return _LABEL_PX + column * (width + _MARGIN_PX), _LABEL_PX + row * (height + _MARGIN_PX)

    sheet = Image.new("RGB", corner(len(rows), len(columns)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(columns):
        draw.text((corner(0, column)[0] + width / 2, _LABEL_PX / 2), name, _INK, font, anchor="mm")
    for row, name in enumerate(rows):
        label = Image.new("RGB", (height, _LABEL_PX), _PAPER)
        ImageDraw.Draw(label).text((height / 2, _LABEL_PX / 2), name, _INK, font, anchor="mm")
        sheet.paste(label.transpose(Image.Transpose.ROTATE_90), (0, corner(row, 0)[1]))
        for column, picture in enumerate(pictures[row]):
            sheet.paste(picture, corner(row, column))
    return sheet


def main(argv: list[str]) -> int:
    """Draw the pictures; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m assets.recipes.wrinkle_pictures", description=__doc__)
    parser.add_argument("package", type=Path, help="the avatar package, as build.py avatar makes it")
    parser.add_argument("--older", type=Path, required=True, help="the same person with a higher --wrinkle-age")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures")
    parser.add_argument(
        "--only", action="append", choices=(STRIP_FILE, ANIMATION_FILE, DETAIL_FILE), help="one picture (repeatable)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    package, older = read_package(arguments.package), read_package(arguments.older)
    rows = [
        Row("Wrinkles off", package, 0.0),
        Row(f"On, age {package.description.wrinkles.age:g}", package, 1.0),
        Row(f"On, age {older.description.wrinkles.age:g}", older, 1.0),
    ]
    drawings = {
        STRIP_FILE: lambda path: draw_strip(rows, path, arguments.threads),
        ANIMATION_FILE: lambda path: draw_animation(older, path, arguments.threads),
        DETAIL_FILE: lambda path: draw_detail(older, path, arguments.threads),
    }
    for name in arguments.only or drawings:
        start = time.perf_counter()
        drawings[name](arguments.out / name)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

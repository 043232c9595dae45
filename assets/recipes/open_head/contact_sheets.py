"""Contact sheets of the open head for the docs: random identities, and every expression and ARKit shape at 1."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from addon.exchange.arkit import ARKIT_NAMES
from assets.recipes.open_head.eyeball import SEGMENTS
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.render_head import SUPERSAMPLING, fragments_of

_PART_COLOURS = {  # linear RGB
    "skin": (0.62, 0.42, 0.33),
    "left_eye": (0.85, 0.85, 0.85),
    "right_eye": (0.85, 0.85, 0.85),
    "upper_teeth": (0.80, 0.78, 0.66),
    "lower_teeth": (0.80, 0.78, 0.66),
    "tongue": (0.55, 0.13, 0.13),
}
_MOUTH_COLOUR, _PUPIL_COLOUR, _IRIS_COLOUR = (0.25, 0.06, 0.06), (0.01, 0.01, 0.01), (0.10, 0.05, 0.02)
_BACKGROUND = 0.10
_LIGHT = torch.nn.functional.normalize(torch.tensor([-0.35, 0.45, 0.85]), dim=0)
_SEED = 12
_JPEG_QUALITY = 82


def draw_identities(head: HeadModel, path: Path, count: int = 24) -> None:
    """Draw the mean head and random identities, each from the front and from its left.

    Args:
        head: the open head.
        path: JPEG to write.
        count: identities besides the mean.
    """
    generator = torch.Generator().manual_seed(_SEED)
    tiles = []
    for index in range(count + 1):
        shape = torch.randn(head.num_shape, generator=generator) if index else torch.zeros(head.num_shape)
        posed = _posed(head, shape, torch.zeros(head.num_expression), torch.zeros(15))
        name = f"identity {index}" if index else "mean"
        tiles += [_tile(head, posed, name, (170, 210), 860.0), _tile(head, posed, "", (170, 210), 860.0, yaw=-0.7)]
    _write(tiles, 10, path)


def draw_expressions(head: HeadModel, path: Path) -> None:
    """Draw every expression and every ARKit shape at 1 (mouthClose with jawOpen, as it is meant)."""
    shape, still = torch.zeros(head.num_shape), torch.zeros(15)
    tiles = []
    for index, name in enumerate(head.expression_names):
        expression = torch.eye(head.num_expression)[index]
        tiles.append(_tile(head, _posed(head, shape, expression, still), name, (150, 165), 1000.0, yaw=-0.25))
    jaw_open = ARKIT_NAMES.index("jawOpen")
    for index, name in enumerate(ARKIT_NAMES):
        expression, pose = head.arkit_expression[index], head.arkit_pose[index]
        if name == "mouthClose":
            expression, pose = expression + head.arkit_expression[jaw_open], pose + head.arkit_pose[jaw_open]
        tiles.append(_tile(head, _posed(head, shape, expression, pose), name, (150, 165), 1000.0, yaw=-0.25))
    _write(tiles, 11, path)


def _posed(head: HeadModel, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    return head.vertices(shape[None], expression[None], pose[None])[0]


def _tile(
    head: HeadModel, posed: torch.Tensor, name: str, size: tuple[int, int], px_per_m: float, yaw: float = 0.0
) -> np.ndarray:
    """Draw one head with a plain light; (H, W, 3) uint8 BGR."""
    cosine, sine = float(np.cos(yaw)), float(np.sin(yaw))
    turned = posed @ torch.tensor([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]]).T
    centre = (size[0] / 2, size[1] / 2 - 0.035 * px_per_m)
    camera = Camera(SCALED_ORTHOGRAPHIC, size, scale_px_per_m=px_per_m, centre_px=centre)
    fragments = fragments_of(head, turned, camera, SUPERSAMPLING)
    values = torch.cat([vertex_normals(turned[None], head.triangles)[0], _vertex_colours(head)], dim=1)
    seen = fragments.interpolate(values[head.triangles])[0]
    shade = 0.25 + 0.85 * (torch.nn.functional.normalize(seen[..., :3], dim=-1) @ _LIGHT).clamp(min=0)
    colour = torch.where(fragments.triangle[0, ..., None] >= 0, seen[..., 3:] * shade[..., None], _BACKGROUND)
    small = cv2.resize(colour.numpy().astype(np.float32), size, interpolation=cv2.INTER_AREA)
    image = (255 * np.clip(small, 0, 1) ** (1 / 2.2)).astype(np.uint8)[..., ::-1].copy()
    cv2.putText(image, name, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (190, 230, 255), 1, cv2.LINE_AA)
    return image


def _vertex_colours(head: HeadModel) -> torch.Tensor:
    """Give plain colours (V, 3) by part, with dark irises and a dark mouth."""
    colours = torch.zeros(head.num_vertices, 3)
    for index, part in enumerate(head.part_names):
        rows = head.polygons[head.polygon_part == index].unique()
        rows = rows[rows >= 0]
        colours[rows] = torch.tensor(_PART_COLOURS[part])
        if part.endswith("_eye"):  # pole, then rings at the pupil's edge, in the iris, at the limbus
            colours[rows[: 1 + SEGMENTS]] = torch.tensor(_PUPIL_COLOUR)
            colours[rows[1 + SEGMENTS : 1 + 3 * SEGMENTS]] = torch.tensor(_IRIS_COLOUR)
    colours[head.masks["inner_mouth"] > 0.5] = torch.tensor(_MOUTH_COLOUR)
    return colours


def _write(tiles: list[np.ndarray], columns: int, path: Path) -> None:
    missing = -len(tiles) % columns
    tiles = tiles + [np.zeros_like(tiles[0])] * missing
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    written, data = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert written, "the JPEG encoder takes every 8-bit image"
    path.write_bytes(data.tobytes())

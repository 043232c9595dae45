"""Sample sheets of the coarse stage: crops, the heads read off them, and their true neighbours."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.learned.head_code import HeadCode
from ml_backend.rendering.rasterizer import rasterize
from ml_backend.training.coarse_batch import CoarseBatch

TILE_PX = 160
MOST_COLUMNS = 8
# light from the front and above, for grey heads
LIGHT_DIRECTION = (0.25, 0.45, 0.86)
OVERLAY, HEAD_BRIGHTNESS = 0.75, 230


def coarse_sheet(batch: CoarseBatch, code: HeadCode, head: HeadModel) -> np.ndarray:
    """Draw the first crops of a batch, the heads of the codes over them, and the true heads where there are any.

    Args:
        code: of the batch; head: on any device.

    Returns:
        (H,W,3) uint8 sRGB, a column for each crop.
    """
    first = slice(0, MOST_COLUMNS)
    image = batch.image[first].detach().cpu()
    image = torch.nn.functional.interpolate(image, (TILE_PX, TILE_PX), mode="bilinear", antialias=True)
    photo = (255 * image.permute(0, 2, 3, 1)).round().to(torch.uint8).numpy()
    rows = [photo, _with_heads(photo, code.select(first).to("cpu"), head)]
    if batch.truth is not None:
        rows.append(_with_heads(photo, batch.truth.select(first).to("cpu"), head))
    landmarks = ((batch.landmarks_68[first].cpu().numpy() + 1) * TILE_PX / 2 - 0.5) * 16
    for tile, points in zip(rows[1], landmarks, strict=True):
        for x, y in points.round().astype(int):
            cv2.circle(tile, (int(x), int(y)), 18, (60, 255, 60), -1, cv2.LINE_AA, 4)
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def _with_heads(photo: np.ndarray, code: HeadCode, head: HeadModel) -> np.ndarray:
    """(N,H,W,3) uint8: grey heads over the crops."""
    vertices = head.vertices(code.shape, code.expression, code.pose)
    pixels = torch.cat([(code.project(vertices) + 1) * (TILE_PX / 2), -vertices[..., 2:]], -1)
    fragments = rasterize(pixels, head.triangles, TILE_PX, TILE_PX)
    shade = vertex_normals(vertices, head.triangles) @ torch.tensor(LIGHT_DIRECTION)
    grey = fragments.interpolate(shade[:, head.triangles][..., None]).clamp(min=0.1)
    covered = (fragments.triangle >= 0)[..., None].numpy() * OVERLAY
    heads = photo * (1 - covered) + HEAD_BRIGHTNESS * grey.numpy() * covered
    return np.ascontiguousarray(heads.clip(0, 255).astype(np.uint8))

"""Where in the photo each texel lies, and how well the photo sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering.rasterizer import rasterize
from ml_backend.texture.landmark_pull import landmark_pull
from ml_backend.texture.texel_map import TexelMap

# Longest side of the depth image that decides visibility: about 1 mm a pixel on a head.
DEPTH_IMAGE_PX = 384
# A texel is hidden when another surface lies this much nearer; less would speckle on grazing skin.
DEPTH_MARGIN_M = 0.004
# A step in depth beyond this between neighbouring pixels is an outline (nose over cheek, chin over neck).
OUTLINE_STEP_M = 0.010
# Both sides of such a step are better known than the head's border against the background.
INNER_STEP_REACH = 2.5
BACKGROUND_DEPTH_M = 1e3
# Confidence rises from 0 to 1 between these distances from an outline: the fit is some millimetres off there.
OUTLINE_RAMP_M = (0.0015, 0.006)
# Cosine between normal and view where confidence starts and is full; below, a texel is stretched more than 6 times.
FACING_RAMP = (0.20, 0.60)


@dataclass(frozen=True)
class PosedHead:
    """The fitted head as the camera sees it.

    Attributes:
        vertices: (V, 3) metres, model space, posed; normals: (V, 3).
        photo_px: (V, 2) place in the photo, drawn towards the tracker's landmarks; depth_m: (V,).
        facing: (V,) cosine between the normal and the direction to the camera.
        px_per_m: size of a metre in the photo.
    """

    vertices: np.ndarray
    normals: np.ndarray
    photo_px: np.ndarray
    depth_m: np.ndarray
    facing: np.ndarray
    px_per_m: float


@dataclass(frozen=True)
class PhotoProjection:
    """The head's texels in the photo.

    Attributes:
        photo_px: (N, N, 2) place in the photo (first pixel's centre at 0.5, 0.5).
        visible: (N, N) 0-1: in the picture, hidden by no other surface, away from outlines.
        facing: (N, N) cosine between the normal and the direction to the camera.
        clearance_m: (N, N) metres, as the photo sees it, to the nearest outline.
    """

    photo_px: np.ndarray
    visible: np.ndarray
    facing: np.ndarray
    clearance_m: np.ndarray

    @cached_property
    def confidence(self) -> np.ndarray:
        """(N, N) 0-1: `visible`, lowered where the surface turns away."""
        return self.visible * smooth_step(self.facing, *FACING_RAMP)


def smooth_step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, and a smooth rise in between."""
    t = np.clip((value - low) * (1.0 / (high - low)), 0.0, 1.0)
    rise = 3.0 - 2.0 * t
    rise *= t
    rise *= t
    return rise


def pose_head(head: HeadModel, fit: CoarseFit, landmarks_px: np.ndarray) -> PosedHead:
    """Pose the fitted head and place its vertices in the photo.

    Args:
        head: the head model the fit was made with.
        fit: shape, expression, pose and camera.
        landmarks_px: (478, 2) tracker landmarks in the photo.

    Returns:
        The head; small errors of the fit at the landmarks are drawn out of `photo_px`.
    """
    with torch.no_grad():
        vertices = head.vertices(fit.shape[None], fit.expression[None], fit.pose[None])
        normals = vertex_normals(vertices, head.triangles)[0]
        projected = fit.camera.project(vertices[0])
        facing = (normals * fit.camera.view_directions(vertices[0])).sum(-1)
        across = vertices[0] + vertices.new_tensor([1e-3, 0.0, 0.0])
        step_px = (fit.camera.project(across) - projected)[:, :2].norm(dim=-1).median()
        drawn = projected[:, :2] + landmark_pull(head, vertices[0], facing, projected[:, :2], landmarks_px)
    return PosedHead(
        vertices[0].numpy(), normals.numpy(), drawn.numpy(), projected[:, 2].numpy(), facing.numpy(),
        float(step_px) * 1e3,
    )  # fmt: skip


def project_photo(
    posed: PosedHead, triangles: np.ndarray, texels: TexelMap, width: int, height: int
) -> PhotoProjection:
    """Find each texel in the photo and decide whether it is seen there.

    Args:
        posed: the head in the photo.
        triangles: (F, 3) of the head.
        texels: the UV grid.
        width, height: of the photo.

    Returns:
        The projection on the grid of `texels`.
    """
    carried = texels.interpolate(np.column_stack([posed.photo_px, posed.depth_m, posed.facing]))
    photo_px, depth, facing = carried[..., :2], carried[..., 2], carried[..., 3]
    origin, scale, depth_image = _depth_image(posed, triangles)
    clearance_m = _outline_distance(depth_image) / (scale * posed.px_per_m)
    where = ((photo_px - origin) * scale - 0.5).astype(np.float32)
    nearest = cv2.remap(depth_image, where, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    clear = cv2.remap(clearance_m, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    margin = DEPTH_MARGIN_M / np.clip(facing, 0.3, 1.0)
    visible = ((depth < nearest + margin) & (facing > 0)).astype(np.float32)
    visible *= smooth_step(clear, *OUTLINE_RAMP_M)
    inset = np.minimum.reduce([photo_px[..., 0], photo_px[..., 1], width - photo_px[..., 0], height - photo_px[..., 1]])
    visible *= smooth_step(inset, 1.0, 4.0)
    visible[texels.part < 0] = 0.0
    return PhotoProjection(photo_px, visible, facing, clear)


def _depth_image(posed: PosedHead, triangles: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Origin (2,) px and scale of a small window around the head, and its depths (h, w)."""
    low, high = posed.photo_px.min(0) - 4.0, posed.photo_px.max(0) + 4.0
    scale = DEPTH_IMAGE_PX / float((high - low).max())
    width, height = (int(np.ceil(side)) for side in (high - low) * scale)
    points = np.column_stack([(posed.photo_px - low) * scale, posed.depth_m]).astype(np.float32)
    fragments = rasterize(torch.from_numpy(points)[None], torch.from_numpy(triangles), height, width)
    depth = fragments.interpolate(torch.from_numpy(points[:, 2:][triangles]))[0, ..., 0].numpy()
    return (
        low,
        scale,
        np.where(fragments.triangle[0].numpy() >= 0, depth, np.float32(BACKGROUND_DEPTH_M)).astype(np.float32),
    )


def _outline_distance(depth_image: np.ndarray) -> np.ndarray:
    """(h, w) float32 pixels to the outline of the head; steps within it (nose over cheek) count as INNER_STEP_REACH
    times as far."""
    kernel = np.ones((3, 3), np.uint8)
    covered = (depth_image < BACKGROUND_DEPTH_M).astype(np.uint8)
    step = cv2.dilate(depth_image, kernel) - cv2.erode(depth_image, kernel)
    outer = cv2.distanceTransform(cv2.erode(covered, kernel), cv2.DIST_L2, 5)
    inner = cv2.distanceTransform((step < OUTLINE_STEP_M).astype(np.uint8), cv2.DIST_L2, 5)
    return np.minimum(outer, INNER_STEP_REACH * inner)

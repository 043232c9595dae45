"""What the detail networks see: the photo unwrapped into a square window of the texture layout around the face.

A face fills about two thirds of its layout, so a window of 256 texels resolves 0.8 mm where the whole layout would
resolve 1.3 mm. The window is found from the head's own mask and texture coordinates and works for any head. Row 0 of
all images lies at the highest v, as in textures.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from addon.exchange.errors import HeadFileError
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering.rasterizer import rasterize
from ml_backend.texture.photo_projection import PosedHead, project_photo, smooth_step
from ml_backend.texture.texel_map import TexelMap

WINDOW_SIZE_PX = 256
# The window's side as a share of the shorter side of the face's box in the layout: its top and bottom just fit, and of
# the sides the strip before the ears is left out, where few wrinkles run and photos see little.
WINDOW_SHARE = 1.02
# Share of the window's side over which its border fades when its values are put into a whole map.
BORDER_SHARE = 0.06
# Mask values above this belong to the face.
MASK_HALF = 0.5
# Channels of a network's input: sRGB, fine contrast, confidence.
NUM_TEXTURE_CHANNELS = 5
# Side of the box whose mean is taken from the fine contrast, as a share of the window's side: 13 mm on a head, wider
# than any single wrinkle and narrower than the face's own shading.
CONTRAST_BOX_SHARE = 1.0 / 16.0
# Natural logarithm of brightness that counts as 1 in the fine contrast: a wrinkle of 0.2 mm under a lamp from the side.
CONTRAST_UNIT = 0.1
CONTRAST_LIMIT = 3.0


@dataclass(frozen=True)
class FaceWindow:
    """A square of a head's texture layout around its face.

    Attributes:
        low_uv: (2,) u and v of its left lower corner; side_uv: its side, in u and v.
        texels: its texels on the head's surface (index, triangle, barycentrics), on a grid of N texels a side.
        skin: (N, N) float32 0-1, 1 on the skin of the face, fading at its border and at the window's.
        mirror: (N, N, 2) float32, where the same place of the other half lies, as `grid_sample` counts (-1 to 1).
    """

    low_uv: tuple[float, float]
    side_uv: float
    texels: TexelMap
    skin: np.ndarray
    mirror: np.ndarray

    @property
    def size_px(self) -> int:
        """N."""
        return self.texels.size_px


@dataclass(frozen=True)
class UnwrappedFace:
    """A photo unwrapped into a window.

    Attributes:
        texture: (N, N, 3) uint8 sRGB, 0 where nothing was seen; confidence: (N, N) uint8, 255 = well seen.
    """

    texture: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class PlacedDetail:
    """A window's values in a whole map.

    Attributes:
        values: (M, M) float32, 0 outside of the window; weight: (M, M) float32 0-1, soft towards the window's border.
    """

    values: np.ndarray
    weight: np.ndarray


_windows: dict[tuple[int, int], FaceWindow] = {}


def face_window(head: HeadModel, size_px: int = WINDOW_SIZE_PX) -> FaceWindow:
    """Find the window of a head; the result is kept as long as the head lives.

    Args:
        head: the head model, with a face mask.
        size_px: N, texels a side.

    Raises:
        HeadFileError: the head has no face mask, or it is empty.
    """
    key = (id(head), size_px)
    if key not in _windows:
        _windows[key] = _find_window(head, size_px)
        weakref.finalize(head, _windows.pop, key, None)
    return _windows[key]


def _find_window(head: HeadModel, size_px: int) -> FaceWindow:
    low, side = _face_square(head)
    uv = head.uv.cpu().numpy().astype(np.float64)
    corners = np.stack([uv[:, 0] - low[0], low[1] + side - uv[:, 1]], 1)[head.uv_triangles.cpu().numpy()]
    texels, mirror = _window_texels(head, (corners * (size_px / side)).astype(np.float32), size_px)
    return FaceWindow((float(low[0]), float(low[1])), float(side), texels, _skin_weight(head, texels), mirror)


def _face_square(head: HeadModel) -> tuple[np.ndarray, float]:
    """Left lower corner (2,) and side, in u and v, of the square around the face."""
    mask = head.masks.get("face")
    skin = head.triangle_part == head.part_names.index("skin")
    chosen = skin & (mask[head.triangles] > MASK_HALF).all(1) if mask is not None else torch.zeros_like(skin)
    if not bool(chosen.any()):
        raise HeadFileError("head_without_face", f"The head {head.name} marks no face.", "Choose a head with masks.")
    places = head.uv[head.uv_triangles[chosen].reshape(-1)].cpu().numpy().astype(np.float64)
    low, high = places.min(0), places.max(0)
    side = WINDOW_SHARE * float((high - low).min())
    return 0.5 * (low + high) - 0.5 * side, side


def _window_texels(head: HeadModel, corners_px: np.ndarray, size_px: int) -> tuple[TexelMap, np.ndarray]:
    """The texels of the window, and the place of each one's mirror image as `grid_sample` counts."""
    points = np.concatenate([corners_px.reshape(-1, 2), np.ones((corners_px.size // 2, 1), np.float32)], 1)
    own_corners = torch.arange(len(points)).reshape(-1, 3)
    fragments = rasterize(torch.from_numpy(points)[None], own_corners, size_px, size_px)
    covering = fragments.triangle[0].numpy()
    index = np.flatnonzero(covering >= 0)
    triangle = covering.reshape(-1)[index]
    barycentric = fragments.barycentric[0].reshape(-1, 3).numpy()[index]
    triangles = head.triangles.cpu().numpy()
    part = np.full(size_px**2, -1, np.int16)
    part[index] = head.triangle_part.cpu().numpy()[triangle]
    # a vertex of the face has one place in the layout, so its mirror image has one too
    place = np.zeros((head.num_vertices, 2), np.float32)
    place[triangles.reshape(-1)] = corners_px.reshape(-1, 2)
    mirror_corners = place[head.mirror_vertex.cpu().numpy()][triangles[triangle]]
    mirror_px = np.zeros((size_px**2, 2), np.float32)
    mirror_px[index] = np.einsum("tk,tkc->tc", barycentric, mirror_corners)
    grid = (size_px, size_px)
    texels = TexelMap(
        size_px, head.num_vertices, index, triangle, triangles[triangle].astype(np.int32), barycentric,
        covering >= 0, part.reshape(grid), mirror_px.reshape(*grid, 2),
    )  # fmt: skip
    return texels, (texels.mirror_uv_px * (2.0 / size_px) - 1.0).astype(np.float32)


def _skin_weight(head: HeadModel, texels: TexelMap) -> np.ndarray:
    """(N, N) 1 on the face's skin, fading over BORDER_SHARE of the window towards its border and the face's."""
    face = texels.interpolate(head.masks["face"].cpu().numpy()) > MASK_HALF
    face &= texels.part == head.part_names.index("skin")
    framed = np.pad(face.astype(np.uint8), 1)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    # the lids and lips are borders as well, and hold detail up to their edge: a third of the window's fade
    return smooth_step(distance, 0.0, BORDER_SHARE * texels.size_px / 3.0).astype(np.float32)


def posed_in_image(head: HeadModel, posed: torch.Tensor, projected: torch.Tensor) -> PosedHead:
    """A posed head with the places of its vertices in an image seen along -Z (scaled orthographic).

    Args:
        head: the model; posed: (V, 3) metres, model space.
        projected: (V, 3) x right and y down in pixels, depth in metres (smaller is nearer).
    """
    normals = vertex_normals(posed[None], head.triangles)[0]
    extent = (projected[:, 1].max() - projected[:, 1].min()) / (posed[:, 1].max() - posed[:, 1].min())
    return PosedHead(
        posed.numpy(), normals.numpy(), projected[:, :2].numpy(), projected[:, 2].numpy(), normals[:, 2].numpy(),
        float(extent),
    )  # fmt: skip


def projected_by_code(posed: torch.Tensor, camera: torch.Tensor, size_px: int) -> torch.Tensor:
    """Places of vertices in a face crop.

    Args:
        posed: (V, 3) metres; camera: (3,) s, tx, ty in half crops (x = s X + tx, y = -s Y + ty).
        size_px: side of the crop's image.

    Returns:
        (V, 3) x right and y down in pixels, depth in metres.
    """
    scale, shift = camera[0], camera[1:]
    x = (scale * posed[:, 0] + shift[0] + 1.0) * (0.5 * size_px)
    y = (-scale * posed[:, 1] + shift[1] + 1.0) * (0.5 * size_px)
    return torch.stack([x, y, -posed[:, 2]], 1)


def unwrap(image: np.ndarray, posed: PosedHead, triangles: np.ndarray, window: FaceWindow) -> UnwrappedFace:
    """Carry an image into the window.

    Args:
        image: (H, W, 3) uint8 sRGB.
        posed: the head in that image (`posed_in_image`, or `photo_projection.pose_head`).
        triangles: (F, 3) int64 of the head.
        window: of the head.
    """
    height, width = image.shape[:2]
    seen = project_photo(posed, triangles, window.texels, width, height)
    # a texel that spans many pixels takes the mean of them: the image is reduced to the texels' density first
    spacing = _texel_spacing_px(seen.photo_px, window.texels.inside)
    reduction = max(1.0, spacing)
    if reduction > 1.0:
        small = (max(1, round(width / reduction)), max(1, round(height / reduction)))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    factor = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
    # OpenCV counts from the first pixel's centre
    where = seen.photo_px * factor - 0.5
    texture = cv2.remap(image, where.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    confidence = (255.0 * seen.confidence + 0.5).astype(np.uint8)
    return UnwrappedFace(np.where(confidence[..., None] > 0, texture, 0).astype(np.uint8), confidence)


def _texel_spacing_px(photo_px: np.ndarray, inside: np.ndarray) -> float:
    """Median distance in the photo, pixels, of texels beside each other."""
    pairs = inside[:, 1:] & inside[:, :-1]
    if not pairs.any():
        return 1.0
    return float(np.median(np.linalg.norm(photo_px[:, 1:] - photo_px[:, :-1], axis=-1)[pairs]))


def network_input(face: UnwrappedFace) -> np.ndarray:
    """What the networks read of an unwrapped face.

    Args:
        face: texture and confidence.

    Returns:
        (NUM_TEXTURE_CHANNELS, N, N) float32: sRGB from -1 to 1; fine contrast: the logarithm of brightness less its
        mean nearby, in CONTRAST_UNITs; confidence 0-1. All are 0 where nothing was seen.
    """
    confidence = face.confidence.astype(np.float32) / 255.0
    colour = face.texture.astype(np.float32) / 255.0
    # offset: one grey level, below which the logarithm would show noise alone
    brightness = np.log(colour.mean(-1) + 1.0 / 255.0)
    box = 2 * round(0.5 * CONTRAST_BOX_SHARE * face.texture.shape[0]) + 1
    weight = cv2.blur(confidence, (box, box), borderType=cv2.BORDER_REFLECT)
    nearby = cv2.blur(brightness * confidence, (box, box), borderType=cv2.BORDER_REFLECT) / np.maximum(weight, 1e-3)
    contrast = np.clip((brightness - nearby) / CONTRAST_UNIT, -CONTRAST_LIMIT, CONTRAST_LIMIT)
    channels = [2.0 * colour[..., channel] - 1.0 for channel in range(3)]
    return np.stack([*(plane * confidence for plane in (*channels, contrast)), confidence]).astype(np.float32)


def cut_window(whole: np.ndarray, window: FaceWindow) -> np.ndarray:
    """The window of a whole map.

    Args:
        whole: (M, M) or (M, M, C) on the whole texture layout, float32.
        window: which part.

    Returns:
        (N, N) or (N, N, C) float32; a finer map is blurred to the window's texels first.
    """
    size = len(whole)
    density = size * window.side_uv / window.size_px
    if density > 1.0:
        # the blur of an area filter: half of the difference of the pixels' widths
        whole = cv2.GaussianBlur(whole, (0, 0), max(0.3, 0.5 * float(np.sqrt(density**2 - 1.0))))
    step = (np.arange(window.size_px) + 0.5) / window.size_px * window.side_uv
    columns = (window.low_uv[0] + step) * size - 0.5
    rows = (1.0 - window.low_uv[1] - window.side_uv + step) * size - 0.5
    map_x, map_y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    return cv2.remap(whole, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def place_in_map(values: np.ndarray, window: FaceWindow, size_px: int) -> PlacedDetail:
    """Put a window's values into a whole map.

    Args:
        values: (N, N) float32 in the window.
        window: where it lies; its skin weight, and a fade at its border, become the weight.
        size_px: M, side of the whole map.
    """
    texel = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
    count, side = window.size_px, window.side_uv
    columns = (texel - window.low_uv[0]) / side * count - 0.5
    rows = (texel - (1.0 - window.low_uv[1] - side)) / side * count - 0.5
    map_x, map_y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    placed = cv2.remap(values, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.remap(window.skin, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    inset = np.minimum(np.minimum(columns, count - 1 - columns)[None, :], np.minimum(rows, count - 1 - rows)[:, None])
    weight = weight * smooth_step(inset, 0.0, BORDER_SHARE * count)
    return PlacedDetail(np.where(weight > 0, placed, 0).astype(np.float32), weight.astype(np.float32))


def on_window(values: torch.Tensor, window: FaceWindow) -> torch.Tensor:
    """Carry values from vertices to the window's texels, with gradients.

    Args:
        values: (B, V, C).
        window: N texels a side.

    Returns:
        (B, C, N, N), 0 where no surface is.
    """
    batch, _, channels = values.shape
    vertices = torch.from_numpy(window.texels.vertices).to(values.device, torch.int64)
    weights = torch.from_numpy(window.texels.barycentric).to(values)
    columns = values.permute(1, 0, 2).reshape(values.shape[1], batch * channels)
    carried = torch.nn.functional.embedding_bag(vertices, columns, per_sample_weights=weights, mode="sum")
    index = torch.from_numpy(window.texels.index).to(values.device)
    whole = values.new_zeros(window.size_px**2, batch * channels).index_copy(0, index, carried)
    return whole.T.reshape(batch, channels, window.size_px, window.size_px)

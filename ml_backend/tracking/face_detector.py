"""Finds faces: boxes and six points each, with one of MediaPipe's two detection networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.tracking.image_region import ImageRegion
from ml_backend.tracking.network_graph import NetworkGraph

# the order of a detection's points
RIGHT_EYE, LEFT_EYE, NOSE_TIP, MOUTH, RIGHT_EAR, LEFT_EAR = range(6)

# MediaPipe's value; boxes that overlap more (intersection over union) are one face
SAME_FACE_OVERLAP = 0.3


@dataclass(frozen=True)
class DetectorLayout:
    """How a detector's outputs are to be read.

    Attributes:
        size: side of its input, pixels; also the unit of its boxes.
        anchors: (A,2) where each output sits, 0-1 along the sides.
        lowest_score: outputs below this are dropped.
    """

    size: int
    anchors: np.ndarray
    lowest_score: float


@dataclass(frozen=True)
class Detection:
    """A face found in an image.

    Attributes:
        box: (4,) x0, y0, x1, y1 pixels, upright in the frame in which it was found.
        points: (6,2) pixels: right eye, left eye, nose tip, mouth, right ear, left ear.
        score: 0-1.
    """

    box: np.ndarray
    points: np.ndarray
    score: float

    def scaled(self, factor: float) -> Detection:
        """The same face in a copy of the image that is `factor` times as large."""
        return Detection(self.box * factor, self.points * factor, self.score)


def _anchor_grid(cells: int, per_cell: int) -> np.ndarray:
    """(cells * cells * per_cell, 2) cell centres, row by row."""
    centre = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(centre, centre)
    return np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0)


# the networks' outputs: 2 for each of 16x16 cells and 6 for each of 8x8; 1 for each of 48x48. Scores: MediaPipe's.
NEAR_LAYOUT = DetectorLayout(128, np.concatenate([_anchor_grid(16, 2), _anchor_grid(8, 6)]), 0.5)
FAR_LAYOUT = DetectorLayout(192, _anchor_grid(48, 1), 0.6)


class FaceDetector:
    """One detection network with its layout."""

    def __init__(self, network: NetworkGraph, layout: DetectorLayout, device: str) -> None:
        self._network = network
        self._layout = layout
        self._device = device

    def detect(self, image: np.ndarray, region: ImageRegion) -> list[Detection]:
        """Look for faces in a region of an image, best first; see `detect_all`."""
        return self.detect_all(image, [region])[0]

    def detect_all(self, image: np.ndarray, regions: list[ImageRegion]) -> list[list[Detection]]:
        """Look for faces in several regions of an image at once.

        Args:
            image: (H,W,3) uint8 RGB.
            regions: where to look; faces upright in the region are found.

        Returns:
            For each region its faces, best first, in pixels of the image. A box that was found in a turned region is
            the upright box around the turned one.
        """
        size = self._layout.size
        crops = np.stack([region.cut(image, size, repeat_border=False) for region in regions])
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float()
        outputs = self._network(pixels * (2 / 255) - 1)
        boxes, scores = outputs["boxes"].cpu().numpy(), outputs["scores"].cpu().numpy()[..., 0]
        return [self._read(*row) for row in zip(boxes, scores, regions, strict=True)]

    def _read(self, raw: np.ndarray, raw_scores: np.ndarray, region: ImageRegion) -> list[Detection]:
        score = 1 / (1 + np.exp(-np.clip(raw_scores.astype(np.float64), -100, 100)))
        kept = np.flatnonzero(score >= self._layout.lowest_score)
        values = raw[kept].astype(np.float64).reshape(-1, 8, 2) / self._layout.size
        values[:, [0, 2, 3, 4, 5, 6, 7]] += self._layout.anchors[kept, None]
        half = values[:, 1] / 2
        corners = np.stack([values[:, 0] - half, values[:, 0] + half], axis=1)
        merged = _merge_overlapping(np.concatenate([corners, values[:, 2:]], axis=1), score[kept])
        return [_in_image(points, value, region) for points, value in merged]


def _merge_overlapping(points: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Weighted non-maximum suppression: overlapping outputs are averaged by their scores, not dropped.

    Args:
        points: (K,8,2), the first two a box's corners; scores: (K,).
    """
    order = np.argsort(-scores, kind="stable")
    result = []
    while order.size:
        overlap = box_overlap(points[order[0], :2].ravel(), points[order, :2].reshape(-1, 4))
        same = overlap > SAME_FACE_OVERLAP
        same[0] = True
        weight = scores[order[same]]
        mean = (points[order[same]] * weight[:, None, None]).sum(0) / weight.sum()
        result.append((mean, float(scores[order[0]])))
        order = order[~same]
    return result


def box_overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with others (K,4); x0, y0, x1, y1."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    area = np.clip(box[2:] - box[:2], 0, None).prod() + np.clip(others[:, 2:] - others[:, :2], 0, None).prod(1)
    return common / np.maximum(area - common, 1e-12)


def _in_image(points: np.ndarray, score: float, region: ImageRegion) -> Detection:
    low, high = points[0], points[1]
    corners = region.to_image(np.array([low, [high[0], low[1]], high, [low[0], high[1]]]))
    return Detection(np.concatenate([corners.min(0), corners.max(0)]), region.to_image(points[2:]), score)

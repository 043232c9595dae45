"""The 478 landmarks of a face whose region is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.image_region import ImageRegion
from ml_backend.tracking.network_graph import NetworkGraph

CROP_PX = 192


@dataclass(frozen=True)
class LandmarkEstimate:
    """One reading of a face.

    Attributes:
        landmarks: (478,3) float64: x, y pixels of the image, z in their scale, negative towards the camera.
        presence: 0-1, the network's belief that this is a face.
        region: the square that was read.
    """

    landmarks: np.ndarray
    presence: float
    region: ImageRegion


class LandmarkNetwork:
    """The landmark network with its reading of the outputs."""

    def __init__(self, network: NetworkGraph, device: str) -> None:
        self._network = network
        self._device = device

    def estimate(self, image: np.ndarray, regions: list[ImageRegion]) -> list[LandmarkEstimate]:
        """Read faces.

        Args:
            image: (H,W,3) uint8 RGB.
            regions: squares with one face each, upright in the square, 1.5 times as wide as the face.
        """
        if not regions:
            return []
        crops = np.stack([region.cut(image, CROP_PX, repeat_border=True) for region in regions])
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255
        outputs = {name: value.flatten(1).cpu().numpy() for name, value in self._network(pixels).items()}
        points = _assemble(outputs) / CROP_PX
        presence = 1 / (1 + np.exp(-outputs["presence"][:, 0].astype(np.float64)))
        return [_in_image(*row) for row in zip(points, presence, regions, strict=True)]


def _assemble(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """(N,478,3) in pixels of the crop: the mesh, with lips, eyes and irises from their own branches.

    The branches know x and y only: lips and eyes keep the mesh's depth, an iris takes its eye's.
    """
    mesh = outputs["mesh"].reshape(-1, topology.NUM_MESH_LANDMARKS, 3).astype(np.float64)
    points = np.concatenate([mesh, np.zeros((len(mesh), topology.NUM_LANDMARKS - mesh.shape[1], 3))], axis=1)
    refined = {
        "lips": topology.REFINED_LIPS,
        "right_eye": topology.REFINED_RIGHT_EYE,
        "left_eye": topology.REFINED_LEFT_EYE,
        "right_iris": topology.RIGHT_IRIS,
        "left_iris": topology.LEFT_IRIS,
    }
    for name, indices in refined.items():
        points[:, indices, :2] = outputs[name].reshape(len(mesh), -1, 2)
    for iris, eye in ((topology.RIGHT_IRIS, topology.RIGHT_EYE), (topology.LEFT_IRIS, topology.LEFT_EYE)):
        points[:, iris, 2] = mesh[:, eye, 2].mean(1, keepdims=True)
    return points


def _in_image(unit_points: np.ndarray, presence: float, region: ImageRegion) -> LandmarkEstimate:
    depth = unit_points[:, 2:] * region.side
    return LandmarkEstimate(np.hstack([region.to_image(unit_points[:, :2]), depth]), float(presence), region)

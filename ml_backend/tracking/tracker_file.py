"""Reads the tracker's asset: three networks and the mesh's triangles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from addon.exchange.errors import AssetMissing, PackageError
from addon.exchange.safetensors_file import read_safetensors
from ml_backend.tracking.network_graph import NetworkGraph

TRACKER_FILE = Path(__file__).resolve().parents[2] / "assets" / "tracker.safetensors"
_FORMAT = "likeness-tracker-1"


@dataclass(frozen=True)
class TrackerNetworks:
    """The content of the asset, ready to run.

    Attributes:
        near_detector: (N,3,128,128) in -1..1 -> boxes (N,896,16), scores (N,896,1).
        far_detector: (N,3,192,192) in -1..1 -> boxes (N,2304,16), scores (N,2304,1).
        landmarks: (N,3,192,192) in 0..1 -> mesh (N,1404,1,1), lips, right_eye, left_eye, right_iris, left_iris,
            presence.
        triangles: (852,3) int32, indices of landmarks.
    """

    near_detector: NetworkGraph
    far_detector: NetworkGraph
    landmarks: NetworkGraph
    triangles: np.ndarray


def load_tracker_networks(path: Path | None = None, device: str = "cpu") -> TrackerNetworks:
    """Load the asset.

    Args:
        path: the file; by default the one that ships with the product.
        device: torch's name of the device to run on.

    Raises:
        AssetMissing: the file is not there, or is not a tracker file.
    """
    path = path or TRACKER_FILE
    if not path.is_file():
        raise _asset_missing(path, "is missing")
    try:
        arrays, metadata = read_safetensors(path)
    except PackageError as error:
        raise _asset_missing(path, "is damaged") from error
    if metadata.get("format") != _FORMAT:
        raise _asset_missing(path, "is not a tracker file of this version")
    descriptions = json.loads(metadata["networks"])
    networks = {}
    for name, description in descriptions.items():
        prefix = f"{name}."
        weights = {
            key.removeprefix(prefix): torch.from_numpy(values).to(device, torch.float32)
            for key, values in arrays.items()
            if key.startswith(prefix)
        }
        networks[name] = NetworkGraph(description, weights)
    return TrackerNetworks(**networks, triangles=arrays["triangles"])


def _asset_missing(path: Path, fault: str) -> AssetMissing:
    return AssetMissing(
        "tracker_missing", f"The face tracker {path.name} {fault}.", "Get the product again, or run: build.py assets"
    )

"""Builds `assets/tracker.safetensors` from the networks in MediaPipe's wheel (Apache-2.0).

Three networks: faces near the camera, faces far away, 478 landmarks. Weights stay in the half precision in which the
wheel stores them, so the conversion loses nothing. The mesh's 852 triangles come along.
"""

from __future__ import annotations

import ast
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from addon.exchange.safetensors_file import write_safetensors
from assets.recipes.tflite_file import read_tflite
from assets.recipes.tracker_graph import TrackerGraph
from ml_backend.tracking.landmark_topology import (
    NUM_MESH_LANDMARKS,
    REFINED_LEFT_EYE,
    REFINED_LIPS,
    REFINED_RIGHT_EYE,
)

TRACKER_FORMAT = "likeness-tracker-1"
NUM_TRIANGLES = 852

_MODULES = "mediapipe/modules"
# our name of a network -> file in the wheel, its names of the outputs -> ours. MediaPipe's left is the image's.
_NETWORKS = {
    "near_detector": (
        f"{_MODULES}/face_detection/face_detection_short_range.tflite",
        {"regressors": "boxes", "classificators": "scores"},
    ),
    "far_detector": (
        f"{_MODULES}/face_detection/face_detection_full_range_sparse.tflite",
        {"Identity": "boxes", "Identity_1": "scores"},
    ),
    "landmarks": (
        f"{_MODULES}/face_landmark/face_landmark_with_attention.tflite",
        {
            "output_mesh_identity": "mesh",
            "output_lips": "lips",
            "output_left_eye": "right_eye",
            "output_right_eye": "left_eye",
            "output_left_iris": "right_iris",
            "output_right_iris": "left_iris",
            "conv_faceflag": "presence",
        },
    ),
}
_CONNECTIONS = "mediapipe/python/solutions/face_mesh_connections.py"


def build_tracker(mediapipe_wheel: Path, output: Path) -> None:
    """Convert the networks and write them to one file.

    Args:
        mediapipe_wheel: the wheel of MediaPipe 0.10.21 (later ones carry no networks).
        output: the safetensors file to write.

    Raises:
        ValueError: the wheel's networks are not the ones that this recipe knows.
        KeyError: a file is missing in the wheel.
    """
    arrays: dict[str, np.ndarray] = {}
    descriptions: dict[str, Any] = {}
    with zipfile.ZipFile(mediapipe_wheel) as wheel:
        for name, (path, outputs) in _NETWORKS.items():
            graph = TrackerGraph(read_tflite(wheel.read(path)), outputs)
            descriptions[name] = graph.description()
            arrays |= {f"{name}.{key}": values for key, values in graph.weights.items()}
        arrays["triangles"] = mesh_triangles(wheel.read(_CONNECTIONS).decode())
    _check_refined_groups(descriptions["landmarks"])
    metadata = {
        "format": TRACKER_FORMAT,
        "licence": "Apache-2.0",
        "source": "MediaPipe 0.10.21 (The MediaPipe Authors): face detection short range and full range, face "
        "landmarks with attention; weights unchanged, graphs rewritten for torch",
        "networks": json.dumps(descriptions, separators=(",", ":")),
    }
    write_safetensors(output, arrays, metadata)


def mesh_triangles(connections_source: str) -> np.ndarray:
    """The mesh's triangles, read from the source text of MediaPipe's list of edges.

    The list FACEMESH_TESSELATION, in the order of the source (it is a set at run time, so the text is read, not run),
    names each triangle by its three edges in turn.

    Returns:
        (852,3) int32, each turning counter-clockwise when seen in a photo with y up.

    Raises:
        ValueError: the list is not made of such triangles.
    """
    edges = _tessellation_edges(connections_source)
    if edges.shape != (3 * NUM_TRIANGLES, 2) or edges.max() >= NUM_MESH_LANDMARKS:
        raise ValueError("The mesh's list of edges does not have the expected length.")
    rings = edges.reshape(NUM_TRIANGLES, 3, 2)
    if not np.array_equal(rings[:, :, 1], np.roll(rings[:, :, 0], -1, axis=1)):
        raise ValueError("The mesh's list of edges does not go around triangles.")
    triangles = rings[:, :, 0].astype(np.int32)
    _check_winding(triangles)
    return triangles


def _tessellation_edges(source: str) -> np.ndarray:
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "FACEMESH_TESSELATION":
            return np.array(ast.literal_eval(statement.value.args[0]))
    raise ValueError("FACEMESH_TESSELATION is not in the source.")


def _check_winding(triangles: np.ndarray) -> None:
    """Neighbours that turn the same way run through their common edge in opposite directions."""
    starts, ends = triangles, np.roll(triangles, -1, axis=1)
    directed_edges = starts.astype(np.int64) * NUM_MESH_LANDMARKS + ends
    if np.unique(directed_edges).size != directed_edges.size:
        raise ValueError("The mesh's triangles do not all turn the same way.")


def _check_refined_groups(description: dict[str, Any]) -> None:
    """The network itself names the landmarks that its branches refine; our lists must be those."""
    expected = [list(REFINED_LIPS), list(REFINED_RIGHT_EYE), list(REFINED_LEFT_EYE)]
    members = [step["members"] for step in description["steps"] if step["op"] == "region_transform"]
    if members != expected:
        raise ValueError("The network refines other landmarks than landmark_topology.py says.")

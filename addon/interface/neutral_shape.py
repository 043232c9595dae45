"""The neutral shape on its way to another program and back: OBJ, metres, Y up, as Blender's own exporter writes it."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ..exchange.conventions import MODEL_TO_BLENDER, blender_from_model
from ..exchange.errors import LikenessError
from ..scene.shape_keys import BASIS_NAME
from .texts import text


def write_neutral(head: bpy.types.Object, path: Path) -> None:
    """Write a head's neutral shape.

    Args:
        head: an avatar's mesh object.
        path: of the OBJ file.

    Raises:
        LikenessError: it cannot be written.
    """
    model = neutral_vertices(head) @ MODEL_TO_BLENDER
    vertices = [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in model.tolist()]
    mesh = head.data
    layer = mesh.uv_layers.active
    uv = np.empty((len(mesh.loops), 2), np.float32)
    layer.data.foreach_get("uv", uv.ravel())
    texels = [f"vt {u:.6f} {v:.6f}" for u, v in uv.tolist()]
    faces = [
        "f " + " ".join(f"{mesh.loops[loop].vertex_index + 1}/{loop + 1}" for loop in polygon.loop_indices)
        for polygon in mesh.polygons
    ]
    try:
        path.write_text("\n".join(["# metres, Y up", *vertices, *texels, *faces, ""]), encoding="utf-8")
    except OSError as error:
        raise LikenessError(
            "neutral_unwritable",
            text("neutral.unwritable", name=path.name),
            error.strerror or "",
        ) from error


def read_neutral(path: Path, num_vertices: int) -> np.ndarray:
    """Read the vertices of an OBJ.

    Returns:
        (V,3) metres, Blender space.

    Raises:
        LikenessError: it is no OBJ, or of another mesh.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        rows = [[float(word) for word in line.split()[1:4]] for line in lines if line.startswith("v ")]
        model = np.array(rows, np.float64).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if len(model) == 0 or not np.isfinite(model).all():
        raise _unreadable(path)
    if len(model) != num_vertices:
        raise LikenessError(
            "neutral_count",
            text("neutral.count", found=len(model), expected=num_vertices),
            text("neutral.count.hint"),
        )
    return blender_from_model(model)


def neutral_vertices(head: bpy.types.Object) -> np.ndarray:
    """(V,3) metres, Blender space: the Basis key."""
    basis = head.data.shape_keys.key_blocks[BASIS_NAME]
    vertices = np.empty((len(basis.data), 3), np.float32)
    basis.data.foreach_get("co", vertices.ravel())
    return vertices


def set_neutral(head: bpy.types.Object, vertices: np.ndarray) -> None:
    """Give a head another neutral shape; every key keeps its offsets.

    Args:
        head: an avatar's mesh object, in Object Mode.
        vertices: (V,3) metres, Blender space.

    Raises:
        LikenessError: the mesh belongs to another file.
    """
    if head.data.library is not None:
        raise LikenessError("neutral_linked", text("neutral.linked"), text("neutral.linked.hint"))
    change = (vertices - neutral_vertices(head)).astype(np.float32)
    for key in head.data.shape_keys.key_blocks:
        positions = np.empty_like(change)
        key.data.foreach_get("co", positions.ravel())
        key.data.foreach_set("co", (positions + change).ravel())
    head.data.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    head.data.update()


def _unreadable(path: Path) -> LikenessError:
    return LikenessError(
        "neutral_unreadable", text("neutral.unreadable", name=path.name), text("neutral.unreadable.hint")
    )

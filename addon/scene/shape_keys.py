"""Adds shape keys: the Basis, the ARKit shapes, the head's own expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

BASIS_NAME = "Basis"
EXPRESSION_PREFIX = "expression_"
# Blender keeps 63 bytes of a name
_MAX_NAME_BYTES = 63


@dataclass(frozen=True)
class ShapeKey:
    """One relative shape key.

    Attributes:
        name: as the artist reads it.
        offsets: (V,3) metres in Blender space at value 1.
        slider_range: the values its slider allows.
    """

    name: str
    offsets: np.ndarray
    slider_range: tuple[float, float] = (0.0, 1.0)


def add_shape_keys(mesh_object: bpy.types.Object, keys: Sequence[ShapeKey]) -> list[bpy.types.ShapeKey]:
    """Add shape keys on top of the object's mesh, making the Basis first when there is none.

    Args:
        mesh_object: a mesh object.
        keys: in the order they shall stand in the list.

    Returns:
        Blender's keys, parallel to `keys`, all at value 0.
    """
    mesh = mesh_object.data
    if mesh.shape_keys is None:
        mesh_object.shape_key_add(name=BASIS_NAME, from_mix=False)
    basis = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", basis.ravel())
    added = []
    for key in keys:
        key_block = mesh_object.shape_key_add(name=key.name, from_mix=False)
        key_block.data.foreach_set("co", (basis + key.offsets).astype(np.float32).ravel())
        # set before anything else touches the value: Blender holds the value inside the slider's range
        key_block.slider_min, key_block.slider_max = key.slider_range
        key_block.value = 0.0
        added.append(key_block)
    mesh_object.active_shape_key_index = 0
    return added


def distinct_key_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Names for the head's own expressions that collide with no other key.

    Args:
        names: the head's expression names.
        taken: names that are in use (the ARKit names).

    Returns:
        One name for each, the same where it is free, else with `expression_` in front, and a number if need be.
    """
    used = {BASIS_NAME, *taken}
    result = []
    for name in names:
        candidate = name if name and name not in used else EXPRESSION_PREFIX + name
        stem, number = candidate, 2
        while candidate in used or len(candidate.encode()) > _MAX_NAME_BYTES:
            candidate = f"{_shortened(stem)}_{number}"
            number += 1
        used.add(candidate)
        result.append(candidate)
    return result


def _shortened(name: str) -> str:
    """The name with room for `_` and four digits."""
    return name.encode()[: _MAX_NAME_BYTES - 5].decode(errors="ignore")

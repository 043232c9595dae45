"""Switches an avatar between displaced and bump-only wrinkles."""

from __future__ import annotations

import bpy

from .add_wrinkles import wrinkle_modifier
from .modifier_inputs import get_input, set_input
from .wrinkle_group import REAL_DISPLACEMENT


def has_real_displacement(mesh_object: bpy.types.Object) -> bool:
    """Whether wrinkles move the surface of an object; False where it has no wrinkles."""
    wrinkles = wrinkle_modifier(mesh_object)
    return wrinkles is not None and bool(get_input(wrinkles, REAL_DISPLACEMENT))


def set_real_displacement(mesh_object: bpy.types.Object, on: bool) -> None:
    """Let the wrinkles move the surface, or bend its shading alone.

    The subdivision before them, which bump alone does not need, goes on and off in the viewport as well: without it
    the head plays as fast as its base mesh. Renders keep it, for the outline.

    Args:
        mesh_object: an object with wrinkles.
        on: move the surface.

    Raises:
        ValueError: the object has no wrinkles.
    """
    wrinkles = wrinkle_modifier(mesh_object)
    if wrinkles is None:
        raise ValueError(f"{mesh_object.name} has no wrinkles")
    set_input(wrinkles, REAL_DISPLACEMENT, on)
    subdivision = subdivision_before(mesh_object, wrinkles)
    if subdivision is not None:
        subdivision.show_viewport = on


def subdivision_before(
    mesh_object: bpy.types.Object, wrinkles: bpy.types.NodesModifier
) -> bpy.types.SubsurfModifier | None:
    """The last subdivision surface that the wrinkles stand on; None where there is none."""
    modifiers = list(mesh_object.modifiers)
    before = modifiers[: modifiers.index(wrinkles)]
    return next((modifier for modifier in reversed(before) if modifier.type == "SUBSURF"), None)

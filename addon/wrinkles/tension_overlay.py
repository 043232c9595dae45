"""Shows tension in the viewport: red = compressed, green = stretched, in every 3D view's solid mode."""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from .add_wrinkles import tension_modifier
from .modifier_inputs import get_input, set_input
from .tension_group import COLOUR_ATTRIBUTE, SHOW_AS_COLOUR

# On a screen: how its 3D views were shaded before; on a mesh: which colour layer was active.
_SHADING_BEFORE = "likeness_shading_before"
_COLOUR_BEFORE = "likeness_colour_before"


def has_tension_overlay(mesh_object: bpy.types.Object) -> bool:
    """Whether an object shows its tension."""
    modifier = tension_modifier(mesh_object)
    return modifier is not None and bool(get_input(modifier, SHOW_AS_COLOUR))


def set_tension_overlay(mesh_object: bpy.types.Object, on: bool) -> None:
    """Show the tension of an object in all 3D views, or show again what was there before.

    Args:
        mesh_object: an object with the tension's modifier; the views go back when no object shows its tension any more.
        on: show it.

    Raises:
        ValueError: the object has no tension.
    """
    modifier = tension_modifier(mesh_object)
    if modifier is None:
        raise ValueError(f"{mesh_object.name} has no tension")
    set_input(modifier, SHOW_AS_COLOUR, on)
    _activate_colour(mesh_object.data, on)
    if on:
        _shade_views()
    elif not _any_shown():
        _restore_views()


def match_views() -> None:
    """Shade the 3D views as the objects ask: undo takes an object's overlay back, but no view's shading."""
    shaded = any(_SHADING_BEFORE in screen for screen in bpy.data.screens)
    shown = _any_shown()
    if shown and not shaded:
        _shade_views()
    elif shaded and not shown:
        _restore_views()


def _any_shown() -> bool:
    return any(has_tension_overlay(item) for item in bpy.data.objects if item.type == "MESH")


def _activate_colour(mesh: bpy.types.Mesh, on: bool) -> None:
    """Make the tension the mesh's active colour layer (it exists on the evaluated mesh alone), or the one before."""
    attributes = mesh.attributes
    if on and attributes.active_color_name != COLOUR_ATTRIBUTE:
        mesh[_COLOUR_BEFORE] = attributes.active_color_name
        attributes.active_color_name = COLOUR_ATTRIBUTE
    elif not on and _COLOUR_BEFORE in mesh:
        attributes.active_color_name = mesh[_COLOUR_BEFORE]
        del mesh[_COLOUR_BEFORE]


def _views(screen: bpy.types.Screen) -> Iterator[tuple[str, bpy.types.SpaceView3D]]:
    """The 3D views of a screen, each with a name that stays."""
    for number, area in enumerate(screen.areas):
        for space in area.spaces:
            if space.type == "VIEW_3D":
                yield f"area_{number}", space


def _shade_views() -> None:
    for screen in bpy.data.screens:
        before = screen.get(_SHADING_BEFORE)
        if before is None:
            screen[_SHADING_BEFORE] = {
                name: [view.shading.type, view.shading.color_type] for name, view in _views(screen)
            }
        for _, view in _views(screen):
            view.shading.type, view.shading.color_type = "SOLID", "VERTEX"


def _restore_views() -> None:
    for screen in bpy.data.screens:
        before = screen.get(_SHADING_BEFORE)
        if before is None:
            continue
        for name, view in _views(screen):
            if name in before:
                # the colour first: it is one of solid mode's
                view.shading.type = "SOLID"
                view.shading.color_type = before[name][1]
                view.shading.type = before[name][0]
        del screen[_SHADING_BEFORE]

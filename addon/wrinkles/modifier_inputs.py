"""Reads, sets and animates the inputs of Geometry Nodes modifiers, whose place differs between Blender's versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import bpy

# Blender 5.2 moved the inputs from the modifier's custom properties to `modifier.properties.inputs`.
_INPUTS_ARE_PROPERTIES = bpy.app.version >= (5, 2, 0)
_VALUE_TYPES = {"NodeSocketFloat": float, "NodeSocketInt": int, "NodeSocketBool": bool}


def set_input(modifier: bpy.types.NodesModifier, name: str, value: Any) -> None:
    """Set an input of a Geometry Nodes modifier.

    Args:
        modifier: with its node group.
        name: of the input as the artist reads it.
        value: a number, a truth value, or a data-block such as an image.

    Raises:
        KeyError: the group has no such input.
    """
    socket = _socket(modifier, name)
    value = _VALUE_TYPES.get(socket.socket_type, lambda same: same)(value)
    if _INPUTS_ARE_PROPERTIES:
        getattr(modifier.properties.inputs, socket.identifier).value = value
    else:
        modifier[socket.identifier] = value
    # custom properties do not tell the dependency graph
    modifier.id_data.update_tag()


def get_input(modifier: bpy.types.NodesModifier, name: str) -> Any:
    """The value of an input.

    Raises:
        KeyError: the group has no such input.
    """
    identifier = _socket(modifier, name).identifier
    if _INPUTS_ARE_PROPERTIES:
        return getattr(modifier.properties.inputs, identifier).value
    return modifier[identifier]


def input_path(modifier: bpy.types.NodesModifier, name: str) -> str:
    """The data path of an input from its object, for keyframes and drivers.

    Raises:
        KeyError: the group has no such input.
    """
    identifier = _socket(modifier, name).identifier
    owner = f'modifiers["{bpy.utils.escape_identifier(modifier.name)}"]'
    if _INPUTS_ARE_PROPERTIES:
        return f"{owner}.properties.inputs.{identifier}.value"
    return f'{owner}["{identifier}"]'


def shown_inputs(
    modifier: bpy.types.NodesModifier, names: Sequence[str]
) -> Iterator[tuple[str, bpy.types.bpy_struct, str]]:
    """What a layout needs to draw inputs as Blender draws its own: with keys, drivers and undo.

    The group is looked through once, since panels are drawn often.

    Args:
        modifier: with its node group.
        names: of the inputs; those that the group lacks are left out.

    Yields:
        Name, owner of the property, and the property's name for `UILayout.prop`.
    """
    identifiers = {
        item.name: item.identifier
        for item in modifier.node_group.interface.items_tree
        if item.item_type == "SOCKET" and item.in_out == "INPUT"
    }
    for name in names:
        identifier = identifiers.get(name)
        if identifier is None:
            continue
        if _INPUTS_ARE_PROPERTIES:
            yield name, getattr(modifier.properties.inputs, identifier), "value"
        else:
            yield name, modifier, f'["{identifier}"]'


def _socket(modifier: bpy.types.NodesModifier, name: str) -> bpy.types.NodeTreeInterfaceSocket:
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name:
            return item
    raise KeyError(f"{modifier.node_group.name} has no input {name!r}")

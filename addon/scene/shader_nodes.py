"""A small builder of shader node trees that finds sockets by name, because their order differs between versions."""

from __future__ import annotations

from typing import Any

import bpy


class NodeBuilder:
    """Fills one node tree, which it empties first."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self._tree = tree
        tree.nodes.clear()

    def add(self, node_type: str, location: tuple[float, float], label: str = "") -> bpy.types.Node:
        """Add a node.

        Args:
            node_type: its bl_idname.
            location: in the node editor.
            label: what the artist reads above it; the node's own name when empty.
        """
        node = self._tree.nodes.new(node_type)
        node.location = location
        node.label = label
        return node

    def math(
        self, operation: str, location: tuple[float, float], first: bpy.types.NodeSocket, second: Any, label: str = ""
    ) -> bpy.types.NodeSocket:
        """Add a math node on a socket and a number or a second socket; returns its output."""
        node = self.add("ShaderNodeMath", location, label)
        node.operation = operation
        self._tree.links.new(first, node.inputs[0])
        if isinstance(second, bpy.types.NodeSocket):
            self._tree.links.new(second, node.inputs[1])
        else:
            node.inputs[1].default_value = second
        return node.outputs[0]

    def set_input(self, node: bpy.types.Node, name: str, value: Any) -> None:
        """Set the value of an input that is not linked.

        Raises:
            KeyError: the node has no such input in this version of Blender.
        """
        socket(node.inputs, name).default_value = value

    def link(self, from_node: bpy.types.Node, output: str, to_node: bpy.types.Node, name: str) -> None:
        """Link an output to an input, both by name."""
        self._tree.links.new(socket(from_node.outputs, output), socket(to_node.inputs, name))

    def link_socket(self, output: bpy.types.NodeSocket, to_node: bpy.types.Node, name: str) -> None:
        """Link an output socket to an input by name."""
        self._tree.links.new(output, socket(to_node.inputs, name))


def socket(sockets: Any, name: str) -> bpy.types.NodeSocket:
    """The enabled socket of that name (nodes hide the sockets of their other modes under the same names).

    Raises:
        KeyError: there is none.
    """
    for candidate in sockets:
        if candidate.name == name and candidate.enabled:
            return candidate
    raise KeyError(f"no socket {name!r} among {[candidate.name for candidate in sockets]}")


def node_tree_of(owner: bpy.types.Material | bpy.types.World) -> bpy.types.NodeTree:
    """The node tree of a material or world; before Blender 5 it has to be asked for."""
    if owner.node_tree is None:
        owner.use_nodes = True
    return owner.node_tree

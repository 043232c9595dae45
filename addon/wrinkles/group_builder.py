"""Builds node groups that an artist can read: inputs with their limits and texts, nodes in labelled frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from ..scene.shader_nodes import NodeBuilder, socket

GEOMETRY = "NodeSocketGeometry"
FLOAT = "NodeSocketFloat"
INTEGER = "NodeSocketInt"
BOOLEAN = "NodeSocketBool"
IMAGE = "NodeSocketImage"
COLOUR = "NodeSocketColor"
VECTOR = "NodeSocketVector"
# Groups that this version of the product made carry its number: an older group in the same file is left alone.
_VERSION_PROPERTY = "likeness_version"


@dataclass(frozen=True)
class GroupInput:
    """One input of a group.

    Attributes:
        name: as the artist reads it, unique in its group.
        kind: a socket type above.
        default: None for geometry and images; limits: smallest and largest value, None for no limits.
        text: the tool-tip.
        panel: the closed panel it stands in; empty for none.
    """

    name: str
    kind: str
    default: Any = None
    limits: tuple[float, float] | None = None
    text: str = ""
    panel: str = ""


def find_group(name: str, tree_type: str, version: int) -> bpy.types.NodeTree | None:
    """A group of this file (not a linked one) that was built as this version, whatever number its name ends with."""
    for group in bpy.data.node_groups:
        own = group.library is None and group.bl_idname == tree_type and group.get(_VERSION_PROPERTY) == version
        if own and group.name.split(".")[0] == name:
            return group
    return None


def new_group(name: str, tree_type: str, version: int) -> bpy.types.NodeTree:
    """An empty group that `find_group` finds."""
    group = bpy.data.node_groups.new(name, tree_type)
    group[_VERSION_PROPERTY] = version
    return group


class GroupBuilder(NodeBuilder):
    """Fills one node group, frame after frame."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        super().__init__(tree)
        self._frame: bpy.types.Node | None = None
        self._panels: dict[str, Any] = {}

    def add_input(self, item: GroupInput) -> None:
        """Add an input to the group."""
        place = {} if not item.panel else {"parent": self._panel(item.panel)}
        made = self._tree.interface.new_socket(item.name, in_out="INPUT", socket_type=item.kind, **place)
        made.description = item.text
        if item.default is not None:
            made.default_value = item.default
        if item.limits is not None:
            made.min_value, made.max_value = item.limits

    def add_output(self, name: str, kind: str) -> None:
        """Add an output to the group."""
        self._tree.interface.new_socket(name, in_out="OUTPUT", socket_type=kind)

    def _panel(self, name: str) -> Any:
        if name not in self._panels:
            self._panels[name] = self._tree.interface.new_panel(name, default_closed=True)
        return self._panels[name]

    def frame(self, label: str) -> None:
        """Start a frame: nodes that are added from now on stand in it."""
        self._frame = None
        frame = self.add("NodeFrame", (0, 0), label)
        frame.label_size = 16
        self._frame = frame

    def leave_frame(self) -> None:
        """Nodes that are added from now on stand in no frame."""
        self._frame = None

    def add(self, node_type: str, location: tuple[float, float], label: str = "") -> bpy.types.Node:
        """Add a node, inside the present frame; its location counts from the tree's origin."""
        node = super().add(node_type, location, label)
        # the frames stand at the origin themselves, so that locations inside and outside are the same
        node.parent = self._frame
        return node

    def group_input(self, location: tuple[float, float], names: tuple[str, ...]) -> bpy.types.Node:
        """A Group Input node that shows only the named sockets."""
        node = self.add("NodeGroupInput", location)
        for output in node.outputs:
            output.hide = output.name not in names
        return node

    def attribute(self, name: str, data_type: str, location: tuple[float, float]) -> bpy.types.Node:
        """A Named Attribute node of Geometry Nodes."""
        node = self.add("GeometryNodeInputNamedAttribute", location, name)
        node.data_type = data_type
        self.set_input(node, "Name", name)
        return node

    def store(
        self, geometry: bpy.types.NodeSocket, value: bpy.types.NodeSocket, name: str, data_type: str,
        location: tuple[float, float],
    ) -> bpy.types.NodeSocket:  # fmt: skip
        """Store a field as a point attribute; returns the geometry that has it."""
        node = self.add("GeometryNodeStoreNamedAttribute", location, f"Store {name}")
        node.data_type, node.domain = data_type, "POINT"
        self.set_input(node, "Name", name)
        self.link_socket(geometry, node, "Geometry")
        self.link_socket(value, node, "Value")
        return socket(node.outputs, "Geometry")

    def calculate(
        self, operation: str, location: tuple[float, float], *operands: Any, label: str = "", clamp: bool = False
    ) -> bpy.types.NodeSocket:
        """A Math node on sockets and numbers; returns its output."""
        node = self.add("ShaderNodeMath", location, label)
        node.operation, node.use_clamp = operation, clamp
        self.connect(node, *operands)
        return node.outputs[0]

    def vector_math(
        self, operation: str, location: tuple[float, float], *operands: Any, label: str = ""
    ) -> bpy.types.Node:
        """A Vector Math node on sockets and values, in the order of the inputs that the operation shows."""
        node = self.add("ShaderNodeVectorMath", location, label)
        node.operation = operation
        self.connect(node, *operands)
        return node

    def connect(self, node: bpy.types.Node, *operands: Any) -> None:
        """Connect or set the shown inputs of a node in their order."""
        shown = [item for item in node.inputs if item.enabled]
        for item, operand in zip(shown, operands, strict=False):
            if isinstance(operand, bpy.types.NodeSocket):
                self._tree.links.new(operand, item)
            else:
                item.default_value = operand

"""Stand-ins for what panels are given: a layout that remembers, and a context; there is no window to draw in."""

from __future__ import annotations

import builtins
import io
from dataclasses import dataclass, field
from typing import Any

import bpy
import pytest


@dataclass
class Button:
    """A button on a page; its operator's properties are set as attributes.

    Attributes:
        _name: of the operator; _options: how it is drawn.
    """

    _name: str
    _options: dict[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """The properties that the panel has set."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def press(self) -> set[str]:
        """Run the operator with them, as a click does."""
        module, function = self._name.split(".")
        return getattr(getattr(bpy.ops, module), function)("INVOKE_DEFAULT", True, **self.values)


@dataclass
class Page:
    """A layout that remembers what was put on it; refuses operators and properties that do not exist.

    Attributes:
        labels, buttons (operators), bars: in the order in which they were drawn.
        pressed: the buttons themselves; fields: owner, name and options of each property.
        all_open: whether the folds inside panels are open.
    """

    labels: list[str] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)
    bars: list[tuple[float, str]] = field(default_factory=list)
    pressed: list[Button] = field(default_factory=list)
    fields: list[tuple[Any, str, dict[str, Any]]] = field(default_factory=list)
    all_open: bool = True

    def row(self, **_options) -> Page:
        return self

    column = box = grid_flow = split = row

    def panel(self, _idname: str, default_closed: bool = False) -> tuple[Page, Page | None]:
        return self, self if self.all_open else None

    def label(self, text: str = "", **_options) -> None:
        self.labels.append(text)

    def operator(self, name: str, **options) -> Button:
        module, function = name.split(".")
        getattr(getattr(bpy.ops, module), function).get_rna_type()
        self.buttons.append(name)
        self.pressed.append(Button(name, options))
        return self.pressed[-1]

    def prop(self, owner, name: str, **options) -> None:
        owner.path_resolve(name)
        self.fields.append((owner, name, options))

    def template_list(self, list_name: str, _id: str, owner, name: str, active, active_name: str, **_options) -> None:
        assert hasattr(bpy.types, list_name)
        owner.path_resolve(name)
        active.path_resolve(active_name)

    def progress(self, factor: float, text: str) -> None:
        self.bars.append((factor, text))

    def separator(self) -> None: ...

    def template_icon(self, _icon: int, scale: float = 1.0) -> None: ...

    def button(self, name: str, **values: object) -> Button:
        """The first button of an operator whose properties have these values."""
        return next(
            button for button in self.pressed if button._name == name and values.items() <= button.values.items()
        )


class Context:
    """What panels read."""

    region = type("Region", (), {"width": 300})()

    def __init__(self) -> None:
        self.scene, self.object = bpy.context.scene, bpy.context.object


def drawn(panel: type, all_open: bool = True) -> Page:
    """What a panel draws now."""
    page = Page(all_open=all_open)
    # registered panels are made by Blender alone; their own methods are found through the class
    instance = type(panel.__name__, (), {"layout": page, "draw_for": getattr(panel, "draw_for", None)})()
    panel.draw(instance, Context())
    return page


def refuse_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever opens or looks for a file fail: drawing must not."""

    def refuse(*_arguments, **_options):
        raise AssertionError("a panel opened a file")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr("os.stat", refuse)

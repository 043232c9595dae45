"""The Wrinkles panel: tension overlay, displacement or bump, and inputs that can be keyed and driven."""

from __future__ import annotations

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.interface import wrinkle_panel  # noqa: E402
from addon.interface.texts import TEXTS  # noqa: E402
from addon.wrinkles.add_wrinkles import wrinkle_modifier  # noqa: E402
from addon.wrinkles.modifier_inputs import get_input, input_path  # noqa: E402
from addon.wrinkles.tension_overlay import has_tension_overlay  # noqa: E402
from addon.wrinkles.wrinkle_group import DYNAMIC_WRINKLES, REAL_DISPLACEMENT, REGIONS, STRENGTH  # noqa: E402
from tests.panel_page import Context, Page, drawn  # noqa: E402
from tests.wrinkle_sheet import evaluated  # noqa: E402


@pytest.fixture
def head(stage) -> bpy.types.Object:
    """A neutral avatar with wrinkles, its head active."""
    head = stage.wrinkled_head()
    bpy.ops.ed.undo_push(message="avatar")
    return head


def subdivide(head: bpy.types.Object) -> bpy.types.SubsurfModifier:
    """As heads of quads are; the small head has many triangles."""
    subdivision = head.modifiers.new("Subdivision", "SUBSURF")
    subdivision.levels = 1
    head.modifiers.move(len(head.modifiers) - 1, list(head.modifiers).index(wrinkle_modifier(head)))
    return subdivision


def shading() -> list[tuple[str, str]]:
    """How every 3D view is shaded."""
    spaces = [space for screen in bpy.data.screens for area in screen.areas for space in area.spaces]
    return [(view.shading.type, view.shading.color_type) for view in spaces if view.type == "VIEW_3D"]


def page() -> Page:
    return drawn(wrinkle_panel.LIKENESS_PT_wrinkles)


def test_the_tension_is_shown_and_hidden(head):
    before = shading()
    assert before and ("SOLID", "VERTEX") not in before
    page().button("likeness.tension_overlay").press()
    assert has_tension_overlay(head)
    assert set(shading()) == {("SOLID", "VERTEX")}
    assert page().button("likeness.tension_overlay")._options["depress"]
    assert TEXTS["tension.colours"] in page().labels
    page().button("likeness.tension_overlay").press()
    assert not has_tension_overlay(head)
    assert shading() == before


def test_undo_takes_the_overlay_off_the_views_too(head):
    name, before = head.name, shading()
    bpy.ops.likeness.tension_overlay("EXEC_DEFAULT", True)
    bpy.ops.ed.undo()
    assert not has_tension_overlay(bpy.data.objects[name])
    assert shading() == before
    bpy.ops.ed.redo()
    assert has_tension_overlay(bpy.data.objects[name])
    assert set(shading()) == {("SOLID", "VERTEX")}


def test_bump_alone_is_as_light_as_the_base_mesh(head):
    subdivision = subdivide(head)
    base = len(head.data.vertices)
    page().button("likeness.set_displacement", real=True).press()
    assert get_input(wrinkle_modifier(head), REAL_DISPLACEMENT)
    assert len(evaluated(head).vertices) > 3 * base
    page().button("likeness.set_displacement", real=False).press()
    assert not get_input(wrinkle_modifier(head), REAL_DISPLACEMENT)
    assert len(evaluated(head).vertices) == base
    assert subdivision.show_render, "the outline of renders stays round"
    pressed = [button.values["real"] for button in page().pressed if button._options.get("depress")]
    assert pressed == [False]


def test_an_artists_later_subdivision_stays(head):
    later = head.modifiers.new("Mine", "SUBSURF")
    bpy.ops.likeness.set_displacement(real=False)
    assert later.show_viewport


def test_inputs_are_drawn_so_that_they_can_be_keyed_and_driven(head):
    fields = [*page().fields, *drawn(wrinkle_panel.LIKENESS_PT_wrinkle_regions).fields]
    shown = {options["text"]: (owner, name) for owner, name, options in fields}
    assert {STRENGTH, DYNAMIC_WRINKLES, *REGIONS} <= set(shown)
    owner, name = shown["Forehead"]
    modifier = wrinkle_modifier(head)
    for frame, value in ((1, 0.0), (11, 2.0)):
        if name == "value":
            owner.value = value
        else:
            owner[name[2:-2]] = value
        owner.keyframe_insert(name, frame=frame)
    bpy.context.scene.frame_set(11)
    assert get_input(modifier, "Forehead") == pytest.approx(2.0)
    bpy.context.scene.frame_set(1)
    assert get_input(modifier, "Forehead") == pytest.approx(0.0)
    owner, name = shown[STRENGTH]
    curve = owner.driver_add(name)
    curve.driver.expression = "0.25"
    assert curve.data_path == input_path(modifier, STRENGTH)
    bpy.context.scene.frame_set(2)
    bpy.context.view_layer.update()
    found = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).modifiers[modifier.name]
    assert get_input(found, STRENGTH) == pytest.approx(0.25)


def test_a_head_without_maps_says_so(stage):
    package = stage.fake / "package" / "avatar.json"
    bpy.ops.likeness.import_package("EXEC_DEFAULT", filepath=str(package))
    assert page().labels == [TEXTS["wrinkles.none"]]
    assert not wrinkle_panel.LIKENESS_PT_wrinkle_regions.poll(Context())
    for operator in (bpy.ops.likeness.tension_overlay, bpy.ops.likeness.set_displacement):
        with pytest.raises(RuntimeError, match="no wrinkle maps"):
            operator()

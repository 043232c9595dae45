"""Runs inside the Blender under test (`--python`): answers questions, and does what no mouse can reach.

One request and one answer at a time, each a line of JSON, through a socket beside this file's copy.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import socket
import sys
import time
import traceback
from pathlib import Path

import bpy
from bpy_extras import view3d_utils
from mathutils import Vector

EXTENSION = "bl_ext.user_default.likeness"
_TICK_S = 0.03
_CHUNK_BYTES = 1 << 16

_tick_durations: list[float] = []


class SuiteSocket:
    """Questions from the suite and the answers, as far as they go without waiting.

    Blender's timer asks for them: in a thread, Python's collector of cycles could run, and free Blender's objects.
    """

    def __init__(self, path: str) -> None:
        """Listen at a path where nothing is yet; who connects waits for the first `exchange`."""
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(path)
        self._server.listen(1)
        self._server.setblocking(False)
        self._connection: socket.socket | None = None
        self._received = self._unsent = b""

    def exchange(self) -> None:
        """Send what is left of the last answer, then answer what has come.

        Raises:
            BlockingIOError: nothing more goes to or fro now.
        """
        if self._connection is None:
            self._connection, _ = self._server.accept()
            self._connection.setblocking(False)
        try:
            self._send()
            while b"\n" not in self._received:
                if not (chunk := self._connection.recv(_CHUNK_BYTES)):
                    raise ConnectionResetError
                self._received += chunk
            *lines, self._received = self._received.split(b"\n")
            self._unsent = b"".join(_answer(line).encode() + b"\n" for line in lines)
            self._send()
        except ConnectionError:
            # the suite has gone; another may come
            self._connection.close()
            self._connection, self._received, self._unsent = None, b"", b""

    def _send(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]


def _serve(suite: SuiteSocket) -> float:
    """Blender's timer: this is the main thread, where `bpy` may be touched."""
    with contextlib.suppress(BlockingIOError):
        suite.exchange()
    return _TICK_S


def _answer(line: bytes) -> str:
    try:
        # what is asked for is a function of this file, or an expression
        return json.dumps({"result": eval(json.loads(line)["expression"], globals())})
    except Exception:
        return json.dumps({"error": traceback.format_exc()})


# --- the extension --------------------------------------------------------------------------------------------------


def likeness(module: str):
    """A module of the installed extension."""
    return importlib.import_module(f"{EXTENSION}.addon.{module}")


def session():
    """The extension's session."""
    return likeness("interface.session").session()


def time_ticks() -> None:
    """From now on, measure what the extension's timer takes of the main thread."""
    now = session()
    if getattr(now._timer, "__name__", "") == "timed":
        return
    original = now._timer

    def timed() -> float | None:
        start = time.perf_counter()
        try:
            return original()
        finally:
            _tick_durations.append(time.perf_counter() - start)

    now._timer = timed


def take_ticks() -> list[float]:
    """Seconds of each tick since the last question."""
    taken = _tick_durations[:]
    _tick_durations.clear()
    return taken


def status() -> dict:
    """What the session is doing."""
    now = session()
    job, failure, info = now.queue.running, now.failure, now.queue.worker_info
    return {
        "job": job and {"id": job.id, "stage": job.stage, "fraction": job.fraction, "state": job.state.value},
        "jobs": len(now.queue.jobs),
        "worker": info and info.pid,
        "busy": now.busy,
        "waiting": [[avatar.name, avatar.wait] for avatar in now.finished],
        "choices": [len(choice.faces) for choice in now.choices],
        "failure": failure and [failure.error.code, failure.error.message, failure.error.hint],
        "ticking": bpy.app.timers.is_registered(now._timer),
    }


def chosen_python() -> str:
    """The backend's Python in the preferences."""
    return bpy.context.preferences.addons[EXTENSION].preferences.backend_python


def backend_status() -> str:
    """What the preferences say about it."""
    return session().status.get("backend", "")


def drop(directory: str, names: list[str], region: str = "UI") -> list[str]:
    """What Blender does when files from a file manager are dropped on a region of the 3D view."""
    with window_override(region):
        files = [{"name": name} for name in names]
        return sorted(bpy.ops.wm.drop_import_file("INVOKE_DEFAULT", directory=directory, files=files))


def photos() -> list[dict]:
    """The list of a folder's photos in the panel."""
    shown = bpy.context.window_manager.likeness_folder.photos
    return [
        {"name": photo.name, "verdict": photo.verdict, "use": photo.use, "picture": Path(photo.thumbnail).is_file()}
        for photo in shown
    ]


# --- the scene ------------------------------------------------------------------------------------------------------


def fingerprint() -> dict:
    """All that an avatar could change in the file."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    kinds = ("objects", "meshes", "armatures", "materials", "images", "actions", "cameras", "lights", "worlds",
             "collections", "node_groups", "texts")  # fmt: skip
    return {
        **{kind: sorted(item.name for item in getattr(bpy.data, kind)) for kind in kinds},
        "selected": sorted(item.name for item in layer.objects.selected),
        "active": layer.objects.active.name if layer.objects.active else None,
        "camera": scene.camera.name if scene.camera else None,
        "world": scene.world.name if scene.world else None,
        "frame": scene.frame_current,
    }


def avatars() -> list[dict]:
    """The heads in the scene, with what belongs to them."""
    found = []
    for item in bpy.context.scene.objects:
        if item.likeness.role == "HEAD":
            avatar = item.likeness.avatar_id
            parts = [other for other in bpy.context.scene.objects if other.likeness.avatar_id == avatar]
            found.append(
                {
                    "name": item.name,
                    "roles": sorted(part.likeness.role for part in parts),
                    "keys": len(item.data.shape_keys.key_blocks) if item.data.shape_keys else 0,
                    "vertices": len(item.data.vertices),
                    "package": item.likeness.package,
                    "photo": item.likeness.photo_name,
                    "materials": len(item.data.materials),
                    "maps": maps(item),
                }
            )
    return found


def folder_report(name: str) -> dict:
    """What the panel says of the folder that a head was made of."""
    head = bpy.context.scene.objects[name].likeness
    return {
        "used": head.photos_used,
        "found": head.photos_found,
        "error": round(head.photos_error, 2),
        "photos": {photo.name: photo.verdict for photo in head.photos},
        "held_out": head.held_out_photos,
        "before": round(head.held_out_before, 2),
        "after": round(head.held_out_after, 2),
    }


def key_values() -> list[float]:
    """The shape keys of the active head."""
    return [round(key.value, 4) for key in bpy.context.object.data.shape_keys.key_blocks]


def save_copy(path: str) -> None:
    """Another file, with what Blender has open now and one object more."""
    added = bpy.data.objects.new("Another file's", None)
    bpy.context.scene.collection.objects.link(added)
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    bpy.data.objects.remove(added)


def maps(head) -> list[list]:
    """Name, width, height and kind of storage of each image that a head's materials and modifiers use."""
    groups = [slot.material.node_tree for slot in head.material_slots if slot.material]
    seen, images = set(), {}
    while groups:
        tree = groups.pop()
        if tree is None or tree.name in seen:
            continue
        seen.add(tree.name)
        for node in tree.nodes:
            groups.append(getattr(node, "node_tree", None))
            image = getattr(node, "image", None)
            if image is not None:
                images[image.name] = [image.name, *image.size, "packed" if image.packed_file else image.source]
    return [images[name] for name in sorted(images)]


def view() -> str:
    """How the 3D view looks."""
    return view_area().spaces.active.region_3d.view_perspective


# --- the window -----------------------------------------------------------------------------------------------------


def on_screen(x: float, y: float, z: float) -> list[int]:
    """Where a point of the active object is seen, in pixels from the window's top left; metres from the object."""
    area, region = view_area(), region_of("WINDOW")
    point = bpy.context.object.matrix_world @ Vector((x, y, z))
    place = view3d_utils.location_3d_to_region_2d(region, area.spaces.active.region_3d, point)
    return [round(region.x + place.x), round(main_window().height - region.y - place.y)]


def main_window() -> bpy.types.Window:
    """The first window."""
    return bpy.context.window_manager.windows[0]


def largest_area(kind: str) -> tuple[bpy.types.Window, bpy.types.Area]:
    """The largest editor of a kind, and its window; nothing twice where there is none."""
    found = [
        (window, area)
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
        if area.type == kind
    ]
    return max(found, key=lambda pair: pair[1].width * pair[1].height, default=(None, None))


def view_area() -> bpy.types.Area:
    """The largest 3D view."""
    return largest_area("VIEW_3D")[1]


def region_of(kind: str, area: str = "VIEW_3D") -> bpy.types.Region:
    """A region of the largest editor of a kind."""
    return next(region for region in largest_area(area)[1].regions if region.type == kind)


def window_override(kind: str = "WINDOW", area: str = "VIEW_3D"):
    """The context of somebody who works in an editor."""
    window, editor = largest_area(area)
    return bpy.context.temp_override(window=window, area=editor, region=region_of(kind, area))


def box(kind: str, area: str = "VIEW_3D") -> list[int]:
    """A region's left, top, right and bottom in pixels from its window's top left."""
    region, height = region_of(kind, area), largest_area(area)[0].height
    return [region.x, height - region.y - region.height, region.x + region.width, height - region.y]


def show_sidebar(category: str) -> str:
    """Open the sidebar at a tab; returns the tab that was open."""
    area = view_area()
    if not area.spaces.active.show_region_ui:
        area.spaces.active.show_region_ui = True
        return ""
    region = region_of("UI")
    shown = region.active_panel_category
    if shown != category:
        region.active_panel_category = category
        # 4.3 does not do it by itself
        region.tag_redraw()
    return shown


def under_mouse(kind: str = "UI", area: str = "VIEW_3D") -> str:
    """What the button under the mouse is: its Python command, else the path of its property; empty without either."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with window_override(kind, area):
        for copy in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
            if not manager.clipboard and copy.poll():
                copy()
    return manager.clipboard


def browser_area() -> tuple:
    """The window and area of the open file browser; nothing twice where none is open."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "FILE_BROWSER" and area.spaces.active.params is not None:
                return window, area
    return None, None


def browser() -> dict | None:
    """What the open file browser shows, and where its list and its buttons are in its window, from the top left."""
    window, area = browser_area()
    if area is None:
        return None
    params, operator = area.spaces.active.params, area.spaces.active.active_operator
    boxes = {
        region.type: [region.x, window.height - region.y - region.height, region.x + region.width,
                      window.height - region.y]
        for region in area.regions
    }  # fmt: skip
    return {
        "folder": os.fsdecode(params.directory),
        "file": params.filename,
        "operator": operator.bl_idname if operator else "",
        "list": boxes["WINDOW"],
        "buttons": boxes["EXECUTE"],
    }


def browser_option(name: str):
    """An option beside the open file browser; its value."""
    return getattr(browser_area()[1].spaces.active.active_operator.properties, name)


def browse(folder: str, name: str = "") -> None:
    """Go to a folder in the open file browser, and write a name into its line."""
    params = browser_area()[1].spaces.active.params
    params.directory = os.fsencode(folder)
    if name:
        params.filename = name


def close_window(area: str) -> None:
    """Close an editor's window, as the cross in its frame does; there is no window manager to draw one."""
    window, editor = largest_area(area)
    with bpy.context.temp_override(window=window, area=editor):
        bpy.ops.wm.window_close()


def regions(area: str) -> list[str]:
    """The kinds of regions of an editor; none where it is not open."""
    editor = largest_area(area)[1]
    return [region.type for region in editor.regions] if editor else []


def quiet() -> None:
    """No splash screen, no question about unsaved changes, and no other surprises for a mouse that cannot see."""
    preferences = bpy.context.preferences
    preferences.view.show_splash = False
    preferences.view.use_save_prompt = False
    preferences.system.use_online_access = False
    # the profile is the test's own, and is written by its steps alone
    preferences.use_preferences_save = True


quiet()
_serve_suite = functools.partial(_serve, SuiteSocket(sys.argv[sys.argv.index("--") + 1]))
bpy.app.timers.register(_serve_suite, first_interval=_TICK_S, persistent=True)

"""Runs inside the Blender under test (`--python`): answers questions, and does what no mouse can reach.

One request and one answer at a time, each a line of JSON, through a socket beside this file's copy.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import socket
import sys
import threading
import time
import traceback

import bpy

EXTENSION = "bl_ext.user_default.likeness"
_TICK_S = 0.03

_requests: queue.SimpleQueue = queue.SimpleQueue()
_tick_durations: list[float] = []
_gaps: list[float] = []
_last = [0.0]


def _listen(path: str) -> None:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(1)
    while True:
        connection, _ = server.accept()
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            for line in stream:
                answers: queue.SimpleQueue = queue.SimpleQueue()
                _requests.put((json.loads(line), answers))
                stream.write(json.dumps(answers.get()) + "\n")
                stream.flush()


def _serve() -> float:
    """Blender's timer: this is the main thread, where `bpy` may be touched."""
    now = time.perf_counter()
    _gaps.append(now - _last[0])
    _last[0] = now
    while not _requests.empty():
        request, answers = _requests.get()
        try:
            # what is asked for is a function of this file, or an expression
            result = eval(request["expression"], globals())
            json.dumps(result)
            answers.put({"result": result})
        except Exception:
            answers.put({"error": traceback.format_exc()})
    return _TICK_S


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


def order(photo: str, **options: object) -> list[str]:
    """Choose a photo as the file browser does, without it."""
    with window_override():
        return sorted(bpy.ops.likeness.photo("EXEC_DEFAULT", filepath=photo, **options))


def drop(directory: str, names: list[str]) -> list[str]:
    """What Blender does with the operator of a file handler when files are dropped on the viewport."""
    with window_override():
        files = [{"name": name} for name in names]
        return sorted(bpy.ops.likeness.photo("INVOKE_DEFAULT", directory=directory, files=files, face=1))


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
            parts = [other for other in bpy.context.scene.objects if other.likeness.avatar_id == item.likeness.avatar_id]
            found.append(
                {
                    "name": item.name,
                    "roles": sorted(part.likeness.role for part in parts),
                    "keys": len(item.data.shape_keys.key_blocks) if item.data.shape_keys else 0,
                    "vertices": len(item.data.vertices),
                    "package": item.likeness.package,
                    "photo": item.likeness.photo_name,
                    "materials": len(item.data.materials),
                }
            )
    return found


def view() -> str:
    """How the 3D view looks."""
    return view_area().spaces.active.region_3d.view_perspective


# --- the window -----------------------------------------------------------------------------------------------------


def main_window() -> bpy.types.Window:
    """The first window."""
    return bpy.context.window_manager.windows[0]


def view_area() -> bpy.types.Area:
    """The largest 3D view."""
    views = [area for area in main_window().screen.areas if area.type == "VIEW_3D"]
    return max(views, key=lambda area: area.width * area.height)


def region_of(kind: str) -> bpy.types.Region:
    """A region of the 3D view."""
    return next(region for region in view_area().regions if region.type == kind)


def window_override(kind: str = "WINDOW"):
    """The context of somebody who works in the 3D view."""
    return bpy.context.temp_override(window=main_window(), area=view_area(), region=region_of(kind))


def box(kind: str) -> list[int]:
    """A region's left, top, right and bottom in pixels from the window's top left."""
    region, height = region_of(kind), main_window().height
    return [region.x, height - region.y - region.height, region.x + region.width, height - region.y]


def show_sidebar(category: str) -> str:
    """Open the sidebar at a tab; returns the tab that is open."""
    area = view_area()
    if not area.spaces.active.show_region_ui:
        area.spaces.active.show_region_ui = True
        return ""
    region = region_of("UI")
    if region.active_panel_category != category:
        region.active_panel_category = category
    return region.active_panel_category


def under_mouse() -> str:
    """The Python command of the button under the mouse; empty where there is none."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    with window_override("UI"):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
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


def browse(folder: str) -> None:
    """Go to a folder in the open file browser."""
    browser_area()[1].spaces.active.params.directory = os.fsencode(folder)


def quiet() -> None:
    """No splash screen, no question about unsaved changes, and no other surprises for a mouse that cannot see."""
    preferences = bpy.context.preferences
    preferences.view.show_splash = False
    preferences.view.use_save_prompt = False
    preferences.system.use_online_access = False


quiet()
threading.Thread(target=_listen, args=(sys.argv[sys.argv.index("--") + 1],), daemon=True).start()
_last[0] = time.perf_counter()
bpy.app.timers.register(_serve, first_interval=_TICK_S, persistent=True)

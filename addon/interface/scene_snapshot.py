"""Puts the scene back to what it was when building an avatar fails half way."""

from __future__ import annotations

import bpy

# every kind of data that an avatar has
_KINDS = (
    "collections", "objects", "meshes", "armatures", "materials", "images", "actions", "cameras", "lights", "worlds",
    "node_groups", "texts",
)  # fmt: skip


class SceneSnapshot:
    """What there is, what is selected, and the scene's own settings that an avatar may change."""

    def __init__(self, context: bpy.types.Context) -> None:
        scene = context.scene
        self._uids = {kind: {item.session_uid for item in getattr(bpy.data, kind)} for kind in _KINDS}
        self._scene = scene
        self._view_layer = context.view_layer
        self._camera, self._world, self._frame = scene.camera, scene.world, scene.frame_current
        self._active = context.view_layer.objects.active
        self._selected = list(context.view_layer.objects.selected)

    def restore(self) -> None:
        """Remove all that is new, and select again what was selected; only right after a failure."""
        if self._view_layer.objects.active is not None and self._view_layer.objects.active.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        new = [item for kind in _KINDS for item in getattr(bpy.data, kind) if item.session_uid not in self._uids[kind]]
        self._scene.camera, self._scene.world = self._camera, self._world
        bpy.data.batch_remove(new)
        if self._scene.frame_current != self._frame:
            self._scene.frame_set(self._frame)
        self.select_again()

    def select_again(self) -> None:
        """Select what was selected, and nothing else."""
        for item in self._view_layer.objects.selected[:]:
            item.select_set(False, view_layer=self._view_layer)
        for item in self._selected:
            item.select_set(True, view_layer=self._view_layer)
        self._view_layer.objects.active = self._active

"""Operators of the Exact Wrinkles panel: bake a range of frames, show the bake, remove it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.avatar_package import DESCRIPTION_FILE
from ..exchange.errors import LikenessError
from ..exchange.expression_states import LAST_FRAME, ExpressionStates, write_states
from ..exchange.worker_messages import WrinklesRequest
from ..expressions.avatar_parts import AvatarParts
from ..scene.shape_keys import distinct_key_names
from ..wrinkles.add_wrinkles import wrinkle_modifier
from ..wrinkles.exact_frames import ExactFrames, exact_image, remove_exact_frames, show_exact_frames
from ..wrinkles.frame_states import collect_states
from .active_avatar import active_avatar
from .avatar_operators import existing_package
from .avatar_properties import head_of_uid
from .bake_folder import bake_folder, bake_owner
from .expression_operators import ExpressionOperator, words
from .guarded_operator import FINISHED, GuardedOperator
from .orders import BakeOrder
from .redraw import redraw_panels
from .session import session
from .texts import TEXTS, text
from .user_folders import cache_folder
from .wrinkle_operators import wrinkled_avatar

SCENE, OWN = "SCENE", "OWN"
_HIDDEN = {"HIDDEN", "SKIP_SAVE"}
_PERCENT = 100


class LIKENESS_OT_bake_wrinkles(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.bake_wrinkles"
    bl_label = TEXTS["bake"]
    bl_description = TEXTS["bake.tip"]
    # the scene changes when the bake is shown, which is an undo step of its own
    bl_options = frozenset({"REGISTER"})

    range: EnumProperty(
        items=[(SCENE, TEXTS["bake.scene"], TEXTS["bake.scene.tip"]), (OWN, TEXTS["bake.own"], TEXTS["bake.own.tip"])],
        **words("bake.range"),
    )
    first: IntProperty(default=1, min=0, max=LAST_FRAME, **words("bake.first"))
    last: IntProperty(default=250, min=0, max=LAST_FRAME, **words("bake.last"))

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask for the frames."""
        if not self.properties.is_property_set("first"):
            self.first, self.last = context.scene.frame_start, context.scene.frame_end
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        self.layout.use_property_split = True
        self.layout.row().prop(self, "range", expand=True)
        column = self.layout.column(align=True)
        column.enabled = self.range == OWN
        column.prop(self, "first")
        column.prop(self, "last")

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Collect what the avatar shows, and let the worker do the rest."""
        avatar = wrinkled_avatar(context)
        frames = self._frames(context.scene)
        head, package = avatar.mesh, existing_package(avatar.mesh)
        names = _package_names(package)
        folder = bake_folder(head, package, session().bake_folders(but_of=head.session_uid))
        states = _collected(context, avatar, frames, names)
        file = _write(states)
        request = WrinklesRequest(str(package), str(file), str(folder), bake_owner(head))
        order = BakeOrder(head.session_uid, folder, frames[0], frames[-1], file)
        session().order_bake(order, request, text("bake.title", name=head.name))
        unknown = [key.name for key in avatar.moved_keys() if key.value and key.name not in names]
        if unknown:
            self.report({"WARNING"}, text("bake.unknown", names=", ".join(unknown)))
        else:
            self.report({"INFO"}, text("bake.queued", first=frames[0], last=frames[-1]))
        return FINISHED

    def _frames(self, scene: bpy.types.Scene) -> range:
        first, last = (scene.frame_start, scene.frame_end) if self.range == SCENE else (self.first, self.last)
        if last < first:
            raise LikenessError(
                "no_frames", text("bake.no_frames", first=first, last=last), text("bake.no_frames.hint")
            )
        return range(first, last + 1)


def _package_names(package: Path) -> dict[str, str]:
    """Names of the mesh's keys to the package's own names of them."""
    try:
        document = json.loads((package / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        own = [str(name) for name in document["expression_names"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LikenessError(
            "package_damaged", text("bake.damaged", name=package.name), text("package.missing.hint")
        ) from error
    names = dict(zip(distinct_key_names(own, ARKIT_NAMES), own, strict=True))
    return {**{name: name for name in ARKIT_NAMES}, **names}


def _collected(
    context: bpy.types.Context, avatar: AvatarParts, frames: range, names: dict[str, str]
) -> ExpressionStates:
    """The states, with the cursor counting."""
    manager = context.window_manager
    manager.progress_begin(0, _PERCENT)
    try:
        return collect_states(
            context, avatar, frames, names, lambda fraction: manager.progress_update(_PERCENT * fraction)
        )
    finally:
        manager.progress_end()


def _write(states: ExpressionStates) -> Path:
    """Keep the states for the worker."""
    file = cache_folder() / "bakes" / f"{uuid.uuid4().hex}.safetensors"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LikenessError(
            "states_unwritable",
            text("bake.states_unwritable", folder=file.parent, reason=error.strerror or error),
            text("error.place.hint"),
        ) from error
    write_states(file, states)
    return file


class LIKENESS_OT_show_bake(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.show_bake"
    bl_label = TEXTS["bake.show"]
    bl_description = TEXTS["bake.show.tip"]
    bl_options = frozenset({"INTERNAL", "UNDO"})

    head_uid: StringProperty(options=_HIDDEN)
    folder: StringProperty(options=_HIDDEN)
    first: IntProperty(options=_HIDDEN)
    last: IntProperty(options=_HIDDEN)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Wire the images."""
        head = head_of_uid(int(self.head_uid))
        if head is None:
            raise LikenessError(
                "bake_head_gone", text("bake.head_gone"), text("bake.head_gone.hint", folder=self.folder)
            )
        show_exact_frames(head, ExactFrames(self.folder, self.first, self.last))
        redraw_panels()
        return FINISHED


class LIKENESS_OT_remove_bake(ExpressionOperator, bpy.types.Operator):
    bl_idname = "likeness.remove_bake"
    bl_label = TEXTS["bake.remove"]
    bl_description = TEXTS["bake.remove.tip"]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Something is baked."""
        avatar = active_avatar(context)
        if avatar is None or exact_image(wrinkle_modifier(avatar.mesh)) is None:
            cls.poll_message_set(text("bake.remove.poll"))
            return False
        return super().poll(context)

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Take the images out."""
        remove_exact_frames(wrinkled_avatar(context).mesh)
        return FINISHED


CLASSES = (LIKENESS_OT_bake_wrinkles, LIKENESS_OT_show_bake, LIKENESS_OT_remove_bake)

"""The panels of the sidebar tab; drawing reads no files and changes nothing."""

from __future__ import annotations

import os

import bpy

from ..exchange.avatar_package import THUMBNAIL_FILE
from ..worker.job import Job, JobState
from .active_avatar import may_have_avatar
from .avatar_properties import head_of
from .create_options import draw_built_options, draw_made_options
from .drawn_sentence import draw_sentence, free_px, shortened
from .folder_panel import draw_folder_report, draw_folder_review
from .import_finished import wait_text
from .orders import Failure, FinishedAvatar
from .pictures import picture_icon
from .session import Session, has_session, session
from .texts import CONTEXT, TEXTS, duration_text, text

_PICTURE_SCALE = 6.0
# between the words in a progress bar and the sidebar's edges, at scale 1
_BAR_MARGIN_PX = 64
_CLOSED = frozenset({"DEFAULT_CLOSED"})
# the button that mends a failure, by the beginning of the error's code
_MENDED_BY = {
    "backend": "likeness.open_preferences",
    "python": "likeness.open_preferences",
    "torch": "likeness.open_preferences",
    "device": "likeness.open_preferences",
    "head_file": "likeness.choose_flame",
    "side_file": "likeness.choose_flame",
    "not_flame": "likeness.choose_flame",
    "flame": "likeness.choose_flame",
    "worker": "likeness.open_log",
    "fault": "likeness.open_log",
    "import_failed": "likeness.open_log",
}
_LABEL_OF = {
    "likeness.open_preferences": "preferences.open",
    "likeness.choose_flame": "flame.choose",
    "likeness.open_log": "log",
}


class LikenessPanel:
    """Mixin: where our panels stand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = TEXTS["tab"]
    bl_translation_context = CONTEXT

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """While the add-on is being switched off there is nothing to draw."""
        return has_session()


class AvatarPanel(LikenessPanel):
    """Mixin: a folded panel for what is done with an avatar."""

    bl_options = _CLOSED

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There is an avatar."""
        return super().poll(context) and may_have_avatar(context)


class LIKENESS_PT_create(LikenessPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_create"
    bl_label = TEXTS["create"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, now = self.layout, session()
        layout.label(text=text("create.first"), translate=False)
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("likeness.photo", text=text("photo.button"), icon="IMAGE_DATA", translate=False)
        row.operator("likeness.folder", text=text("folder.button"), icon="FILE_FOLDER", translate=False)
        if context.object is not None and context.object.type == "EMPTY":
            layout.operator("likeness.image_object", icon="IMAGE_REFERENCE")
        if now.backend_error is not None and now.failure is None:
            _draw_setup(layout)
        _draw_jobs(layout, now)
        for choice in now.choices:
            _draw_choice(layout, choice)
        if now.review is not None and now.review.order.scene_uid == context.scene.session_uid:
            draw_folder_review(layout, now.review, context.region.width)
        for avatar in now.finished:
            if avatar.wait:
                _draw_finished(layout, avatar)
        if now.failure is not None:
            _draw_failure(layout, now.failure)


class LIKENESS_PT_options(LikenessPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_options"
    bl_label = TEXTS["create.options"]
    bl_parent_id = "LIKENESS_PT_create"
    bl_options = _CLOSED

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        options = context.scene.likeness
        draw_made_options(self.layout, options)
        if options.head_model == "flame":
            self.layout.operator("likeness.choose_flame", icon="FILE")
        self.layout.separator()
        draw_built_options(self.layout, options)


class LIKENESS_PT_avatar(LikenessPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_avatar"
    bl_label = TEXTS["avatar"]

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        layout, head = self.layout, head_of(context.object)
        if head is None:
            layout.label(text=text("avatar.none"), translate=False)
            return
        avatar = head.likeness
        if avatar.has_photo:
            icon = picture_icon(_thumbnail_path(avatar.package))
            if icon:
                layout.template_icon(icon, scale=_PICTURE_SCALE)
            layout.label(text=text("avatar.quality", words=avatar.quality_words), translate=False)
            for warning in avatar.warnings.splitlines():
                draw_sentence(layout, warning, context.region.width, "ERROR")
            layout.operator("likeness.view_from_photo", icon="VIEW_CAMERA")
        elif not avatar.photos_used:
            layout.label(text=text("avatar.no_photo"), translate=False)
        draw_folder_report(layout, avatar, context.region.width)
        layout.operator("likeness.personalise_folder", icon="FILE_FOLDER")


class LIKENESS_PT_avatar_details(LikenessPanel, bpy.types.Panel):
    bl_idname = "LIKENESS_PT_avatar_details"
    bl_label = TEXTS["avatar.details"]
    bl_parent_id = "LIKENESS_PT_avatar"
    bl_options = _CLOSED

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an avatar."""
        return has_session() and head_of(context.object) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """Called by Blender."""
        avatar = head_of(context.object).likeness
        column = self.layout.column()
        for line in _details(avatar):
            column.label(text=line, translate=False)
        buttons = self.layout.column(align=True)
        buttons.operator("likeness.reload_texture", icon="FILE_REFRESH")
        buttons.operator("likeness.export_neutral", icon="EXPORT")
        buttons.operator("likeness.reload_neutral", icon="FILE_REFRESH")
        buttons.operator("likeness.reveal_package", icon="FILE_FOLDER")
        buttons.operator("likeness.find_package", icon="VIEWZOOM")


def _details(avatar: bpy.types.PropertyGroup) -> list[str]:
    lines = []
    if avatar.has_photo:
        lines = [
            text("avatar.error", percent=avatar.landmark_error),
            text("avatar.photo", name=avatar.photo_name),
            text("avatar.face", used=avatar.face_used, found=avatar.faces_found),
        ]
    return [
        *lines,
        text("avatar.head", name=avatar.head_name),
        text("avatar.licence", licence=avatar.head_licence),
        text("avatar.created", created=avatar.created, version=avatar.version),
    ]


def _thumbnail_path(package: str) -> str:
    return os.path.join(bpy.path.abspath(package), THUMBNAIL_FILE) if package else ""  # noqa: PTH118 - drawn often


def _draw_setup(layout: bpy.types.UILayout) -> None:
    box = layout.box()
    box.label(text=text("create.no_backend"), icon="INFO", translate=False)
    box.operator("likeness.open_preferences", icon="PREFERENCES")


def _draw_jobs(layout: bpy.types.UILayout, now: Session) -> None:
    job = now.queue.running
    if job is None:
        return
    box = layout.box()
    draw_job(box, job)
    info = now.queue.worker_info
    if info is not None:
        device = info.device_name or info.device
        box.label(text=text("create.device", device=device), translate=False)
    waiting = len(now.queue.jobs) - 1
    if waiting:
        row = box.row()
        row.label(text=text("create.waiting", count=waiting), translate=False)
        row.operator("likeness.cancel_all")


def draw_job(layout: bpy.types.UILayout, job: Job) -> None:
    """The job at work: its name, its bar, and the button that stops it."""
    row = layout.row()
    row.label(text=job.title, icon="USER", translate=False)
    # no wider than its word, so that the title keeps the rest
    end = row.row()
    end.alignment = "RIGHT"
    end.operator("likeness.cancel", text=text("cancel"), icon="X", translate=False).job = job.id
    layout.progress(factor=job.fraction, text=_progress_text(job))


def _progress_text(job: Job) -> str:
    if job.state is JobState.CANCELLING:
        return text("create.cancelling")
    stage = job.text[:1].upper() + job.text[1:]
    if job.seconds_left is None:
        return stage
    left = duration_text(job.seconds_left)
    room = free_px(_BAR_MARGIN_PX, text("create.time_left", stage="", time=left))
    return text("create.time_left", stage=shortened(stage, room), time=left)


def _draw_choice(layout: bpy.types.UILayout, choice) -> None:
    box = layout.box()
    row = box.row()
    words = text("faces.first", name=choice.order.photo.stem, count=len(choice.faces))
    row.label(text=words, icon="QUESTION", translate=False)
    row.operator("likeness.dismiss", text="", icon="X").key = choice.key
    box.operator("likeness.choose_face").key = choice.key


def _draw_finished(layout: bpy.types.UILayout, avatar: FinishedAvatar) -> None:
    box = layout.box()
    row = box.row()
    row.label(text=text("finished", name=avatar.name), icon="CHECKMARK", translate=False)
    row.operator("likeness.dismiss", text="", icon="X").key = str(avatar.package)
    box.label(text=wait_text(avatar), translate=False)
    box.operator("likeness.import_finished").package = str(avatar.package)


def _draw_failure(layout: bpy.types.UILayout, failure: Failure) -> None:
    box = layout.box()
    row = box.row()
    row.alert = True
    row.label(text=text("create.failed", title=failure.title), icon="ERROR", translate=False)
    row.operator("likeness.dismiss", text="", icon="X").key = ""
    width = bpy.context.region.width if bpy.context.region is not None else 0
    for sentence in (failure.error.message, failure.error.hint):
        draw_sentence(box, sentence, width)
    code = failure.error.code
    mending = next((operator for start, operator in _MENDED_BY.items() if code.startswith(start)), None)
    if mending is not None:
        box.operator(mending, text=text(_LABEL_OF[mending]), translate=False)


CLASSES = (LIKENESS_PT_create, LIKENESS_PT_options, LIKENESS_PT_avatar, LIKENESS_PT_avatar_details)

"""What the panels show of folders of photos: the list of a judged one, and what an avatar was made of."""

from __future__ import annotations

import bpy

from .drawn_sentence import draw_sentence, free_px, shortened
from .folder_list import photo_list
from .orders import FolderReview
from .pictures import picture_icon
from .texts import text

_ROWS = 6
_PICTURE_SCALE = 4.0
# of a label in a box in the sidebar, at scale 1
_LABEL_MARGIN_PX = 70


def draw_folder_review(layout: bpy.types.UILayout, review: FolderReview, width_px: int) -> None:
    """The list, the photo that is chosen in it, and what can be done.

    Args:
        review: the judged folder; width_px: of the region.
    """
    shown, order = photo_list(), review.order
    photos = shown.photos
    box = layout.box()
    row = box.row()
    used = sum(photo.use for photo in photos)
    summary = text("folder.summary", name=order.folder.name, used=used, count=len(photos))
    row.label(text=summary, icon="FILE_FOLDER", translate=False)
    row.operator("likeness.close_folder", text="", icon="X")
    box.template_list("LIKENESS_UL_folder", "", shown, "photos", shown, "active", rows=_ROWS)
    if 0 <= shown.active < len(photos):
        photo = photos[shown.active]
        icon = picture_icon(photo.thumbnail)
        if icon:
            box.template_icon(icon, scale=_PICTURE_SCALE)
        box.label(text=shortened(photo.name, free_px(_LABEL_MARGIN_PX)), translate=False)
        draw_sentence(box, photo.sentence, width_px)
    # the first counts what the summary counts
    for sentence in review.judged.sentences[1:]:
        draw_sentence(box, sentence, width_px, "INFO")
    if any(photo.use != photo.chosen for photo in photos):
        box.operator("likeness.judge_folder_again", icon="FILE_REFRESH")
    words = text("personalise.make", name=order.settings.name) if order.head_uid else text("folder.make")
    box.operator("likeness.make_folder_avatar", text=words, icon="USER", translate=False)


def draw_folder_report(layout: bpy.types.UILayout, avatar: bpy.types.PropertyGroup, width_px: int) -> None:
    """How many photos an avatar was made of, and how well it fits them; nothing for an avatar of one photo.

    Args:
        avatar: the properties of its head; width_px: of the region.
    """
    if not avatar.photos_used:
        return
    column = layout.column(align=True)
    column.label(text=text("report.used", used=avatar.photos_used, count=avatar.photos_found), translate=False)
    column.label(text=text("report.error", percent=avatar.photos_error), translate=False)
    if avatar.held_out_photos:
        key = "report.held_out" if avatar.held_out_photos > 1 else "report.held_out_one"
        before, after = avatar.held_out_before, avatar.held_out_after
        draw_sentence(layout, text(key, photos=avatar.held_out_photos, before=before, after=after), width_px)

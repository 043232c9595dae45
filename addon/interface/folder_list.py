"""The list of a judged folder's photos, as Blender's lists need it: properties of the window manager, never saved."""

from __future__ import annotations

from pathlib import PurePosixPath

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, StringProperty

from .drawn_sentence import free_px, shortened
from .orders import FolderReview
from .pictures import forget_picture, picture_icon
from .texts import CONTEXT, TEXTS, text

# what a row needs at scale 1 besides its words: panel, box, tick, thumbnail, gap, the list's slider
_ROW_MARGIN_PX = 162


class LIKENESS_PG_folder_photo(bpy.types.PropertyGroup):
    """One photo; `name` is Blender's own."""

    verdict: StringProperty()
    sentence: StringProperty()
    # absolute; empty where the photo could not be read
    thumbnail: StringProperty(subtype="FILE_PATH")
    chosen: BoolProperty()
    usable: BoolProperty()
    use: BoolProperty(name=TEXTS["folder.use"], description=TEXTS["folder.use.tip"], translation_context=CONTEXT)


class LIKENESS_PG_folder(bpy.types.PropertyGroup):
    """All photos of the folder that the artist looks through."""

    photos: CollectionProperty(type=LIKENESS_PG_folder_photo)
    active: IntProperty()


class LIKENESS_UL_folder(bpy.types.UIList):
    bl_idname = "LIKENESS_UL_folder"

    def draw_item(
        self, _context, layout, _data, photo, _icon, _active_data, _active_property, _index=0, _flag=0
    ) -> None:  # fmt: skip
        """Called by Blender for each row that can be seen."""
        row = layout.row(align=True)
        tick = row.row()
        tick.enabled = photo.usable
        tick.prop(photo, "use", text="")
        verdict = photo.verdict if photo.use == photo.chosen else text("folder.yours")
        row.label(
            text=row_name(photo.name, free_px(_ROW_MARGIN_PX, verdict)),
            icon_value=picture_icon(photo.thumbnail),
            translate=False,
        )
        end = row.row()
        end.alignment = "RIGHT"
        end.label(text=verdict, translate=False)


def row_name(name: str, room_px: float) -> str:
    """A photo's name as it fits into a row: without its folders, and without its ending before anything else is cut."""
    path = PurePosixPath(name)
    return path.name if shortened(path.name, room_px) == path.name else shortened(path.stem, room_px)


def photo_list() -> LIKENESS_PG_folder:
    """The list; empty where no folder was judged."""
    return bpy.context.window_manager.likeness_folder


def fill_list(review: FolderReview) -> None:
    """Show a folder, ticked as it was judged."""
    shown = photo_list()
    shown.photos.clear()
    for photo in review.judged.photos:
        row = shown.photos.add()
        row.name, row.verdict, row.sentence = photo.name, photo.verdict, photo.sentence
        # of another person the sentence says it itself
        if photo.sure is not None and photo.chosen:
            row.sentence += " " + text("folder.sure", percent=round(100 * photo.sure)) + "."
        row.thumbnail = str(review.thumbnails / photo.thumbnail) if photo.thumbnail else ""
        row.chosen = row.use = photo.chosen
        row.usable = photo.usable
    shown.active = 0


def forget_list() -> None:
    """Empty it."""
    for photo in photo_list().photos:
        forget_picture(photo.thumbnail)
    photo_list().photos.clear()


def ticks() -> dict[str, bool]:
    """Which photos the artist wants used."""
    return {photo.name: photo.use for photo in photo_list().photos}


CLASSES = (LIKENESS_PG_folder_photo, LIKENESS_PG_folder, LIKENESS_UL_folder)

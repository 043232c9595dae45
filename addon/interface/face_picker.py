"""The dialog that asks which faces of a photo shall become avatars."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty, StringProperty

from ..exchange.errors import LikenessError
from .guarded_operator import FINISHED, GuardedOperator
from .import_finished import reason_to_wait, window_of_scene
from .orders import FaceChoice
from .pictures import picture_icon
from .session import session
from .texts import CONTEXT, TEXTS, text

_COLUMNS = 4
_PICTURE_SCALE = 5.0
_COLUMN_WIDTH_PX = 140

# Blender keeps only pointers to the items' texts, so Python has to keep the texts
_items: list[tuple[str, str, str, int, int]] = []


def _face_items(operator: bpy.types.Operator, _context: bpy.types.Context | None) -> list[tuple]:
    try:
        faces = session().choice(operator.key).faces
    except LikenessError:
        faces = ()
    items = [
        (str(face.number), text("faces.number", number=face.number), "", picture_icon(face.crop), 1 << index)
        for index, face in enumerate(faces[:_MOST_FLAGS])
    ]
    # asked several times while it draws: the texts that it points to already stay
    if items != _items:
        _items[:] = items
    return _items


# the bits of an enumeration of flags
_MOST_FLAGS = 31


class LIKENESS_OT_choose_face(GuardedOperator, bpy.types.Operator):
    bl_idname = "likeness.choose_face"
    bl_label = TEXTS["faces"]
    bl_description = TEXTS["faces.tip"]

    key: StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    faces: EnumProperty(
        items=_face_items,
        options={"ENUM_FLAG", "SKIP_SAVE"},
        name=TEXTS["faces"],
        description=TEXTS["faces.tip"],
        translation_context=CONTEXT,
    )

    def begin(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Show the faces, the largest chosen."""
        faces = session().choice(self.key).faces
        self.faces = {str(faces[0].number)}
        width = _COLUMN_WIDTH_PX * min(_COLUMNS, len(faces))
        return context.window_manager.invoke_props_dialog(self, width=max(width, 2 * _COLUMN_WIDTH_PX))

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        choice = session().choice(self.key)
        self.layout.label(text=text("faces.question"))
        grid = self.layout.grid_flow(row_major=True, columns=min(_COLUMNS, len(choice.faces)), even_columns=True)
        for face in choice.faces[:_MOST_FLAGS]:
            column = grid.column(align=True)
            column.template_icon(picture_icon(face.crop), scale=_PICTURE_SCALE)
            column.prop_enum(self, "faces", str(face.number))

    def perform(self, context: bpy.types.Context) -> set[str]:
        """Make the chosen ones."""
        if not self.faces:
            raise LikenessError("no_face", text("faces.none"), text("faces.none.hint"))
        session().choose_faces(self.key, sorted(int(number) for number in self.faces))
        return FINISHED


def ask_for_faces(choice: FaceChoice) -> None:
    """Open the dialog by itself, unless the artist is in the middle of something; the panel asks besides."""
    window = window_of_scene(choice.order.scene_uid)
    if bpy.app.background or window is None or reason_to_wait(window) in ("wait.render", "wait.modal"):
        return
    with bpy.context.temp_override(window=window):
        bpy.ops.likeness.choose_face("INVOKE_DEFAULT", key=choice.key)


CLASSES = (LIKENESS_OT_choose_face,)

"""Everything that Blender learns of us when the add-on is switched on, and forgets when it is switched off."""

from __future__ import annotations

import bpy
from bpy.props import PointerProperty

from . import (
    avatar_operators,
    bake_operators,
    bake_panel,
    create_operators,
    export_operators,
    export_panel,
    expression_operators,
    expression_panel,
    face_picker,
    folder_list,
    folder_operators,
    folder_report_panel,
    import_operators,
    job_operators,
    motion_operators,
    panels,
    preference_operators,
    wrinkle_operators,
    wrinkle_panel,
)
from .avatar_properties import LIKENESS_PG_avatar, LIKENESS_PG_avatar_photo
from .backend_choice import chosen_environment, start_chosen_worker
from .create_options import LIKENESS_PG_create
from .expression_operators import LIKENESS_PG_posing
from .extension_package import PACKAGE
from .pictures import close_pictures, open_pictures
from .preferences import LikenessPreferences
from .session import close_session, open_session
from .texts import TRANSLATIONS, text

# in the order in which they need one another
CLASSES = (
    LIKENESS_PG_avatar_photo,
    LIKENESS_PG_avatar,
    LIKENESS_PG_create,
    *preference_operators.CLASSES,
    LikenessPreferences,
    *create_operators.CLASSES,
    *job_operators.CLASSES,
    *import_operators.CLASSES,
    *face_picker.CLASSES,
    *avatar_operators.CLASSES,
    *folder_list.CLASSES,
    *folder_operators.CLASSES,
    *expression_operators.CLASSES,
    *motion_operators.CLASSES,
    *wrinkle_operators.CLASSES,
    *bake_operators.CLASSES,
    *export_operators.CLASSES,
    *panels.CLASSES,
    *folder_report_panel.CLASSES,
    *expression_panel.CLASSES,
    *wrinkle_panel.CLASSES,
    *bake_panel.CLASSES,
    *export_panel.CLASSES,
)


def register() -> None:
    """Switch the add-on on."""
    bpy.app.translations.register(PACKAGE, TRANSLATIONS)
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.likeness = PointerProperty(type=LIKENESS_PG_avatar)
    bpy.types.Scene.likeness = PointerProperty(type=LIKENESS_PG_create)
    bpy.types.Scene.likeness_posing = PointerProperty(type=LIKENESS_PG_posing)
    bpy.types.WindowManager.likeness_folder = PointerProperty(type=folder_list.LIKENESS_PG_folder)
    open_pictures()
    open_session(start_chosen_worker, chosen_environment).ask_with(face_picker.ask_for_faces)
    wrinkle_operators.follow_undo()
    bpy.types.TOPBAR_MT_file_import.append(_draw_import_menu)
    bpy.types.TOPBAR_MT_file_export.append(export_panel.draw_export_menu)
    bpy.types.VIEW3D_MT_mesh_add.append(_draw_add_menu)


def unregister() -> None:
    """Switch it off, whatever it is doing: the worker ends, running jobs with it."""
    bpy.types.VIEW3D_MT_mesh_add.remove(_draw_add_menu)
    bpy.types.TOPBAR_MT_file_export.remove(export_panel.draw_export_menu)
    bpy.types.TOPBAR_MT_file_import.remove(_draw_import_menu)
    wrinkle_operators.forget_undo()
    close_session()
    close_pictures()
    del bpy.types.WindowManager.likeness_folder
    del bpy.types.Scene.likeness_posing
    del bpy.types.Scene.likeness
    del bpy.types.Object.likeness
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.app.translations.unregister(PACKAGE)


def _draw_import_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator("likeness.photo", text=text("photo.menu"), translate=False)
    menu.layout.operator("likeness.import_package", text=text("import.menu"), translate=False)


def _draw_add_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator("likeness.add_head", text=text("head"), icon="USER", translate=False)

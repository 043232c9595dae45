"""Every text of the interface, in English, in one place.

A translation is one more dictionary in TRANSLATIONS: Blender looks a text up under CONTEXT when its language is set to
that locale. Texts with {names} are filled in after they are translated.
"""

from __future__ import annotations

import bpy

from .animation_texts import ANIMATION_TEXTS
from .bake_texts import BAKE_TEXTS
from .folder_texts import FOLDER_TEXTS

CONTEXT = "Likeness"

TEXTS: dict[str, str] = {
    "tab": "Likeness",
    # Create panel
    "create": "Create",
    "create.first": "Drop photos here, or choose them",
    "create.options": "Options",
    "create.waiting": "{count} more waiting",
    "create.time_left": "{stage} · {time} left",
    "create.starting": "Starting the backend",
    "create.cancelling": "Cancelling",
    "create.device": "Computed on {device}",
    "create.failed": "{title} was not made",
    "create.no_backend": "The backend is not set up yet",
    "create.seconds": "{seconds} s",
    "create.minutes": "{minutes} min",
    # Options
    "option.head": "Head Model",
    "option.head.tip": "The head that is fitted to the photo",
    "option.head.open": "Open Head",
    "option.head.open.tip": "The head that comes with Likeness; free for every use",
    "option.head.flame": "FLAME File",
    "option.head.flame.tip": "Your own FLAME file, chosen in the preferences; its licence is FLAME's",
    "option.texture": "Texture Size",
    "option.texture.tip": "Width and height of the face texture in pixels",
    "option.face": "Face",
    "option.face.tip": "Which face of the photo, counted from the largest; 0 asks when there are several",
    "option.camera": "Camera",
    "option.camera.tip": "How the photo's camera is modelled",
    "option.camera.orthographic": "Distant",
    "option.camera.orthographic.tip": "Without perspective; for photos taken from two metres and more, or unknown",
    "option.camera.perspective": "Perspective",
    "option.camera.perspective.tip": "With the focal length of the photo's EXIF data, else 50 mm; for close portraits",
    "option.focal": "Focal Length",
    "option.focal.tip": "Focal length as on 35 mm film; 0 takes it from the photo's EXIF data",
    "option.wrinkle_age": "Wrinkle Age",
    "option.wrinkle_age.tip": "Age of the skin, 0 smooth to 1 old: how deep wrinkles get, how much stays at rest",
    "option.photo_camera": "Photo Camera",
    "option.photo_camera.tip": "Add a camera that stands where the photo was taken, with the photo behind the head",
    "option.photo_light": "Photo Light",
    "option.photo_light.tip": "Add lights like the photo's; the scene's world is replaced by one that goes with them",
    "option.photo_expression": "Photo Expression",
    "option.photo_expression.tip": "Show the photo's expression and pose; neutral otherwise",
    "option.match_render": "Match Render",
    "option.match_render.tip": "Give the scene the photo's camera, its size in pixels and its plain colours",
    "option.at_cursor": "At 3D Cursor",
    "option.at_cursor.tip": "Put the avatar at the 3D cursor; at the world's origin otherwise",
    # Operators
    "photo": "Photo as Avatar",
    "photo.button": "Photo…",
    "photo.menu": "Photo as Avatar",
    "photo.tip": "Make a head avatar of each photo that you choose",
    "photo.none": "Choose at least one photo.",
    "photo.queued": "{count} photos are waiting to become avatars",
    "photo.queued_one": "{name} is becoming an avatar",
    "photo.files": "Photos",
    "empty": "Avatar of Image Object",
    "empty.tip": "Make a head avatar of the photo that the active image object shows",
    "empty.poll": "Select an empty that shows an image file",
    "head": "Likeness Head",
    "head.tip": "Add the head model with its rig and expressions, without a photo",
    "head.name": "Head",
    "cancel": "Cancel",
    "cancel.tip": "Stop this job; nothing in the scene changes",
    "cancel_all": "Cancel All",
    "cancel_all.tip": "Stop the running job and drop all that wait",
    "dismiss": "Dismiss",
    "dismiss.tip": "Remove this message",
    "job": "Job",
    "log": "Open Log",
    "log.tip": "Show the log of the backend and of failures",
    "log.missing": "There is no log yet.",
    "log.missing.hint": "It is written when something goes wrong.",
    "preferences.open": "Choose Backend…",
    "preferences.open.tip": "Open the preferences of Likeness",
    "flame.choose": "Choose FLAME File…",
    "flame.choose.tip": "Choose your FLAME file (.pkl, .npz or .safetensors); it is checked at once",
    # Finished avatars and questions
    "finished": "{name} is finished",
    "finished.import": "Import Finished Avatar",
    "finished.import.tip": "Bring this avatar into the scene now, leaving the current mode if need be",
    "finished.gone": "The avatar package is not there any more.",
    "finished.gone.hint": "Make it again from its photo.",
    "wait.scene": "The scene it was made for is not open",
    "wait.render": "It comes in when the render has ended",
    "wait.mode": "It comes in when you go back to Object Mode",
    "wait.modal": "It comes in when you have finished what you are doing",
    "faces": "Choose a Face",
    "faces.tip": "Choose which face of the photo becomes an avatar",
    "faces.first": "{name} shows {count} faces",
    "faces.question": "Which faces shall become avatars?",
    "faces.number": "Face {number}",
    "faces.none": "No face was chosen.",
    "faces.none.hint": "Choose at least one face.",
    "faces.gone": "There is no choice of faces any more.",
    "faces.gone.hint": "Choose the photo again.",
    "faces.title": "{name}, looking for faces",
    "import": "Import Avatar Package",
    "import.menu": "Avatar Package (avatar.json)",
    "import.tip": "Build the avatar of a package in the scene",
    "import.path": "Avatar package",
    "import.done": "{name} is in the scene",
    "import.hidden": "{name} is in the scene, hidden inside {other}",
    "scene.linked": "The scene {name} is linked from another file and cannot take an avatar.",
    "scene.linked.hint": "Open a scene of this file.",
    "mode.stuck": "The current mode cannot be left.",
    "mode.stuck.hint": "Go to Object Mode and try again.",
    # Avatar panel
    "avatar": "Avatar",
    "avatar.none": "Select an avatar",
    "avatar.quality": "Fit: {words}",
    "avatar.details": "Details",
    "avatar.error": "Landmark error: {percent:.1f}% of the eye distance",
    "avatar.photo": "Photo: {name}",
    "avatar.face": "Face {used} of {found}",
    "avatar.head": "Head: {name}",
    "avatar.licence": "Licence: {licence}",
    "avatar.created": "Made {created} by Likeness {version}",
    "avatar.no_photo": "Head model without a photo",
    "avatar.poll": "Select an avatar that Likeness made",
    "view": "View from Photo",
    "view.tip": "Look through the photo's camera, with the photo behind the head; sets the render size to the photo's",
    "view.alone": "{name} hides the avatar, which is shown alone: View > Local View shows everything again",
    "view.light": "Photo's Light",
    "view.light.tip": "Light Material Preview with the studio light most like the photo's; the scene is not changed",
    "view.no_photo": "This head was made without a photo.",
    "view.no_photo.hint": "Make an avatar of a photo first.",
    "view.no_view": "There is no 3D view to look through.",
    "view.no_view.hint": "Open a 3D view.",
    "view.no_camera": "The photo's camera is not in this scene.",
    "view.no_camera.hint": "Import the avatar package again with its camera.",
    "texture": "Reload Texture",
    "texture.tip": "Read the colour and displacement images of the package again, after another program changed them",
    "texture.done": "The texture was read again",
    "texture.not_png": "{name} is not a PNG image.",
    "texture.not_png.hint": "Save it as PNG, 8 bit for colour and 16 bit grey for displacement.",
    "texture.missing": "{name} cannot be read.",
    "texture.unused": "The avatar's material no longer uses the image {name}.",
    "texture.unused.hint": "Undo the change of the material, or import the package again.",
    "neutral.export": "Export Neutral Shape…",
    "neutral.export.tip": "Write the neutral shape as OBJ (metres, Y up) to change it in another program",
    "neutral": "Reload Neutral Shape…",
    "neutral.tip": "Read a changed neutral shape from an OBJ with the same vertices; every expression moves along",
    "neutral.done": "The neutral shape was read again",
    "neutral.count": "The file has {found} vertices, the head {expected}.",
    "neutral.count.hint": "Keep the number and order of the vertices in the other program.",
    "neutral.unreadable": "{name} is not a readable OBJ file.",
    "neutral.unreadable.hint": "Export it as OBJ, in metres and with Y up.",
    "neutral.unwritable": "{name} could not be written.",
    "neutral.linked": "The mesh of this avatar is linked from another file.",
    "neutral.linked.hint": "Change it in the file that it comes from.",
    "reveal": "Show Package Folder",
    "reveal.tip": "Open the folder of the avatar package in the file browser of the system",
    "package.find": "Find Package…",
    "package.find.tip": "Tell Likeness where the folder of this avatar's package is now",
    "package.missing": "The package of this avatar is not at {folder}.",
    "package.missing.hint": "Use Find Package in the Avatar panel.",
    "package.other": "That package belongs to another avatar ({name}).",
    "package.other.hint": "Choose the folder in which this avatar was made.",
    # Preferences
    "preferences.backend": "Backend",
    "preferences.python": "Backend Python",
    "preferences.python.tip": "A Python with torch; empty: the environment made below, or the one that came along",
    "preferences.test": "Test",
    "preferences.test.tip": "Start this Python once and see whether everything the backend needs is there",
    "preferences.testing": "Testing…",
    "preferences.not_set": "Not set: choose a Python with torch, or create an environment",
    "preferences.not_tested": "Not tested yet",
    "preferences.create": "Create Backend Environment…",
    "preferences.create.tip": "Download torch and the other parts of the backend into a folder of their own",
    "preferences.create.consent": "This downloads about 1 GB from the Python Package Index into",
    "preferences.create.offline": "Allow Online Access in Preferences > System first",
    "preferences.create.running": "An environment is being made",
    "preferences.create.cancel": "Cancel",
    "preferences.create.done": "The backend environment is ready",
    "preferences.device": "Device",
    "preferences.device.tip": "What the backend computes on",
    "preferences.device.auto": "Automatic",
    "preferences.device.auto.tip": "The graphics card if torch finds one, else the processor",
    "preferences.device.cpu": "Processor",
    "preferences.device.cpu.tip": "Always the processor",
    "preferences.device.cuda": "CUDA",
    "preferences.device.cuda.tip": "An NVIDIA or AMD graphics card",
    "preferences.device.mps": "Metal",
    "preferences.device.mps.tip": "The graphics processor of a Mac",
    "preferences.threads": "Threads",
    "preferences.threads.tip": "Processor threads of the backend; 0 lets torch decide",
    "preferences.head": "Head Model",
    "preferences.flame": "FLAME File",
    "preferences.flame.tip": "Your own FLAME file (.pkl, .npz or .safetensors); it stays where it is",
    "preferences.flame.none": "No file chosen; the open head is used",
    "preferences.flame.checking": "Checking the file…",
    "preferences.flame.unchecked": "Not checked yet",
    "preferences.flame.check": "Check",
    "preferences.flame.check.tip": "Read the file and say what is in it",
    "preferences.flame.title": "Check of {name}",
    "preferences.cache": "Cache",
    "preferences.cache.size": "{size} in {folder}",
    "preferences.cache.measuring": "Measuring…",
    "preferences.cache.clear": "Clear",
    "preferences.cache.clear.tip": "Delete what Likeness can make again by itself; avatars are not touched",
    "preferences.cache.cleared": "The cache is empty",
    "preferences.cache.busy": "Wait until the running jobs have ended",
    # Failures
    "error.online": "Blender is not allowed to go online.",
    "error.online.hint": "Allow Online Access in Preferences > System, or choose a Python that has torch.",
    "error.no_backend": "The backend is not set up.",
    "error.no_backend.hint": "Choose a Python with torch in the preferences, or create an environment there.",
    "error.no_flame": "No FLAME file is chosen.",
    "error.no_flame.hint": "Choose it in the preferences, or use the open head.",
    "error.missing_file": "{name} is not there.",
    "error.missing_file.hint": "Choose the file again.",
    "error.fault": "Something went wrong in Likeness: {reason}.",
    "error.fault.hint": "Open the log and report what it says.",
    "error.create": "The environment could not be made: {reason}.",
    "error.create.hint": "The log has the details; a Python with torch can be chosen instead.",
    "error.closed": "Likeness is switched off.",
    "error.closed.hint": "Enable it in Preferences > Add-ons.",
    "error.place": "No avatar can be written to {folder}: {reason}.",
    "error.place.hint": "Save the .blend in a folder that you may write to.",
    **ANIMATION_TEXTS,
    **BAKE_TEXTS,
    **FOLDER_TEXTS,
}

# locale (as in Preferences > Interface > Language) -> (CONTEXT, English text) -> translated text
TRANSLATIONS: dict[str, dict[tuple[str, str], str]] = {}


def text(key: str, **values: object) -> str:
    """The text in the user's language, with values filled in.

    Raises:
        KeyError: no such text; a defect of the caller.
    """
    translated = bpy.app.translations.pgettext_iface(TEXTS[key], CONTEXT)
    return translated.format(**values) if values else translated


def duration_text(seconds: float) -> str:
    """A rough time for people: seconds below a minute and a half, minutes above."""
    if seconds < 90:
        return text("create.seconds", seconds=max(1, round(seconds)))
    return text("create.minutes", minutes=round(seconds / 60))


def size_text(num_bytes: int) -> str:
    """A file size as file browsers write it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes} B"

"""A copy of an avatar that exporters understand: rest pose, the keys that were asked for, one plain material a part."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.conventions import JOINT_NAMES
from ..exchange.errors import LikenessError
from ..expressions.avatar_parts import AvatarParts
from ..scene.shape_keys import BASIS_NAME

ALBEDO_NODE_LABEL = "Albedo"
_COLLECTION_NAME = "Likeness export"
# what the exporters of engines read from a Principled node beside its colour
_PLAIN_INPUTS = ("Roughness", "Metallic", "IOR")


class ExportError(LikenessError):
    """An avatar cannot be exported."""


@dataclass(frozen=True)
class ExportCopy:
    """The objects to export; they are selected, and nothing else is."""

    mesh: bpy.types.Object
    armature: bpy.types.Object | None

    @property
    def objects(self) -> list[bpy.types.Object]:
        """Both."""
        return [self.mesh, *([self.armature] if self.armature else [])]


@contextmanager
def export_copy(
    avatar: AvatarParts, textures: Path, own_keys: bool = False, animation: bool = False
) -> Iterator[ExportCopy]:
    """Copy an avatar for an exporter and take everything away again; the avatar itself is not touched.

    Meanwhile the copy bears the avatar's names, of objects, data, materials, bones and keys, so that an engine finds
    the same ones in every export. It loses every modifier but the armature's, since exporters that apply modifiers
    lose shape keys, and the drivers, which no engine runs.

    Args:
        avatar: what to export.
        textures: an existing folder; the albedo texture is written there, and the copy's materials point to it.
        own_keys: with the head model's own expressions; the ARKit keys always stay.
        animation: with the actions that the avatar has.

    Raises:
        ExportError: Blender is in a mode in which objects cannot be selected.
    """
    _require_object_mode()
    collection = bpy.data.collections.new(_COLLECTION_NAME)
    bpy.context.scene.collection.children.link(collection)
    made: list[bpy.types.ID] = []
    try:
        copy = _copy_objects(avatar, collection, made)
        _strip_keys(copy.mesh, own_keys, animation)
        _to_rest(copy, animation)
        plain_of = _plain_materials(copy.mesh, textures, made)
        with selected_alone(copy.objects), _names_of_the_originals(_namesakes(avatar, copy, plain_of)):
            yield copy
    finally:
        # at once: an object whose mesh is removed first goes with it
        bpy.data.batch_remove([collection, *made])


def _namesakes(
    avatar: AvatarParts, copy: ExportCopy, plain_of: Mapping[bpy.types.Material, bpy.types.Material]
) -> list[tuple[bpy.types.ID, bpy.types.ID]]:
    """Each data-block of the avatar, and the copy that stands for it in the files."""
    pairs = [(avatar.mesh, copy.mesh), (avatar.mesh.data, copy.mesh.data)]
    if copy.armature is not None:
        pairs += [(avatar.armature, copy.armature), (avatar.armature.data, copy.armature.data)]
    return [*pairs, *plain_of.items()]


@contextmanager
def _names_of_the_originals(pairs: Sequence[tuple[bpy.types.ID, bpy.types.ID]]) -> Iterator[None]:
    """Give copies the names of their originals, which step aside and get them back.

    A linked original keeps its name; its copy is of this file and may bear the same.
    """
    names = [original.name for original, _ in pairs]
    try:
        for (original, copy), name in zip(pairs, names, strict=True):
            if original.library is None:
                original.name = f"{_COLLECTION_NAME} {name}"
            copy.name = name
        yield
    finally:
        for (original, copy), name in zip(pairs, names, strict=True):
            copy.name = f"{_COLLECTION_NAME} {name}"
            if original.library is None:
                original.name = name


def _require_object_mode() -> None:
    if bpy.context.mode != "OBJECT":
        raise ExportError(
            "export_mode", "An avatar can only be exported in Object Mode.", "Press Tab and export again."
        )


@contextmanager
def selected_alone(objects: Sequence[bpy.types.Object]) -> Iterator[None]:
    """Select some objects for an exporter and restore what was selected before.

    Raises:
        ExportError: Blender is in a mode in which objects cannot be selected.
    """
    _require_object_mode()
    before = _Selection.read()
    before.clear()
    try:
        for part in objects:
            part.select_set(True)
        bpy.context.view_layer.objects.active = objects[0]
        yield
    finally:
        before.restore()


@dataclass(frozen=True)
class _Selection:
    """What was selected, by name: objects may be removed meanwhile."""

    selected: tuple[str, ...]
    active: str | None

    @classmethod
    def read(cls) -> _Selection:
        layer = bpy.context.view_layer
        active = layer.objects.active
        return cls(tuple(part.name for part in layer.objects if part.select_get()), active.name if active else None)

    def clear(self) -> None:
        for part in bpy.context.view_layer.objects:
            part.select_set(False)

    def restore(self) -> None:
        self.clear()
        objects = bpy.context.view_layer.objects
        for name in self.selected:
            if name in objects:
                objects[name].select_set(True)
        objects.active = objects.get(self.active) if self.active else None


def _copy_objects(avatar: AvatarParts, collection: bpy.types.Collection, made: list[bpy.types.ID]) -> ExportCopy:
    """Copies of mesh and armature, linked to the collection; everything new is listed in `made`."""
    mesh = avatar.mesh.copy()
    made.append(mesh)
    mesh.data = avatar.mesh.data.copy()
    made.append(mesh.data)
    collection.objects.link(mesh)
    mesh.hide_set(False)
    armature = None
    if avatar.armature is not None:
        armature = avatar.armature.copy()
        made.append(armature)
        armature.data = avatar.armature.data.copy()
        made.append(armature.data)
        collection.objects.link(armature)
        armature.hide_set(False)
        mesh.parent = armature
    for modifier in list(mesh.modifiers):
        if modifier.type == "ARMATURE" and armature is not None:
            modifier.object = armature
        else:
            mesh.modifiers.remove(modifier)
    return ExportCopy(mesh, armature)


def _strip_keys(mesh_object: bpy.types.Object, own_keys: bool, animation: bool) -> None:
    """Keep the Basis, the ARKit keys and, if asked for, the head's own; all at 0 and without drivers."""
    keys = mesh_object.data.shape_keys
    driven = set()
    if keys.animation_data is not None:
        driven = {curve.data_path for curve in keys.animation_data.drivers}
        for curve in list(keys.animation_data.drivers):
            keys.animation_data.drivers.remove(curve)
        if not animation:
            keys.animation_data_clear()
    kept = {BASIS_NAME, *ARKIT_NAMES}
    for key in list(keys.key_blocks):
        is_own = own_keys and key.path_from_id("value") not in driven
        if key.name not in kept and not is_own:
            mesh_object.shape_key_remove(key)
    for key in keys.key_blocks:
        key.value = 0.0
    mesh_object.show_only_shape_key = False


def _to_rest(copy: ExportCopy, animation: bool) -> None:
    """The bones at rest; without constraints, which would turn the eyes while the file is written."""
    if copy.armature is None:
        return
    if not animation:
        copy.armature.animation_data_clear()
    for joint in JOINT_NAMES:
        bone = copy.armature.pose.bones[joint]
        for constraint in list(bone.constraints):
            bone.constraints.remove(constraint)
        bone.rotation_mode = "XYZ"
        bone.rotation_euler = (0.0, 0.0, 0.0)
        bone.location = (0.0, 0.0, 0.0)
        bone.scale = (1.0, 1.0, 1.0)


def _plain_materials(
    mesh_object: bpy.types.Object, textures: Path, made: list[bpy.types.ID]
) -> dict[bpy.types.Material, bpy.types.Material]:
    """Replace every material by one that has the albedo texture, roughness and nothing that engines cannot read.

    Returns:
        What each of the object's materials was replaced by.
    """
    written: dict[str, bpy.types.Image] = {}
    plain_of: dict[bpy.types.Material, bpy.types.Material] = {}
    for slot in mesh_object.material_slots:
        if slot.material is None:
            continue
        material = slot.material
        if material not in plain_of:
            plain_of[material] = bpy.data.materials.new(material.name)
            made.append(plain_of[material])
            _copy_surface(material, plain_of[material], textures, written)
        slot.link = "DATA"
        slot.material = plain_of[material]
    made.extend(written.values())
    return plain_of


def _copy_surface(
    source: bpy.types.Material, plain: bpy.types.Material, textures: Path, written: dict[str, bpy.types.Image]
) -> None:
    plain.use_nodes = True
    shader = next(node for node in plain.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    original = next((node for node in source.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
    for name in _PLAIN_INPUTS:
        if original is not None and not original.inputs[name].is_linked:
            shader.inputs[name].default_value = original.inputs[name].default_value
    image = _albedo_of(source)
    if image is None:
        return
    if image.name not in written:
        written[image.name] = _image_on_disk(image, textures)
    texture = plain.node_tree.nodes.new("ShaderNodeTexImage")
    texture.image = written[image.name]
    plain.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])


def _albedo_of(material: bpy.types.Material) -> bpy.types.Image | None:
    """The image of the node that is labelled as the albedo."""
    for node in material.node_tree.nodes:
        if node.type == "TEX_IMAGE" and node.label == ALBEDO_NODE_LABEL:
            return node.image
    return None


def _image_on_disk(image: bpy.types.Image, textures: Path) -> bpy.types.Image:
    """The image as a PNG file in the folder, loaded from there."""
    path = write_image(image, textures / f"{bpy.path.clean_name(image.name)}.png")
    return bpy.data.images.load(str(path))


def write_image(image: bpy.types.Image, path: Path) -> Path:
    """Write an image as it is, packed or not, with an artist's edits.

    The file itself is copied where there is one, so that 16-bit maps stay 16-bit.

    Raises:
        ExportError: its file is gone, or the place cannot be written.
    """
    try:
        if image.is_dirty:
            _save_pixels(image, path)
        elif image.packed_file is not None:
            path.write_bytes(image.packed_file.data)
        else:
            shutil.copyfile(bpy.path.abspath(image.filepath, library=image.library), path)
    except (OSError, RuntimeError) as error:
        raise ExportError(
            "export_image", f"The texture {image.name} cannot be written to {path.parent}.",
            "Choose a folder that you may write to, and check that the texture's file is there.",
        ) from error  # fmt: skip
    return path


def _save_pixels(image: bpy.types.Image, path: Path) -> None:
    """Save what was painted and not saved yet, without giving the artist's image another file."""
    copy = image.copy()
    try:
        copy.filepath_raw = str(path)
        copy.file_format = "PNG"
        copy.save()
    finally:
        bpy.data.images.remove(copy)

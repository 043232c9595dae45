"""Builds the Blender objects of an avatar from its package."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import bpy
import numpy as np

from ..exchange.arkit import ARKIT_NAMES
from ..exchange.avatar_package import (
    ALBEDO_FILE,
    COMPRESSED_FILE,
    DISPLACEMENT_FILE,
    EXPANDED_FILE,
    PHOTO_FILE,
    AvatarPackage,
)
from ..exchange.conventions import JOINT_NAMES, blender_from_model
from ..wrinkles.add_wrinkles import add_wrinkles, store_wrinkle_area
from ..wrinkles.wrinkle_maps import WrinkleMaps
from .armature import deform_with_armature, make_armature, widen_limits
from .materials import INNER_MOUTH, SKIN, TEETH, SkinDisplacement, make_material
from .mesh_object import MeshArrays, add_vertex_groups, keep_edges, make_mesh, smooth_in_renders
from .packed_images import DATA, SRGB, load_packed_image
from .photo_camera import PhotoView, make_photo_camera
from .photo_light import fit_photo_light, make_photo_light
from .photo_state import NEUTRAL, AvatarState, apply_state, store_state_as_actions, write_state_property
from .pose_correctives import add_pose_correctives
from .scene_settings import set_up_photo_render
from .shape_keys import ShapeKey, add_shape_keys, distinct_key_names

PROVENANCE_PROPERTY = "likeness_provenance"
PHOTO_ACTION_SUFFIX = "photo expression"
NEUTRAL_ACTION_SUFFIX = "neutral"
# A polygon whose corners all lie this deep in the mask belongs to the inner mouth.
_INNER_MOUTH_THRESHOLD = 0.5
_REST = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class AvatarOptions:
    """What to build around the mesh and its rig.

    Attributes:
        photo_camera: the photo's camera with the photo behind the head.
        photo_light: suns and a world that stand for the photo's light.
        show_photo_state: leave the photo's expression set, to compare with the photo; neutral otherwise.
        photo_render: with the camera, the scene's render settings match the photo.
    """

    photo_camera: bool = True
    photo_light: bool = True
    show_photo_state: bool = True
    photo_render: bool = True


@dataclass(frozen=True)
class AvatarObjects:
    """What was built.

    Attributes:
        collection: holds all objects of the avatar.
        mesh: the head; armature: its bones.
        photo_view: the photo's view of the upright head; None where there is no photo.
        photo_state: expression by shape key name, and pose.
        expression_keys: the keys an artist moves: ARKit's, then the head's own.
        camera: None where the options leave it out; suns: empty then.
    """

    collection: bpy.types.Collection
    mesh: bpy.types.Object
    armature: bpy.types.Object
    photo_view: PhotoView | None
    photo_state: AvatarState
    expression_keys: tuple[bpy.types.ShapeKey, ...]
    camera: bpy.types.Object | None
    suns: tuple[bpy.types.Object, ...]


def build_avatar(package: AvatarPackage, options: AvatarOptions = AvatarOptions()) -> AvatarObjects:
    """Build an avatar in the current scene.

    Args:
        package: as read and checked by `read_package`.
        options: what to build around it.

    Returns:
        The new objects. Nothing that was in the scene is changed, but for its camera, world and render settings where
        the options ask for the photo's.

    Raises:
        PackageError: an image of the package cannot be read.
    """
    scene = bpy.context.scene
    name = package.description.name
    collection = bpy.data.collections.new(name)
    scene.collection.children.link(collection)
    armature_object = make_armature(f"{name} rig", package.head.joints, collection)
    wrinkle_maps = _load_wrinkle_maps(package)
    mesh_object = _make_head(package, collection, wrinkle_maps)
    deform_with_armature(mesh_object, armature_object)
    if wrinkle_maps is None:
        smooth_in_renders(mesh_object)
    else:
        add_wrinkles(mesh_object, wrinkle_maps)
    keys, state = _add_keys(package, mesh_object, armature_object)
    widen_limits(armature_object, state.pose)
    root_axis_angle = np.array(package.description.photo_state.pose.get("root", _REST))
    _store_states(name, state, mesh_object, armature_object, keys, root_axis_angle)
    apply_state(state if options.show_photo_state else NEUTRAL, armature_object, keys)
    view, camera, suns = None, None, ()
    if package.description.camera is not None:
        view = PhotoView.of_photo(package.description.camera, root_axis_angle, package.head.joints[0])
    if view is not None and options.photo_camera:
        photo = load_packed_image(package.folder / PHOTO_FILE, f"{name} photo", SRGB)
        camera = make_photo_camera(f"{name} photo camera", view, photo, collection)
        if options.photo_render:
            set_up_photo_render(scene, camera, view.camera.image_size_px)
    if view is not None and options.photo_light:
        light = fit_photo_light(package.parameters.light, view.head_rotation)
        suns = make_photo_light(f"{name} photo light", light, collection, scene)
    bpy.context.view_layer.objects.active = mesh_object
    return AvatarObjects(collection, mesh_object, armature_object, view, state, tuple(keys), camera, suns)


def _load_wrinkle_maps(package: AvatarPackage) -> WrinkleMaps | None:
    """The three displacement maps; None for a package without wrinkles."""
    at_rest, wrinkles = package.description.displacement, package.description.wrinkles
    if wrinkles is None:
        return None
    files = {"": DISPLACEMENT_FILE, " compressed": COMPRESSED_FILE, " expanded": EXPANDED_FILE}
    images = [
        load_packed_image(package.folder / file_name, f"{package.description.name} displacement{suffix}", DATA)
        for suffix, file_name in files.items()
    ]
    return WrinkleMaps(
        *images, at_rest.midlevel, at_rest.scale_mm, wrinkles.midlevel, wrinkles.scale_mm,
        wrinkles.full_compression, wrinkles.full_stretch,
    )  # fmt: skip


def _make_head(
    package: AvatarPackage, collection: bpy.types.Collection, wrinkle_maps: WrinkleMaps | None
) -> bpy.types.Object:
    """The mesh object with materials, masks, vertex groups and provenance."""
    head, name = package.head, package.description.name
    slot_names, material_index = material_slots(
        package.description.part_names, head.polygon_part, head.polygons, head.masks.get(INNER_MOUTH)
    )
    vertices = blender_from_model(head.vertices)
    mesh = make_mesh(name, MeshArrays(vertices, head.polygons, head.uv, head.uv_polygons, material_index, head.masks))
    albedo = load_packed_image(package.folder / ALBEDO_FILE, f"{name} albedo", SRGB)
    displacement = wrinkle_maps or SkinDisplacement(
        load_packed_image(package.folder / DISPLACEMENT_FILE, f"{name} displacement", DATA),
        package.description.displacement,
    )
    for slot_name in slot_names:
        skin_displacement = displacement if slot_name == SKIN else None
        mesh.materials.append(
            make_material(f"{name} {slot_name}", slot_name, albedo, tuple(head.masks), skin_displacement)
        )
    keep_edges(mesh, [slot for slot, slot_name in enumerate(slot_names) if slot_name in TEETH])
    store_wrinkle_area(mesh, slot_names.index(SKIN))
    mesh_object = bpy.data.objects.new(name, mesh)
    collection.objects.link(mesh_object)
    add_vertex_groups(mesh_object, JOINT_NAMES, head.skinning_weights)
    mesh_object[PROVENANCE_PROPERTY] = json.dumps(asdict(package.description.provenance))
    return mesh_object


def material_slots(
    part_names: tuple[str, ...],
    polygon_part: np.ndarray,
    polygons: np.ndarray,
    inner_mouth: np.ndarray | None,
) -> tuple[list[str], np.ndarray]:
    """The material slots: the parts that have polygons, and the inner mouth, which heads count as skin.

    Args:
        part_names: the head's parts.
        polygon_part: (Q,) index into them.
        polygons: (Q,4) vertex indices, -1 as the fourth of a triangle.
        inner_mouth: (V,) mask, 0-1; None where the head has none.

    Returns:
        The slots' names, and (Q,) the slot of each polygon.
    """
    names = np.array([*part_names, INNER_MOUTH])
    part = polygon_part.astype(np.int64)
    if inner_mouth is not None and SKIN in part_names:
        # the third corner stands in for a triangle's missing fourth
        corners = np.where(polygons >= 0, polygons, polygons[:, 2:3])
        inside = inner_mouth[corners].min(1) > _INNER_MOUTH_THRESHOLD
        part = np.where(inside & (part == part_names.index(SKIN)), len(part_names), part)
    used, slots = np.unique(part, return_inverse=True)
    return names[used].tolist(), slots.reshape(-1)


def _add_keys(
    package: AvatarPackage, mesh_object: bpy.types.Object, armature_object: bpy.types.Object
) -> tuple[list[bpy.types.ShapeKey], AvatarState]:
    """All shape keys in their order; returns those an artist moves, and the photo's state by their names."""
    head, photo_state = package.head, package.description.photo_state
    own_names = package.description.expression_names
    key_names = distinct_key_names(own_names, ARKIT_NAMES)
    values = [float(photo_state.expression.get(own_name, 0.0)) for own_name in own_names]
    arkit = [
        ShapeKey(key_name, blender_from_model(offsets))
        for key_name, offsets in zip(ARKIT_NAMES, head.arkit_keys, strict=True)
    ]
    own = [
        ShapeKey(key_name, blender_from_model(offsets), (min(float(low), value), max(float(high), value)))
        for key_name, offsets, (low, high), value in zip(
            key_names, head.expression_keys, head.expression_limits, values, strict=True
        )
    ]
    keys = add_shape_keys(mesh_object, [*arkit, *own])
    add_pose_correctives(mesh_object, armature_object, head.pose_basis)
    pose = {joint: np.array(photo_state.pose.get(joint, _REST)) for joint in JOINT_NAMES[1:]}
    return keys, AvatarState(dict(zip(key_names, values, strict=True)), pose)


def _store_states(
    name: str,
    state: AvatarState,
    mesh_object: bpy.types.Object,
    armature_object: bpy.types.Object,
    keys: list[bpy.types.ShapeKey],
    root_axis_angle: np.ndarray,
) -> None:
    write_state_property(mesh_object, state, root_axis_angle)
    for suffix, stored in ((PHOTO_ACTION_SUFFIX, state), (NEUTRAL_ACTION_SUFFIX, NEUTRAL)):
        store_state_as_actions(f"{name} {suffix}", stored, armature_object, keys)

"""The photo's camera in Blender: the head stays upright at the origin, the camera stands where the photo was taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Matrix

from ..exchange.avatar_description import PERSPECTIVE, SCALED_ORTHOGRAPHIC, CameraDescription
from ..exchange.conventions import MODEL_TO_BLENDER

# Only lengths in pixels are known; any sensor gives the same picture. 36 mm is the width of full-frame film.
SENSOR_WIDTH_MM = 36.0
# An orthographic camera sees the same from everywhere along its axis; this far every head is in front of it.
_ORTHOGRAPHIC_DISTANCE_M = 1.5
_CLIP_M = (0.01, 100.0)


@dataclass(frozen=True)
class PhotoView:
    """The view of a photo, or of a rectangle of it.

    Attributes:
        camera: of the photo.
        image_size_px: width and height of the view.
        corner_px: its top left corner in the photo.
        head_rotation: (3,3) the photo's rotation of the head about `root_joint`, model space.
        root_joint: (3,) metres, model space.
    """

    camera: CameraDescription
    image_size_px: tuple[float, float]
    corner_px: tuple[float, float]
    head_rotation: np.ndarray
    root_joint: np.ndarray

    @classmethod
    def of_photo(cls, camera: CameraDescription, root_axis_angle: np.ndarray, root_joint: np.ndarray) -> PhotoView:
        """The whole photo.

        Args:
            camera: of the photo.
            root_axis_angle: (3,) radians, the head's global rotation in the photo.
            root_joint: (3,) metres, model space.
        """
        rotation = rotation_matrix(root_axis_angle)
        return cls(camera, camera.image_size_px, (0.0, 0.0), rotation, np.asarray(root_joint, np.float64))

    def cropped(self, corner_px: tuple[float, float], size_px: tuple[float, float]) -> PhotoView:
        """The view of a rectangle of this photo, which may reach beyond its edges."""
        return replace(self, corner_px=corner_px, image_size_px=size_px)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points of the upright head.

        Args:
            points: (..., 3) metres, model space, the photo's pose without the root's rotation.

        Returns:
            (..., 2) pixels of the view.
        """
        in_photo = (points - self.root_joint) @ self.head_rotation.T + self.root_joint
        seen = in_photo * np.array([1.0, -1.0, -1.0])
        if self.camera.kind == SCALED_ORTHOGRAPHIC:
            pixels = seen[..., :2] * self.camera.scale_px_per_m + np.array(self.camera.centre_px)
        else:
            seen = seen + np.array(self.camera.translation_m)
            pixels = seen[..., :2] * self.camera.focal_px / seen[..., 2:] + np.array(self.camera.principal_px)
        return pixels - np.array(self.corner_px)

    def eye_position(self) -> np.ndarray:
        """(3,) where the camera stands beside the upright head, metres, model space."""
        return self._upright(self._eye_in_photo())

    def towards_camera(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) unit vectors from points of the upright head (..., 3) to the camera, model space."""
        if self.camera.kind == SCALED_ORTHOGRAPHIC:
            return np.broadcast_to(self.head_rotation[2], points.shape)
        offsets = self.eye_position() - points
        return offsets / np.linalg.norm(offsets, axis=-1, keepdims=True)

    def blender_matrix(self) -> Matrix:
        """World matrix of the Blender camera."""
        matrix = np.eye(4)
        matrix[:3, :3] = MODEL_TO_BLENDER @ self.head_rotation.T
        matrix[:3, 3] = MODEL_TO_BLENDER @ self.eye_position()
        return Matrix(matrix.tolist())

    def _eye_in_photo(self) -> np.ndarray:
        if self.camera.kind == PERSPECTIVE:
            return np.array(self.camera.translation_m) * np.array([-1.0, 1.0, 1.0])
        width, height = self.image_size_px
        middle = np.array([width / 2, height / 2]) + np.array(self.corner_px) - np.array(self.camera.centre_px)
        across, down = middle / self.camera.scale_px_per_m
        return np.array([across, -down, _ORTHOGRAPHIC_DISTANCE_M])

    def _upright(self, point: np.ndarray) -> np.ndarray:
        return self.head_rotation.T @ (point - self.root_joint) + self.root_joint


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """(3,3) rotation matrix of an axis-angle vector (3,), radians."""
    vector = np.asarray(axis_angle, np.float64)
    angle = float(np.linalg.norm(vector))
    if angle == 0.0:
        return np.eye(3)
    return np.array(Matrix.Rotation(angle, 3, (vector / angle).tolist()))


def aim_camera(camera_object: bpy.types.Object, view: PhotoView) -> None:
    """Make a camera see exactly what the view shows, for renders of the view's aspect.

    Args:
        camera_object: a camera object without parent.
        view: what it shall see.
    """
    width, height = view.image_size_px
    data = camera_object.data
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH_MM
    data.clip_start, data.clip_end = _CLIP_M
    if view.camera.kind == PERSPECTIVE:
        principal_x, principal_y = np.array(view.camera.principal_px) - np.array(view.corner_px)
        data.type = "PERSP"
        data.lens = view.camera.focal_px * SENSOR_WIDTH_MM / width
        # shifts are in units of the width, to the right and up
        data.shift_x = float(width / 2 - principal_x) / width
        data.shift_y = float(principal_y - height / 2) / width
    else:
        data.type = "ORTHO"
        data.ortho_scale = width / view.camera.scale_px_per_m
        data.shift_x = data.shift_y = 0.0
    camera_object.matrix_world = view.blender_matrix()


def make_photo_camera(
    name: str, view: PhotoView, photo: bpy.types.Image, collection: bpy.types.Collection
) -> bpy.types.Object:
    """Make a camera with the photo's view and the photo behind the head.

    Args:
        name: of the camera object.
        view: of the whole photo.
        photo: the background image.
        collection: gets the camera.
    """
    camera_object = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    collection.objects.link(camera_object)
    aim_camera(camera_object, view)
    camera_object.data.show_background_images = True
    background = camera_object.data.background_images.new()
    background.image = photo
    background.alpha = 1.0
    background.display_depth = "BACK"
    # the view has the photo's aspect, so nothing is stretched; FIT would leave a line of rounding at the edge
    background.frame_method = "STRETCH"
    return camera_object

"""Samples of synthetic faces with their whole truth, deterministic by seed and index."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import rotation_matrices
from ml_backend.synthetic.camera_effects import plain_photo, take_photo
from ml_backend.synthetic.compose import Scene, compose
from ml_backend.synthetic.expressions import Expression, draw_expression, draw_turn
from ml_backend.synthetic.framing import CropCamera, about_view_axis, crop_camera, roll_of
from ml_backend.synthetic.head_layout import head_layout
from ml_backend.synthetic.light import draw_light
from ml_backend.synthetic.people import Person, draw_person, person_shape
from ml_backend.synthetic.settings import SyntheticSettings, chance
from ml_backend.synthetic.wrinkles import PersonWrinkles, draw_wrinkles
from ml_backend.wrinkles.tension import head_edges, vertex_tension


@dataclass(frozen=True)
class SampleDetail:
    """The maps and the geometry of a sample.

    Attributes:
        albedo_texture: (N, N, 3) float32 linear, hair and make-up included, row 0 at v = 1.
        tension: (V,) float32, compression > 0.
        displacement_m, neutral_displacement_m: (M, M) float32, along the normal, in the expression and at rest.
        vertices: (V, 3) float32 metres, posed.
    """

    albedo_texture: np.ndarray
    tension: np.ndarray
    displacement_m: np.ndarray
    neutral_displacement_m: np.ndarray
    vertices: np.ndarray


@dataclass(frozen=True)
class SyntheticSample:
    """A synthetic photo of a face, cropped, and all that made it.

    Attributes:
        index: of the sample; person: number of the person.
        image: (H, W, 3) uint8 sRGB.
        shape: (S,); expression: (E,); pose: (15,) axis-angle; albedo: (A,) coefficients of the albedo basis.
        camera: (3,) = (s, tx, ty), half crops: x = s X + tx, y = -s Y + ty, in [-1, 1], y down.
        light: (9, 3) spherical harmonics.
        landmarks_68, landmarks_478: (68, 2), (478, 2) in [-1, 1], y down; the contour of the 68 lies on the silhouette.
        skin_mask: (H, W) uint8, 255 where at least half of a pixel shows skin, 0 elsewhere.
        detail: on request.
    """

    index: int
    person: int
    image: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    camera: np.ndarray
    light: np.ndarray
    albedo: np.ndarray
    landmarks_68: np.ndarray
    landmarks_478: np.ndarray
    skin_mask: np.ndarray
    detail: SampleDetail | None = None


@dataclass(frozen=True)
class PosedFace:
    """A person in an expression and a pose: pose (15,), vertices (V, 3), both float32; camera: of the crop."""

    expression: Expression
    pose: torch.Tensor
    vertices: torch.Tensor
    camera: CropCamera


class SyntheticFaces:
    """An endless list of synthetic faces.

    Args:
        head: the head model; albedo_model: on its UVs; settings: how the samples are made.
    """

    def __init__(self, head: HeadModel, albedo_model: AlbedoModel, settings: SyntheticSettings | None = None) -> None:
        self.head = head
        self.settings = settings or SyntheticSettings()
        self._albedo_model = albedo_model
        self._layout = head_layout(head, self.settings.map_px, self.settings.displacement_px)
        self._edges = head_edges(head)
        self._people: OrderedDict[int, Person] = OrderedDict()
        self._wrinkle_sets: dict[int, PersonWrinkles] = {}
        self._lock = threading.Lock()

    def person(self, number: int) -> Person:
        """A person of the stream, kept for the samples that follow."""
        with self._lock:
            if number not in self._people:
                self._people[number] = draw_person(
                    self._layout, self._albedo_model, self.settings, number, self._wrinkles(number)
                )
                while len(self._people) > self.settings.people_kept:
                    self._people.popitem(last=False)
            self._people.move_to_end(number)
            return self._people[number]

    @torch.no_grad()
    def sample(self, index: int) -> SyntheticSample:
        """Make a sample.

        Args:
            index: 0 or more; `images_per_person` that follow each other share a person.

        Returns:
            The same, bit for bit, whatever was made before.
        """
        settings = self.settings
        person = self.person(index // settings.images_per_person)
        posed = self._posed(person, index)
        light = draw_light(chance(settings.seed, "light", index))
        displacement = self._displacement(person, posed)
        landmarks_478 = _on_head(self.head, posed.vertices)
        scene = Scene(self._layout, person, posed.vertices, posed.camera, light, displacement, landmarks_478)
        image, skin_mask = self._photo(scene, index)
        return SyntheticSample(
            index=index,
            person=person.number,
            image=image,
            shape=person.shape.numpy(),
            expression=posed.expression.coefficients.numpy(),
            pose=posed.pose.numpy(),
            camera=np.array([posed.camera.scale_per_m, posed.camera.tx, posed.camera.ty], np.float32),
            light=light.coefficients,
            albedo=person.albedo.numpy(),
            landmarks_68=posed.camera.ndc(self._landmarks_68(posed)),
            landmarks_478=posed.camera.ndc(landmarks_478),
            skin_mask=skin_mask,
            detail=self._detail(person, posed, displacement) if settings.detail else None,
        )

    def _wrinkles(self, number: int) -> PersonWrinkles:
        """A person's own lines, or those of the set that the person shares with others."""
        settings, sets = self.settings, self._wrinkle_sets
        drawn = number % settings.wrinkle_sets if settings.wrinkle_sets else number
        if drawn in sets:
            return sets[drawn]
        shape = person_shape(settings, self.head.num_shape, drawn)
        wrinkles = draw_wrinkles(self._layout, shape, settings.seed, drawn)
        if settings.wrinkle_sets:
            sets[drawn] = wrinkles
        return wrinkles

    def _posed(self, person: Person, index: int) -> PosedFace:
        """Pose a person and look at it as the crop does."""
        settings, head = self.settings, self.head
        expression = draw_expression(head, chance(settings.seed, "expression", index), settings)
        random = chance(settings.seed, "view", index)
        turn = draw_turn(random, settings)
        roll = float(np.clip(random.normal(0, settings.max_roll / 2), -settings.max_roll, settings.max_roll))
        pose = expression.joints.clone()
        pose[:3] = torch.from_numpy(axis_angle(turn))
        upright = head.vertices(person.shape[None], expression.coefficients[None], pose[None])[0]
        about = about_view_axis(roll - roll_of(_on_head(head, upright)))
        root = head.joints(person.shape[None])[0, 0]
        pose[:3] = torch.from_numpy(axis_angle(about @ turn))
        # turning about the root as the pose does; the rotation is read back so that both agree to the last bit's width
        relative = rotation_matrices(pose[:3].double()).numpy() @ turn.T
        vertices = (upright - root) @ torch.from_numpy(relative.T.astype(np.float32)) + root
        camera = crop_camera(_on_head(head, vertices), roll, random, settings)
        return PosedFace(expression, pose, vertices, camera)

    def _photo(self, scene: Scene, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 sRGB, and (H, W) uint8 skin mask."""
        seen = compose(scene, self.settings, index)
        if self.settings.effects:
            image = take_photo(seen.linear, chance(self.settings.seed, "camera", index))
        else:
            image = plain_photo(seen.linear)
        return image, np.where(seen.skin >= 0.5, 255, 0).astype(np.uint8)

    def _landmarks_68(self, posed: PosedFace) -> np.ndarray:
        """(68, 3): the contour's points by the head's turn, as people set them on the silhouette."""
        head = self.head
        points = head.landmarks_68.on(posed.vertices[None], head.triangles)[0]
        forward = rotation_matrices(posed.pose[:3]) @ rotation_matrices(posed.pose[3:6]) @ torch.tensor([0.0, 0, 1])
        yaw = torch.atan2(forward[0], forward[2])
        row = int((head.contour_yaw - yaw).abs().argmin())
        points[:17] = head.contour.on(posed.vertices[None], head.triangles)[0, row]
        return points.numpy()

    def _displacement(self, person: Person, posed: PosedFace) -> np.ndarray:
        """(M, M) metres; lines drawn on another head move as they do there."""
        wrinkles = person.wrinkles
        if torch.equal(wrinkles.shape, person.shape):
            return wrinkles.prior.displacement(posed.vertices)
        return wrinkles.displacement(self.head, posed.expression.coefficients, posed.pose)

    def _detail(self, person: Person, posed: PosedFace, displacement: np.ndarray) -> SampleDetail:
        return SampleDetail(
            albedo_texture=person.texture[..., :3],
            tension=vertex_tension(person.neutral, posed.vertices, self._edges).numpy(),
            displacement_m=displacement,
            neutral_displacement_m=person.wrinkles.at_rest(),
            vertices=posed.vertices.numpy(),
        )


def axis_angle(rotation: np.ndarray) -> np.ndarray:
    """(3,) float32 axis times angle, radians, of a rotation (3, 3)."""
    return cv2.Rodrigues(np.asarray(rotation, np.float64))[0][:, 0].astype(np.float32)


def _on_head(head: HeadModel, vertices: torch.Tensor) -> np.ndarray:
    """(478, 3) the tracker's points on posed vertices (V, 3)."""
    return head.landmarks_478.on(vertices[None], head.triangles)[0].numpy()

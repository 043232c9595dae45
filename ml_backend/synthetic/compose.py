"""A synthetic photo put together: background, clothes, the face, hair, glasses, what is held before it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.head.head_model import vertex_normals
from ml_backend.synthetic.backgrounds import draw_background
from ml_backend.synthetic.clothes import draw_clothes, draw_colour, neck_rim
from ml_backend.synthetic.framing import CropCamera
from ml_backend.synthetic.glasses import put_on_glasses
from ml_backend.synthetic.hair_strands import draw_hair_strands
from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.synthetic.light import Light
from ml_backend.synthetic.occluders import draw_occluder
from ml_backend.synthetic.people import Person
from ml_backend.synthetic.picture import Picture, rigid_motion
from ml_backend.synthetic.render_face import render_face
from ml_backend.synthetic.settings import SyntheticSettings, chance


@dataclass(frozen=True)
class Scene:
    """What is to be photographed.

    Attributes:
        layout: of the head; person; posed: (V, 3) metres; camera: of the crop; light.
        displacement_m: (M, M) of the posed skin; landmarks_478: (478, 3) metres.
    """

    layout: HeadLayout
    person: Person
    posed: torch.Tensor
    camera: CropCamera
    light: Light
    displacement_m: np.ndarray
    landmarks_478: np.ndarray


@dataclass(frozen=True)
class SceneRadiance:
    """(H, W, 3) float32 linear radiance, and (H, W) float32 0-1 visible skin."""

    linear: np.ndarray
    skin: np.ndarray


def compose(scene: Scene, settings: SyntheticSettings, index: int) -> SceneRadiance:
    """Draw a sample's scene.

    Args:
        scene: what is in it; settings: of the stream; index: of the sample.
    """
    fine = round(settings.image_px * settings.supersampling)

    def random(name: str) -> np.random.Generator:
        return chance(settings.seed, name, index)

    layout, person = scene.layout, scene.person
    background = draw_background(random("background"), settings.image_px)
    face = render_face(layout, person, scene.posed, scene.camera, scene.light, scene.displacement_m, fine)
    picture = Picture(
        canvas=cv2.resize(background, (fine, fine), interpolation=cv2.INTER_LINEAR),
        skin=np.zeros_like(face.skin),
        depth_m=face.depth_m,
        camera=scene.camera,
        light=scene.light,
        skull=_skull(scene),
    )
    rim = scene.posed.numpy()[neck_rim(layout.head)]
    cloth = draw_colour(random("clothes"))
    draw_clothes(picture, rim, cloth, random("folds"), front=False)
    np.copyto(picture.canvas, face.colour, where=face.covered[..., None])
    picture.skin[...] = face.skin
    _draw_hair(picture, scene, random("hair behind"), behind=True)
    draw_clothes(picture, rim, cloth, random("folds"), front=True)
    _draw_hair(picture, scene, random("strands"), behind=False)
    if person.glasses is not None:
        joints = layout.head.joints(person.shape[None])[0].numpy()
        eyes = joints[[JOINT_NAMES.index("left_eye"), JOINT_NAMES.index("right_eye")]]
        put_on_glasses(picture, person.glasses, eyes, _ears(scene))
    if random("is occluded").random() < settings.occluded_share:
        pixels = picture.pixels(scene.landmarks_478)[:, :2]
        draw_occluder(picture, random("occluder"), pixels, person.skin_colour)
    size = (settings.image_px, settings.image_px)
    return SceneRadiance(
        cv2.resize(picture.canvas, size, interpolation=cv2.INTER_AREA),
        cv2.resize(picture.skin, size, interpolation=cv2.INTER_AREA),
    )


def _skull(scene: Scene) -> np.ndarray:
    """(3, 4) rigid motion of the skull."""
    scalp = (scene.layout.head.masks["scalp"] > 0.5).numpy()
    neutral = scene.person.neutral.numpy()
    return rigid_motion(neutral[scalp].astype(np.float64), scene.posed.numpy()[scalp].astype(np.float64))


def _draw_hair(picture: Picture, scene: Scene, random: np.random.Generator, behind: bool) -> None:
    """Draw the hair that falls behind the shoulders, or the rest."""
    head, person = scene.layout.head, scene.person
    if person.hair.length_m > 0 or (person.hair.fringe_m > 0 and not behind):
        normals = vertex_normals(person.neutral[None], head.triangles)[0].numpy()
        draw_hair_strands(picture, head, person.neutral.numpy(), normals, person.hair, random, behind)


def _ears(scene: Scene) -> np.ndarray:
    """(2, 3) where the ears meet the head on the left and the right, high up, metres on the neutral head."""
    ears = (scene.layout.head.masks["ears"] > 0.5).numpy()
    points = scene.person.neutral.numpy()[ears]
    found = []
    for side in (1, -1):
        own = points[points[:, 0] * side > 0]
        top = own[own[:, 1] > np.quantile(own[:, 1], 0.85)]
        found.append(top.mean(0))
    return np.stack(found)

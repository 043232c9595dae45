"""Eyeballs of synthetic faces: iris colours of people, whites between clear and tired."""

from __future__ import annotations

import numpy as np
import torch

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.texture.eyes import eye_colour, fit_eyeball
from ml_backend.tracking import landmark_topology as topology

# Linear RGB of irises and how common they are: dark brown, brown, hazel, green, grey, blue (chosen by eye; three
# quarters of people have brown eyes).
IRISES = np.array([
    [0.040, 0.021, 0.011], [0.095, 0.045, 0.020], [0.150, 0.095, 0.040], [0.120, 0.140, 0.070],
    [0.170, 0.195, 0.200], [0.110, 0.190, 0.290],
], np.float32)  # fmt: skip
IRIS_SHARE = (0.3, 0.28, 0.14, 0.08, 0.08, 0.12)


def draw_iris(random: np.random.Generator, darkness: float) -> np.ndarray:
    """(3,) linear RGB; light irises are rare in dark skin.

    Args:
        darkness: 0 (light skin) to 1 (dark skin).
    """
    share = np.array(IRIS_SHARE)
    share[2:] *= max(0.03, 1 - 1.6 * darkness)
    colour = IRISES[random.choice(len(IRISES), p=share / share.sum())]
    return (colour * random.uniform(0.7, 1.3) * random.uniform(0.9, 1.1, 3)).astype(np.float32)


def paint_eyes(texture: np.ndarray, layout: HeadLayout, iris: np.ndarray, white: np.ndarray) -> None:
    """Paint both eyeballs in place.

    Args:
        texture: (N, N, 3) linear; layout: of the head; iris: (3,) linear RGB; white: (3,) factor of the whites.
    """
    head = layout.head
    vertices = head.skinned.template
    joints = head.joints(torch.zeros(1, head.num_shape))[0].numpy()
    pupils = head.landmarks_478.on(vertices[None], head.triangles)[0].numpy()
    for side, centre in (("left", topology.LEFT_IRIS[0]), ("right", topology.RIGHT_IRIS[0])):
        name = f"{side}_eye"
        if name not in layout.parts or not layout.parts[name].any():
            continue
        own = head.part_vertices(name)
        eye = fit_eyeball(
            vertices[own].numpy(), head.part_names.index(name), joints[JOINT_NAMES.index(name)], pupils[centre]
        )
        painted = eye_colour(layout.position[layout.parts[name]], eye, iris)
        texture[layout.parts[name]] = painted * white

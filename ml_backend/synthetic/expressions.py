"""Expressions of synthetic faces: sparse combinations of the ARKit shapes, gaze, and the head's turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from addon.exchange.action_units import shapes_of_action_units
from addon.exchange.arkit import ARKIT_NAMES, NUM_ARKIT
from ml_backend.head.head_model import HeadModel
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.wrinkles.expression_samples import COMMON_EXPRESSIONS

# Shares of what is not neutral: whole expressions that people make, sparse combinations, shapes driven to the end.
SHARES = {"common": 0.42, "combination": 0.46, "extreme": 0.12}
# an open laugh, which photos of people are full of
LAUGH = shapes_of_action_units({6: 0.9, 10: 0.5, 12: 1.0, 26: 0.45})
# a sided shape is mostly made on both sides, rarely with the very same strength
BOTH_SIDES, SIDE_DIFFERENCE = 0.75, 0.15
# the tongue is seldom out: as likely as any other shape it would be in every tenth picture
RARE = {"tongueOut": 0.15, "jawLeft": 0.5, "jawRight": 0.5, "jawForward": 0.5, "cheekPuff": 0.6}
# eyes follow together: the names of the shapes for a look to the person's left and right
LOOK_LEFT = ("eyeLookOutLeft", "eyeLookInRight")
LOOK_RIGHT = ("eyeLookInLeft", "eyeLookOutRight")
LOOK_UP = ("eyeLookUpLeft", "eyeLookUpRight")
LOOK_DOWN = ("eyeLookDownLeft", "eyeLookDownRight")
# Share of closed or half-closed eyes in photos (blinks, laughing): chosen so that lids are learned.
BLINK_SHARE = 0.08
# spread of small changes that every coefficient gets, so that the samples do not lie on the 52 rays alone
COEFFICIENT_NOISE = 0.03


@dataclass(frozen=True)
class Expression:
    """What a face does.

    Attributes:
        strengths: (52,) float32, 0-1; coefficients: (E,) psi; joints: (15,) theta without the global rotation.
    """

    strengths: np.ndarray
    coefficients: torch.Tensor
    joints: torch.Tensor


def draw_expression(head: HeadModel, random: np.random.Generator, settings: SyntheticSettings) -> Expression:
    """Draw an expression and where the eyes look."""
    strengths = np.zeros(NUM_ARKIT, np.float32)
    neutral = random.random() < settings.neutral_share
    if not neutral:
        kind = random.choice(list(SHARES), p=list(SHARES.values()))
        {"common": _common, "combination": _combination, "extreme": _extreme}[str(kind)](strengths, random)
        if random.random() < BLINK_SHARE:
            _set(strengths, ("eyeBlinkLeft", "eyeBlinkRight"), random.uniform(0.4, 1.0))
    _look(strengths, random, 0.25 if neutral else 0.6)
    psi = torch.from_numpy(strengths) @ head.arkit_expression
    if not neutral:
        noise = random.normal(0, COEFFICIENT_NOISE, len(psi)) * (random.random(len(psi)) < 0.3)
        psi = psi + torch.from_numpy(noise.astype(np.float32))
    psi = psi.clamp(*head.expression_limits.unbind(1))
    joints = torch.from_numpy(strengths) @ head.arkit_pose
    if not neutral:
        joints[3:6] += torch.from_numpy(random.normal(0, 0.06, 3).astype(np.float32))
    return Expression(strengths, psi, joints)


def draw_turn(random: np.random.Generator, settings: SyntheticSettings) -> np.ndarray:
    """(3, 3) rotation of the head by yaw and pitch, mostly towards the camera, sometimes to the settings' ends."""
    if random.random() < 0.75:
        yaw = float(np.clip(random.normal(0, 0.33), -0.7, 0.7))
    else:
        yaw = float(random.uniform(-settings.max_yaw, settings.max_yaw))
    yaw = float(np.clip(yaw, -settings.max_yaw, settings.max_yaw))
    pitch = float(np.clip(random.normal(0, 0.2), -settings.max_pitch, settings.max_pitch))
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return about_y @ about_x


def _common(strengths: np.ndarray, random: np.random.Generator) -> None:
    shapes = COMMON_EXPRESSIONS[random.integers(len(COMMON_EXPRESSIONS))]
    if random.random() < 0.12:
        shapes = LAUGH
    amount = random.uniform(0.3, 1.0)
    for name, value in shapes.items():
        strengths[ARKIT_NAMES.index(name)] = np.clip(amount * value * random.uniform(0.75, 1.15), 0, 1)
    if random.random() < 0.4:
        _combination(strengths, random, most=2, strongest=0.6)


def _combination(strengths: np.ndarray, random: np.random.Generator, most: int = 5, strongest: float = 1.0) -> None:
    for _ in range(random.integers(1, most + 1)):
        _raise_shape(strengths, _any_shape(random), random.uniform(0.15, strongest), random)


def _extreme(strengths: np.ndarray, random: np.random.Generator) -> None:
    for _ in range(random.integers(2, 7)):
        _raise_shape(strengths, _any_shape(random), random.uniform(0.8, 1.0), random)


def _any_shape(random: np.random.Generator) -> int:
    weight = np.array([0.0 if name.startswith("eyeLook") else RARE.get(name, 1.0) for name in ARKIT_NAMES])
    return int(random.choice(NUM_ARKIT, p=weight / weight.sum()))


def _raise_shape(strengths: np.ndarray, shape: int, value: float, random: np.random.Generator) -> None:
    strengths[shape] = max(strengths[shape], value)
    name = ARKIT_NAMES[shape]
    # a wink is rarer than a blink; jaws and mouths move to one side only
    if name.startswith(("jaw", "mouthLeft", "mouthRight")) or random.random() > BOTH_SIDES:
        return
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            mirrored = ARKIT_NAMES.index(name[: -len(side)] + other)
            strengths[mirrored] = np.clip(value * (1 + random.normal(0, SIDE_DIFFERENCE)), 0, 1)


def _look(strengths: np.ndarray, random: np.random.Generator, spread: float) -> None:
    across, up = np.clip(random.normal(0, spread / 2, 2), -1, 1)
    _set(strengths, LOOK_LEFT if across > 0 else LOOK_RIGHT, abs(across))
    _set(strengths, LOOK_UP if up > 0 else LOOK_DOWN, abs(up) * 0.8)


def _set(strengths: np.ndarray, names: tuple[str, ...], value: float) -> None:
    for name in names:
        strengths[ARKIT_NAMES.index(name)] = value

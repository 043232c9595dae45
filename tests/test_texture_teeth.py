"""Painted teeth against the widths they are given, and their colour against photos with painted mouths."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml_backend.head.head_file import load_head
from ml_backend.rendering.colour import srgb_u8_from_linear
from ml_backend.texture.teeth import (
    ENAMEL,
    LOWER_WIDTHS_M,
    UPPER_HEIGHTS_M,
    UPPER_WIDTHS_M,
    enamel_colour,
    fit_arch,
    teeth_colour,
)
from ml_backend.tracking import landmark_topology as topology

RADIUS_M = 0.025


def row_of_teeth(upper: bool) -> np.ndarray:
    """(E, 3) half a round arch: its biting edge at y = 0, gums 15 mm away, an inner side 8 mm behind."""
    angle = np.radians(np.linspace(-90, 90, 37))
    gums = 0.015 if upper else -0.015
    rings = [(RADIUS_M, 0.0), (RADIUS_M, 0.5 * gums), (RADIUS_M, gums), (RADIUS_M - 0.008, 0.4 * gums)]
    return np.concatenate([np.stack([r * np.sin(angle), np.full(37, y), r * np.cos(angle)], 1) for r, y in rings])


def on_row(arch, length_m: np.ndarray, height_m: float) -> np.ndarray:
    """(K, 3) places of the person's left half, so far along the row and from its biting edge."""
    angle = np.interp(length_m, arch.length_m, arch.angle)
    # the arch's axis lies behind the circle's middle
    behind = -arch.axis[1]
    reach = behind * np.cos(angle) + np.sqrt(RADIUS_M**2 - (behind * np.sin(angle)) ** 2)
    return np.stack([reach * np.sin(angle), np.full(len(angle), height_m), reach * np.cos(angle) - behind], 1)


@pytest.mark.parametrize(("upper", "widths"), [(True, UPPER_WIDTHS_M), (False, LOWER_WIDTHS_M)])
def test_dark_gaps_lie_where_the_crowns_widths_end(upper, widths):
    arch = fit_arch(row_of_teeth(upper), 3, upper)
    # half a circle, of which the axis behind it cuts the ends off a little
    assert abs(arch.length_m[-1] - np.pi / 2 * RADIUS_M) < 0.0015
    along = np.linspace(0.0, arch.length_m[-1], 4000)
    places = on_row(arch, along, 0.005 if upper else -0.005)
    tone = teeth_colour(places, arch, ENAMEL)[:, 1]
    borders = widths.cumsum()[:4] * arch.length_m[-1] / widths.sum()
    for border, width in zip(borders, widths[:4] * arch.length_m[-1] / widths.sum(), strict=True):
        near = np.abs(along - border) < 0.3 * width
        assert abs(along[near][tone[near].argmin()] - border) < 0.0002
        assert tone[near].min() < 0.7 * tone[np.abs(along - border + width / 2) < 0.2 * width].mean()
    mirrored = teeth_colour(places * [-1, 1, 1], arch, ENAMEL)[:, 1]
    assert np.abs(mirrored - tone).max() < 1e-5


def test_gums_begin_at_the_crowns_height():
    arch = fit_arch(row_of_teeth(upper=True), 3, upper=True)
    scale = arch.length_m[-1] / UPPER_WIDTHS_M.sum()
    middle = np.array([0.5 * UPPER_WIDTHS_M[0] * scale])
    tooth, gums = (
        teeth_colour(on_row(arch, middle, UPPER_HEIGHTS_M[0] * scale + away), arch, ENAMEL)[0]
        for away in (-0.001, 0.001)
    )
    assert tooth[0] < 1.5 * tooth[2]
    assert gums[0] > 2.5 * gums[2]


def test_the_open_heads_own_teeth_have_an_arch_of_human_size():
    head = load_head()
    vertices, part = head.skinned.template.numpy(), head.triangle_part.numpy()
    for name in ("upper_teeth", "lower_teeth"):
        own = np.unique(head.triangles.numpy()[part == head.part_names.index(name)])
        arch = fit_arch(vertices[own], 3, name == "upper_teeth")
        assert 0.045 < arch.length_m[-1] < 0.075
        assert (np.diff(arch.length_m) > 0).all()
        assert abs(np.diff(arch.edge_m)).max() < 0.0015


def smiling(mouth: tuple[float, float, float], opening_px: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """A photo of skin with an open mouth of one linear colour, and its landmarks."""
    landmarks = np.zeros((478, 2), np.float32)
    across = np.linspace(60, 140, 11)
    bow = 1.0 - ((across - 100) / 40) ** 2
    landmarks[list(topology.LIPS_INNER_LOWER)] = np.stack([across, 100 + 0.5 * opening_px * bow], 1)
    landmarks[list(topology.LIPS_INNER_UPPER)] = np.stack([across, 100 - 0.5 * opening_px * bow], 1)[1:-1]
    pixels = np.broadcast_to(srgb_u8_from_linear(np.array([0.4, 0.25, 0.2])), (200, 200, 3)).copy()
    outline = np.round(landmarks[list(topology.LIPS_INNER)]).astype(np.int32)
    cv2.fillPoly(pixels, [outline], srgb_u8_from_linear(np.array(mouth)).tolist())
    return pixels, landmarks


def test_enamel_is_read_off_the_photo_without_its_light():
    light = np.array([0.9, 0.8, 0.7])
    white, yellow = (enamel_colour(*smiling(tuple(light * colour)), light)
                     for colour in ([0.56, 0.53, 0.455], [0.50, 0.44, 0.31]))  # fmt: skip
    assert yellow[2] / yellow[1] < white[2] / white[1] - 0.1
    assert white.mean() > yellow.mean() + 0.03
    assert np.abs(enamel_colour(*smiling((0.56, 0.53, 0.455)), np.ones(3)) - white).max() < 0.02


def test_a_mouth_without_teeth_to_see_gets_common_enamel():
    for photo in (smiling((0.3, 0.06, 0.05)), smiling((0.02, 0.02, 0.02)), smiling((0.5, 0.45, 0.4), opening_px=2.0)):
        assert (enamel_colour(*photo, np.ones(3)) == ENAMEL).all()

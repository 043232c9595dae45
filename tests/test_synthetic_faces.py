"""Synthetic faces: the same ones every time, true to their labels, and different from each other."""

from __future__ import annotations

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.render_head import fragments_of
from ml_backend.synthetic.contact_sheet import contact_sheet
from ml_backend.synthetic.expressions import draw_expression
from ml_backend.synthetic.framing import about_view_axis, crop_camera, roll_of
from ml_backend.synthetic.light import Light, draw_light
from ml_backend.synthetic.people import TONE_RANGE, draw_albedo, draw_shape
from ml_backend.synthetic.picture import rigid_motion
from ml_backend.synthetic.sample import SyntheticFaces, SyntheticSample
from ml_backend.synthetic.settings import SyntheticSettings, SyntheticSettingsError, chance
from ml_backend.synthetic.wrinkles import slopes_and_shade, surface_gradients

SETTINGS = SyntheticSettings(
    image_px=128, seed=5, images_per_person=4, detail=True, map_px=256, displacement_px=128, supersampling=1.0
)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head(None)


@pytest.fixture(scope="module")
def faces(head: HeadModel) -> SyntheticFaces:
    return SyntheticFaces(head, load_albedo_model(), SETTINGS)


@pytest.fixture(scope="module")
def samples(faces: SyntheticFaces) -> list[SyntheticSample]:
    return [faces.sample(index) for index in range(12)]


def _assert_same(first: SyntheticSample, second: SyntheticSample) -> None:
    for field in fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "detail":
            for part in fields(one):
                np.testing.assert_array_equal(getattr(one, part.name), getattr(other, part.name))
        else:
            np.testing.assert_array_equal(one, other)


def test_samples_depend_on_seed_and_index_alone(head: HeadModel, samples: list[SyntheticSample]) -> None:
    # another object, backwards, with a cache too small for its people: all is drawn anew
    others = SyntheticFaces(head, load_albedo_model(), replace(SETTINGS, people_kept=1))
    for index in (9, 2):
        _assert_same(others.sample(index), samples[index])


def test_another_seed_gives_other_faces(head: HeadModel, samples: list[SyntheticSample]) -> None:
    others = SyntheticFaces(head, load_albedo_model(), replace(SETTINGS, seed=6))
    sample = others.sample(0)
    assert not np.array_equal(sample.image, samples[0].image)
    assert not np.allclose(sample.shape, samples[0].shape)


def test_samples_of_a_person_share_what_is_the_persons(samples: list[SyntheticSample]) -> None:
    first, second, stranger = samples[0], samples[3], samples[4]
    assert first.person == second.person != stranger.person
    for name in ("shape", "albedo"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert not np.allclose(getattr(first, name), getattr(stranger, name))
    for name in ("albedo_texture", "neutral_displacement_m"):
        np.testing.assert_array_equal(getattr(first.detail, name), getattr(second.detail, name))
        assert not np.allclose(getattr(first.detail, name), getattr(stranger.detail, name), atol=1e-6)
    for name in ("pose", "light", "camera", "expression"):
        assert not np.allclose(getattr(first, name), getattr(second, name))


def test_parameters_give_the_vertices_and_the_landmarks(head: HeadModel, samples: list[SyntheticSample]) -> None:
    for sample in samples[:6]:
        code = (torch.from_numpy(values)[None] for values in (sample.shape, sample.expression, sample.pose))
        vertices = head.vertices(*code)
        np.testing.assert_allclose(vertices[0].numpy(), sample.detail.vertices, atol=2e-6)
        scale, tx, ty = sample.camera
        points = head.landmarks_478.on(vertices, head.triangles)[0].numpy()
        expected = points[:, :2] * [scale, -scale] + [tx, ty]
        np.testing.assert_allclose(sample.landmarks_478, expected, atol=1e-4)
        inner = head.landmarks_68.on(vertices, head.triangles)[0, 17:].numpy()[:, :2] * [scale, -scale] + [tx, ty]
        np.testing.assert_allclose(sample.landmarks_68[17:], inner, atol=1e-4)


def test_contour_lies_on_the_side_of_the_head_that_the_view_hides(samples: list[SyntheticSample]) -> None:
    # the contour's points keep the order right ear, chin, left ear around the other landmarks
    for sample in samples:
        contour, inner = sample.landmarks_68[:17], sample.landmarks_68[17:]
        assert contour[8, 1] > inner[:, 1].mean()
        low, high = inner[:, 0].min() - 0.02, inner[:, 0].max() + 0.02
        assert contour[:, 0].min() < high and contour[:, 0].max() > low


def test_skin_mask_follows_the_projected_head(head: HeadModel) -> None:
    settings = replace(SETTINGS, occluded_share=0.0, glasses_share=0.0, effects=False, max_yaw=0.5, detail=True)
    plain = SyntheticFaces(head, load_albedo_model(), settings)
    for index in (0, 4):
        sample = plain.sample(index)
        size = settings.image_px
        scale, tx, ty = (float(value) for value in sample.camera)
        camera = Camera(SCALED_ORTHOGRAPHIC, (size, size), scale * size / 2, ((tx + 1) * size / 2, (ty + 1) * size / 2))
        fragments = fragments_of(head, torch.from_numpy(sample.detail.vertices), camera)
        on_head = (fragments.triangle[0] >= 0).numpy()
        face = head.masks["nose"] + head.masks["forehead"] + head.masks["cheeks"] > 0.9
        of_face = face[head.triangles].all(1)[fragments.triangle[0].clamp(min=0)].numpy() & on_head
        shown = sample.skin_mask > 0
        # hairlines, brows' fringes and beards take a part of the face, never most of it
        assert shown[of_face].mean() > 0.6
        # hair and glasses stand off the head, skin does not: one pixel of border
        around = cv2.dilate(on_head.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert (shown & ~around).sum() <= 3


def test_skin_is_brighter_than_its_shadow_side(head: HeadModel, faces: SyntheticFaces) -> None:
    from ml_backend.synthetic.render_face import render_face

    person = faces.person(0)
    zero = torch.zeros(1, head.num_expression)
    posed = head.vertices(person.shape[None], zero, torch.zeros(1, 15))[0]
    landmarks = head.landmarks_478.on(posed[None], head.triangles)[0].numpy()
    camera = crop_camera(landmarks, 0.0, chance(0, "view", 0), replace(SETTINGS, centre_jitter=0.0))
    brightness = []
    for direction in (-1.0, 1.0):
        coefficients = np.zeros((9, 3), np.float32)
        coefficients[0], coefficients[3] = 2.0, direction
        light = Light(coefficients, np.array([direction, 0, 0], np.float32), 0.8)
        layout = faces._layout
        picture = render_face(layout, person, posed, camera, light, np.zeros((128, 128), np.float32), 96)
        skin = picture.skin > 0.5
        left = np.arange(96)[None] >= 48
        brightness.append(picture.colour[skin & left].mean() / picture.colour[skin & ~left].mean())
    # light from the person's left (+X) brightens the right half of the picture
    assert brightness[1] > 1.3 and brightness[0] < 1 / 1.3


def test_landmarks_stay_in_the_frame_and_the_face_stands_upright(head: HeadModel, faces: SyntheticFaces) -> None:
    rolls, centres, spans = [], [], []
    for index in range(40):
        posed = faces._posed(faces.person(index % 2), index)
        points = head.landmarks_478.on(posed.vertices[None], head.triangles)[0].numpy()
        ndc = posed.camera.ndc(points)
        rolls.append(roll_of(points))
        upright = np.concatenate([ndc * [1, -1], ndc[:, :1]], 1) @ about_view_axis(-rolls[-1]).T
        low, high = upright[:, :2].min(0), upright[:, :2].max(0)
        centres.append(np.abs(about_view_axis(rolls[-1])[:2, :2] @ ((low + high) / 2)).max())
        spans.append(2 / (high - low).max())
        assert np.abs(ndc).max() < 1
    assert np.abs(rolls).max() <= SETTINGS.max_roll + 1e-3 and np.std(rolls) > 0.05
    # half crops: twice the share of the side
    assert np.max(centres) <= 2 * SETTINGS.centre_jitter + 1e-4 < 3 * np.max(centres)
    low, high = SETTINGS.side_jitter
    assert 1.6 * low - 1e-3 <= min(spans) < max(spans) <= 1.6 * high + 1e-3


def test_values_stay_in_their_bounds(head: HeadModel, samples: list[SyntheticSample]) -> None:
    low, high = head.expression_limits.numpy().T
    for sample in samples:
        assert sample.image.shape == (128, 128, 3) and sample.image.dtype == np.uint8
        assert sample.skin_mask.shape == (128, 128) and set(np.unique(sample.skin_mask)) <= {0, 255}
        assert ((sample.expression >= low - 1e-6) & (sample.expression <= high + 1e-6)).all()
        assert np.abs(sample.detail.displacement_m).max() <= 0.01
        assert np.abs(sample.detail.tension).max() < 1
        assert sample.detail.albedo_texture.min() > 0.002 and sample.detail.albedo_texture.max() <= 1
        for values in (sample.landmarks_478, sample.landmarks_68, sample.light, sample.camera):
            assert np.isfinite(values).all() and values.dtype == np.float32


def test_wrinkles_deepen_where_the_skin_is_compressed(head: HeadModel, faces: SyntheticFaces) -> None:
    person = faces.person(1)
    frown = torch.zeros(52)
    frown[:2] = 1.0
    zero_pose = torch.zeros(1, 15)
    relief = []
    for strength in (0.0, 0.5, 1.0):
        expression = (strength * frown @ head.arkit_expression)[None]
        relief.append(float(np.abs(person.wrinkles.displacement(head, expression[0], zero_pose[0])).sum()))
    assert relief[0] < relief[1] < relief[2]


def test_shared_wrinkles_come_back_and_nothing_else_does(head: HeadModel) -> None:
    sharing = SyntheticFaces(head, load_albedo_model(), replace(SETTINGS, wrinkle_sets=1))
    first, second = sharing.person(0), sharing.person(1)
    assert first.wrinkles is second.wrinkles
    assert not torch.allclose(first.shape, second.shape)
    assert np.abs(first.texture - second.texture).mean() > 0.01


def test_expressions_are_varied_and_often_neutral(head: HeadModel) -> None:
    drawn = [draw_expression(head, chance(1, "expression", index), SETTINGS).strengths for index in range(600)]
    looks = np.array([name.startswith("eyeLook") for name in _names()])
    face = np.array(drawn)[:, ~looks]
    neutral = (face.max(1) == 0).mean()
    assert 0.15 < neutral < 0.26
    assert 2.0 < (face > 0).sum(1)[face.max(1) > 0].mean() < 12
    # every shape is made, and made strongly by someone
    assert (face.max(0) > 0.6).mean() > 0.95
    assert (np.array(drawn)[:, looks].max(0) > 0.5).all()


def _names() -> tuple[str, ...]:
    from addon.exchange.arkit import ARKIT_NAMES

    return ARKIT_NAMES


def test_people_cover_tones_and_identities() -> None:
    albedo = np.stack([draw_albedo(chance(2, "albedo", number), 8).numpy() for number in range(400)])
    low, high = TONE_RANGE
    histogram = np.histogram(albedo[:, 0], np.linspace(low, high, 5))[0]
    assert histogram.sum() == 400 and histogram.min() > 40
    shapes = np.stack([draw_shape(chance(2, "shape", number), 150).numpy() for number in range(200)])
    spread = shapes.std(1)
    assert 0.75 < spread.mean() < 1.1 and spread.max() > 1.3


def test_light_is_plausible_and_often_from_one_side() -> None:
    lights = [draw_light(chance(3, "light", index)) for index in range(200)]
    faces_ = np.array([(light.coefficients[0] * 0.282095).mean() for light in lights])
    assert np.quantile(faces_, 0.05) > 0.2 and np.quantile(faces_, 0.95) < 2.0
    sideways = np.array([np.abs(light.coefficients[3]).mean() / light.coefficients[0].mean() for light in lights])
    assert (sideways > 0.25).mean() > 0.25


def test_slopes_of_a_ramp_give_its_gradient_on_the_surface(head: HeadModel) -> None:
    size = 64
    ramp = np.broadcast_to(0.003 * (np.arange(size, dtype=np.float32) + 0.5) / size, (size, size)).copy()
    slopes = slopes_and_shade(ramp)
    np.testing.assert_allclose(slopes[8:-8, 8:-8, 0], 0.003, rtol=1e-4)
    np.testing.assert_allclose(slopes[8:-8, 8:-8, 1], 0, atol=1e-8)
    # along an edge of a triangle, u changes by what the edge's ends differ in u
    vertices = head.skinned.template.numpy()
    chosen = np.arange(0, len(head.triangles), 500)
    gradients = surface_gradients(vertices, head, chosen)
    triangles, uv = head.triangles.numpy()[chosen], head.uv.numpy()[head.uv_triangles.numpy()[chosen]]
    edge = vertices[triangles[:, 2]] - vertices[triangles[:, 0]]
    np.testing.assert_allclose(np.einsum("fuk,fk->fu", gradients, edge), uv[:, 2] - uv[:, 0], atol=2e-4)


def test_rigid_motion_is_found() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(30, 3))
    rotation = cv2.Rodrigues(np.array([0.3, -0.8, 0.2]))[0]
    motion = rigid_motion(points, points @ rotation.T + [1, 2, 3])
    np.testing.assert_allclose(motion, np.concatenate([rotation, [[1], [2], [3]]], 1), atol=1e-9)


def test_contact_sheet_is_filled_up(faces: SyntheticFaces) -> None:
    sheet = contact_sheet(faces, [0, 1, 2], columns=2)
    assert sheet.shape == (256, 256, 3)
    np.testing.assert_array_equal(sheet[:128, :128], faces.sample(0).image)
    assert (sheet[128:, 128:] == 255).all()


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(SyntheticSettingsError):
        SyntheticSettings(image_px=0)
    with pytest.raises(SyntheticSettingsError):
        SyntheticSettings(side_jitter=(1.2, 0.9))

"""The error on photos that a head was not made of, before and after."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch

from addon.exchange.avatar_description import AvatarDescription, HeldOutError
from addon.exchange.typed_json import decode, encode
from ml_backend.personalise import held_out as held_out_module
from ml_backend.personalise.held_out import PersonHead, held_out_error, held_out_views
from ml_backend.personalise.joint_fit import fit_again, fit_jointly
from tests.test_personalise_joint_fit import WITHOUT_SHADING, person, photo_of, seen_by
from tests.toy_head import toy_albedo_model, toy_head

TURNS = (0.0, -0.3, 0.3, 0.15, -0.2)


@pytest.fixture(scope="module")
def head():
    return toy_head()


@pytest.fixture(scope="module")
def albedo_model():
    return toy_albedo_model()


@pytest.fixture(scope="module")
def views(head):
    return [photo_of(head, seen_by(head, person(1), yaw, seed), str(seed), 0.7, seed) for seed, yaw in enumerate(TURNS)]


@pytest.fixture(scope="module")
def joint(views, head, albedo_model):
    return fit_jointly(views, head, albedo_model, WITHOUT_SHADING)


def test_about_every_fifth_photo_is_held_out_and_never_the_first():
    assert [len(held_out_views(count)) for count in (0, 3, 4, 7, 8, 12, 20, 40)] == [0, 0, 1, 1, 2, 2, 4, 4]
    for count in range(4, 50):
        held = held_out_views(count)
        assert len(set(held)) == len(held) and min(held) > 0 and max(held) < count


def test_going_on_from_all_photos_forgets_what_those_left_out_have_said(views, head, albedo_model, joint):
    fits = joint.fits[:-1]
    again = fit_again(views[:-1], fits, head, albedo_model, WITHOUT_SHADING)
    misled = [replace(fit, shape=person(9)) for fit in fits]
    assert torch.equal(again.shape, fit_again(views[:-1], misled, head, albedo_model, WITHOUT_SHADING).shape)
    anew = fit_jointly(views[:-1], head, albedo_model, WITHOUT_SHADING)
    assert again.error_percent == pytest.approx(anew.error_percent, abs=0.05)


def test_the_head_of_several_photos_is_better_than_another_one(views, head, albedo_model, joint):
    stranger = PersonHead(head, person(9), torch.zeros(2))
    everyone = [1.0] * len(views)
    error = held_out_error(views, joint, head, albedo_model, everyone, everyone, stranger, WITHOUT_SHADING)
    assert error.photos == 1
    assert 0 < error.after_percent < 0.7 * error.before_percent


def test_without_an_avatar_the_best_photo_alone_comes_before(views, head, albedo_model, joint, monkeypatch):
    used = []

    def noted(pixels, face, *others):
        used.append(face)
        return original(pixels, face, *others)

    original = held_out_module.fit_photo
    monkeypatch.setattr(held_out_module, "fit_photo", noted)
    everyone = [1.0] * len(views)
    worth = [0.5, 0.1, 0.2, 0.9, 0.3]
    error = held_out_error(views, joint, head, albedo_model, worth, everyone, None, WITHOUT_SHADING)
    assert used == [views[3].face]
    assert error.before_percent > 0 and error.after_percent > 0
    few = held_out_error(views[:3], joint, head, albedo_model, worth, everyone, None, WITHOUT_SHADING)
    assert few is None


def test_a_description_carries_it_and_older_ones_do_without():
    assert AvatarDescription.__dataclass_fields__["held_out"].default is None
    error = HeldOutError(2, 2.5, 1.75)
    assert decode(HeldOutError, encode(error)) == error
    assert set(asdict(error)) == {"photos", "before_percent", "after_percent"}

"""Distilled maps: closed forms come back, what cannot be played is the error, and the fast way agrees with the slow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addon.exchange.arkit import ARKIT_NAMES
from addon.exchange.tension import wrinkle_weights
from ml_backend.wrinkles.distil import WrinkleScale, distil, distil_samples, full_tensions
from ml_backend.wrinkles.expression_samples import expression_samples

SCALE = WrinkleScale(full_compression=0.3, full_stretch=0.4)
SIDE = 24


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def random_maps(generator: torch.Generator, count: int) -> torch.Tensor:
    return torch.randn(count, SIDE, SIDE, generator=generator, dtype=torch.float64) * 1e-3


def tensions(generator: torch.Generator, count: int) -> torch.Tensor:
    """Between full stretch and full compression, and a little beyond."""
    return torch.rand(count, SIDE, SIDE, generator=generator, dtype=torch.float64) * 1.0 - 0.5


def test_maps_of_the_played_form_come_back(generator):
    neutral, compressed, expanded = random_maps(generator, 3)

    def detail(tension: torch.Tensor) -> torch.Tensor:
        weights = wrinkle_weights(tension.numpy(), SCALE.full_compression, SCALE.full_stretch)
        w_c, w_e = torch.from_numpy(weights.compressed), torch.from_numpy(weights.expanded)
        return neutral + w_c * (compressed - neutral) + w_e * (expanded - neutral)

    maps = distil(detail, tensions(generator, 60), SCALE)
    for found, true in ((maps.neutral, neutral), (maps.compressed, compressed), (maps.expanded, expanded)):
        assert (found - true).abs().max() < 1e-6 * true.abs().max()
    assert maps.error_um < 1e-3
    probe = tensions(generator, 1)[0]
    assert torch.allclose(maps.played(probe), detail(probe), atol=1e-9)


def test_noise_stays_as_the_error(generator):
    sigma, count = 2e-5, 400
    batch = tensions(generator, count)
    noise = sigma * torch.randn(batch.shape, generator=generator, dtype=torch.float64)
    maps = distil_samples([(batch, noise)], SCALE)
    # three unknowns take up three of the samples' degrees of freedom
    expected_um = 1e6 * sigma * np.sqrt(1 - 3 / count)
    assert maps.error_um == pytest.approx(expected_um, rel=0.01)
    assert maps.error_map.shape == (SIDE, SIDE)
    measured = (torch.stack([maps.played(t) for t in batch]) - noise).square().mean(0).sqrt()
    assert torch.allclose(maps.error_map, measured, atol=1e-9)


def test_what_is_not_a_function_of_the_weights_is_the_error_where_it_is(generator):
    batch = tensions(generator, 100)
    wave = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    wave[:, : SIDE // 2] = 1e-4
    maps = distil(lambda tension: wave * torch.sin(40 * tension), batch, SCALE)
    left, right = maps.error_map[:, : SIDE // 2], maps.error_map[:, SIDE // 2 :]
    assert left.min() > 2e-5
    assert right.max() < 1e-12


def test_batches_do_not_matter(generator):
    batch = tensions(generator, 30)
    shown = random_maps(generator, 30)
    whole = distil_samples([(batch, shown)], SCALE)
    parts = distil_samples([(batch[:7], shown[:7]), (batch[7:], shown[7:])], SCALE)
    assert torch.allclose(whole.compressed, parts.compressed, atol=1e-12)
    assert whole.error_um == pytest.approx(parts.error_um)


def test_a_known_rest_stays_exact_and_an_unmoved_place_stays_at_rest(generator):
    at_rest = random_maps(generator, 1)[0]
    batch = tensions(generator, 30)
    batch[:, 0, 0] = 0.0
    maps = distil_samples([(batch, random_maps(generator, 30))], SCALE, at_rest=at_rest)
    assert torch.equal(maps.neutral, at_rest)
    only_rest = distil_samples([(torch.zeros_like(batch), at_rest.expand(30, -1, -1))], SCALE)
    assert torch.allclose(only_rest.compressed, at_rest, atol=1e-12)
    assert torch.allclose(only_rest.expanded, at_rest, atol=1e-12)


def test_nothing_to_distil_is_refused():
    with pytest.raises(ValueError, match="no expression"):
        distil(lambda tension: tension, [], SCALE)


def test_full_tensions_are_quantiles_of_what_moves():
    values = torch.cat([torch.zeros(1000), torch.linspace(0.1, 0.5, 401), -torch.linspace(0.1, 0.9, 801)])
    scale = full_tensions(values, quantile=0.75)
    assert scale.full_compression == pytest.approx(0.4, abs=1e-6)
    assert scale.full_stretch == pytest.approx(0.7, abs=1e-6)


def test_samples_hold_every_shape_alone_sparse_combinations_and_what_faces_make_most():
    samples = expression_samples(40)
    assert torch.equal(samples.strengths[:52], torch.eye(len(ARKIT_NAMES)))
    counts = (samples.strengths[52:92] > 0).sum(1)
    assert counts.min() >= 2 and counts.max() <= 10
    assert torch.equal(samples.strengths, expression_samples(40).strengths)
    common = samples.strengths[92:]
    halves, wholes = common.chunk(2)
    assert torch.equal(2 * halves, wholes)
    smile = [ARKIT_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft")]
    assert (wholes[:, smile] == 1).all(1).any()
    assert common.min() >= 0 and common.max() <= 1
    assert samples.weight[:92].max() < samples.weight[92:].min()

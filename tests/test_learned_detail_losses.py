"""The losses and figures of the detail stage against closed forms and slow versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.learned.detail_input import face_window, on_window
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.training import detail_losses as losses
from ml_backend.training.detail_evaluation import correlation, mean_correlation, rms_mm, swap_ratio
from ml_backend.training.detail_shading import SurfaceFrame, detailed_normals, shaded_texture, surface_frame
from ml_backend.training.detail_stream import partner, stranger
from ml_backend.training.detail_task import figures

SIZE = 24
MM = 1e-3


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture
def everywhere() -> torch.Tensor:
    return torch.ones(1, 1, SIZE, SIZE)


def _random(seed: int, channels: int = 1) -> torch.Tensor:
    return torch.rand(1, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def _ramp(slope: float) -> torch.Tensor:
    """(1,1,SIZE,SIZE) rising by `slope` with each column."""
    return slope * torch.arange(SIZE, dtype=torch.float32).expand(1, 1, SIZE, SIZE)


def test_supervised_loss_counts_the_offset_and_not_the_slope(everywhere: torch.Tensor) -> None:
    truth = MM * _random(0)
    found = losses.supervised_loss(truth + 0.3 * MM, truth, everywhere)
    assert float(found) == pytest.approx(0.3 - losses.ROUNDED_MM / 2, rel=1e-3)
    assert float(losses.supervised_loss(truth, truth, everywhere)) == 0


def test_supervised_loss_counts_the_slope(everywhere: torch.Tensor) -> None:
    truth = torch.zeros(1, 1, SIZE, SIZE)
    middle = everywhere.clone()
    middle[..., [0, -1]] = 0
    flat = losses.supervised_loss(truth + 10 * MM, truth, middle)
    sloped = losses.supervised_loss(truth + 10 * MM + _ramp(0.2 * MM) - 0.1 * (SIZE - 1) * MM, truth, middle)
    # both lie 10 mm off on average; of the two differences of a texel one is 0.2, the other 0
    assert float(sloped - flat) == pytest.approx(0.5 * (0.2 - losses.ROUNDED_MM / 2), rel=1e-3)


def test_weights_leave_texels_out(everywhere: torch.Tensor) -> None:
    left = everywhere.clone()
    left[..., SIZE // 2 :] = 0
    first, second = _random(1, 3), _random(2, 3)
    expected = (first - second)[..., : SIZE // 2].abs().mean()
    assert float(losses.photometric_loss(first, second, left)) == pytest.approx(float(expected), rel=1e-5)
    assert float(losses.photometric_loss(first, second, 0 * left)) == 0


def test_gradient_stand_in_ignores_brightness_and_sees_relief(everywhere: torch.Tensor) -> None:
    photo = 0.3 + 0.4 * _random(3, 3)
    same = losses.mrf_loss(0.5 * photo - 0.5 / 255, photo, everywhere, None)
    assert float(same) < 1e-5
    other = losses.mrf_loss(torch.full_like(photo, 0.5), photo, everywhere, None)
    assert float(other) > 0.01


def test_mrf_of_a_feature_network_against_loops() -> None:
    made, wanted = _random(4, 5)[..., :4, :4], _random(5, 5)[..., :4, :4]
    found = losses.mrf_loss(made, wanted, torch.ones(1, 1, 4, 4), lambda image: image)
    centre = wanted.mean((2, 3), keepdim=True)
    v, s = ((image - centre)[0].flatten(1).T.numpy().astype(np.float64) for image in (made, wanted))
    v, s = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (v, s))
    share = np.zeros((16, 16))
    for i in range(16):
        cosine = [float(v[i] @ s[j]) for j in range(16)]
        relative = []
        for j in range(16):
            nearest_other = max(cosine[r] for r in range(16) if r != j)
            relative.append(cosine[j] / (max(nearest_other, 0.0) + losses.MRF_GUARD) / losses.MRF_BANDWIDTH)
        powers = np.exp(np.array(relative) - max(relative))
        share[i] = powers / powers.sum()
    assert float(found) == pytest.approx(-math.log(share.max(0).mean()), rel=1e-4)
    identical = losses.mrf_loss(wanted, wanted, torch.ones(1, 1, 4, 4), lambda image: image)
    assert float(identical) < float(found)


def test_smoothness_is_the_laplacian(everywhere: torch.Tensor) -> None:
    spike = torch.zeros(1, 1, SIZE, SIZE)
    spike[..., 10, 12] = 0.2 * MM
    assert float(losses.smoothness_loss(spike, everywhere)) == pytest.approx(8 * 0.2 / SIZE**2, rel=1e-5)
    inner = everywhere.clone()
    inner[..., [0, -1]] = 0
    assert float(losses.smoothness_loss(_ramp(0.1 * MM), inner)) < 1e-6


def test_size_is_the_mean_depth() -> None:
    assert float(losses.size_loss(torch.full((2, 1, 4, 4), -0.25 * MM))) == pytest.approx(0.25)


def test_similarity_against_a_slow_window() -> None:
    first, second = 0.3 * _random(6), 0.3 * _random(7)
    found = losses.similarity(first, second)
    reach = losses.SSIM_PX // 2
    row, column = 9, 14
    a, b = (
        image[0, 0, row - reach : row + reach + 1, column - reach : column + reach + 1].numpy().astype(np.float64)
        for image in (first, second)
    )
    c1, c2 = 1e-4, 9e-4
    covariance = (a * b).mean() - a.mean() * b.mean()
    expected = (2 * a.mean() * b.mean() + c1) * (2 * covariance + c2)
    expected /= (a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var() + b.var() + c2)
    assert float(found[0, 0, row, column]) == pytest.approx(expected, rel=1e-3)
    assert torch.allclose(losses.similarity(first, first), torch.ones_like(first), atol=1e-4)


def test_teacher_loss_is_zero_only_for_the_teacher(everywhere: torch.Tensor) -> None:
    taught = 0.1 * MM * _random(8)
    assert float(losses.teacher_loss(taught, taught, everywhere)) == pytest.approx(0, abs=1e-4)
    flat = losses.teacher_loss(torch.zeros_like(taught), taught, everywhere)
    assert float(flat) > float((taught / MM).mean())


def test_symmetry_pulls_the_hidden_half_towards_the_seen_one(everywhere: torch.Tensor) -> None:
    columns = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    rows, across = torch.meshgrid(columns, -columns, indexing="ij")
    mirror = torch.stack([across, rows], -1)
    seen = everywhere.clone()
    seen[..., SIZE // 2 :] = 0
    displacement = torch.zeros(1, 1, SIZE, SIZE)
    displacement[..., : SIZE // 2] = 0.2 * MM
    displacement.requires_grad_(True)
    loss = losses.symmetry_loss(displacement, mirror, everywhere, seen)
    assert float(loss.detach()) == pytest.approx(0.2, rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, displacement)
    assert float(gradient[..., SIZE // 2 :].max()) < 0
    ratio = gradient[..., : SIZE // 2].sum() / gradient[..., SIZE // 2 :].sum()
    assert float(ratio) == pytest.approx(-losses.SYMMETRY_WHERE_SEEN, rel=1e-3)
    even = torch.full((1, 1, SIZE, SIZE), 0.1 * MM)
    assert float(losses.symmetry_loss(even, mirror, everywhere, seen)) == pytest.approx(0, abs=1e-6)


def test_swap_loss_is_zero_for_equal_images(everywhere: torch.Tensor) -> None:
    own = 0.1 * MM * _random(9)
    assert float(losses.swap_loss(own, own, everywhere)) == 0
    assert float(losses.swap_loss(own, own + 0.05 * MM, everywhere)) == pytest.approx(0.05, rel=1e-3)


def test_normals_of_a_tilted_plane() -> None:
    # columns run along x, rows down y, one texel a millimetre; the displacement rises by tan(30 deg) to the right
    ones = torch.ones(1, 1, SIZE, SIZE)
    zeros = torch.zeros_like(ones)
    frame = SurfaceFrame(
        torch.cat([zeros, zeros, ones], 1),
        torch.cat([MM * ones, zeros, zeros], 1),
        torch.cat([zeros, -MM * ones, zeros], 1),
    )
    normal = detailed_normals(frame, _ramp(math.tan(math.pi / 6) * MM))[0, :, SIZE // 2, SIZE // 2]
    assert torch.allclose(normal, torch.tensor([-0.5, 0.0, math.sqrt(0.75)]), atol=1e-5)
    down = detailed_normals(frame, _ramp(math.tan(math.pi / 6) * MM).transpose(2, 3))[0, :, SIZE // 2, SIZE // 2]
    assert torch.allclose(down, torch.tensor([0.0, 0.5, math.sqrt(0.75)]), atol=1e-5)


def test_normals_agree_with_a_mesh_that_was_moved(head: HeadModel) -> None:
    window = face_window(head, 64)
    posed = head.skinned.template[None]
    frame = surface_frame(head, window, posed)
    # waves 40 mm long and 1 mm deep, as coarse as the mesh can carry
    wave = 1e-3 * torch.sin(2 * math.pi * posed[..., 1:2] / 0.04)
    moved = posed + wave * vertex_normals(posed, head.triangles)
    expected = on_window(vertex_normals(moved, head.triangles), window)
    expected = torch.nn.functional.normalize(expected, dim=1, eps=1e-9)
    found = detailed_normals(frame, on_window(wave, window))
    forehead = torch.zeros(64, 64, dtype=torch.bool)
    forehead[8:20, 16:48] = True
    before = torch.rad2deg((frame.normal * expected).sum(1).clamp(-1, 1).acos())[0][forehead].mean()
    after = torch.rad2deg((found * expected).sum(1).clamp(-1, 1).acos())[0][forehead].mean()
    assert float(after) < 0.35 * float(before)


def test_shading_in_ambient_light_is_the_albedo() -> None:
    albedo = _random(10, 3).clamp(min=0.05)
    normal = torch.nn.functional.normalize(_random(11, 3) - 0.5, dim=1)
    shaded = shaded_texture(albedo, ambient_light()[None], normal)
    assert torch.allclose(shaded**2.2, albedo, atol=1e-4)


def test_figures_against_numpy() -> None:
    weight = (_random(12) > 0.3).float()
    values, truth = _random(13), _random(14)
    chosen = weight.bool()
    expected = np.corrcoef(values[chosen].numpy(), truth[chosen].numpy())[0, 1]
    assert correlation(values, truth, weight) == pytest.approx(expected, abs=1e-6)
    assert correlation(values, 3 * values + 1, weight) == pytest.approx(1)
    assert correlation(values, -values, weight) == pytest.approx(-1)
    assert correlation(0 * values, truth, weight) == 0
    assert rms_mm(MM * (values - truth), weight) == pytest.approx(
        float(((values - truth)[chosen] ** 2).mean().sqrt()), rel=1e-5
    )
    both = torch.cat([values, 0 * values])
    assert mean_correlation(both, both, weight) == pytest.approx(0.5)


def test_swap_ratio_is_of_the_two_changes(everywhere: torch.Tensor) -> None:
    own = MM * _random(15)
    assert swap_ratio(own, own + 0.1 * MM, own - 0.4 * MM, everywhere) == pytest.approx(0.25, rel=1e-3)
    assert swap_ratio(own, own, own + MM, everywhere) == 0


def test_a_perfect_student_has_perfect_figures(everywhere: torch.Tensor) -> None:
    truth, new_truth = MM * _random(16), MM * _random(17)
    result = figures(
        {
            "own": truth, "same_person": truth, "other_person": new_truth, "new": new_truth,
            "truth": truth, "new_truth": new_truth, "confidence": everywhere,
        },
        everywhere,
    )  # fmt: skip
    for name in ("correlation", "mean_correlation", "seen_correlation", "new_correlation", "change_correlation"):
        assert result[name] == pytest.approx(1)
    assert result["rms_mm"] == result["new_rms_mm"] == result["swap_ratio"] == 0


def test_pairs_and_strangers_of_a_batch() -> None:
    people = torch.tensor([3, 7, 9, 3, 7, 9])
    assert torch.equal(people[partner(6)], people)
    assert bool((people[stranger(6)] != people).all())
    assert not torch.equal(partner(6), torch.arange(6))

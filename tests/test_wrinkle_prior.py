"""The wrinkle prior: strain in closed form, and lines that lie, deepen and vanish as skin does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.arkit import ARKIT_NAMES
from ml_backend.head.head_file import load_head
from ml_backend.head.skinning import rotation_matrices
from ml_backend.texture.texel_map import texel_map
from ml_backend.wrinkles.distil import distil_samples
from ml_backend.wrinkles.distil_prior import ExpressionTensions, distil_prior, sampled_tension_scale
from ml_backend.wrinkles.draw_lines import person_lines
from ml_backend.wrinkles.line_systems import LINE_SYSTEMS
from ml_backend.wrinkles.prior import MAX_DISPLACEMENT_M, WrinkleLayer, WrinklePrior, wrinkle_prior
from ml_backend.wrinkles.strain import cauchy_green, principal_strains, strain_along, tangent_frames
from ml_backend.wrinkles.tension import uv_tension, vertex_tension
from ml_backend.wrinkles.wrinkle_surface import SkinTexels, WrinkleSurface, skin_texels, surface_of_head

SIZE_PX = 512
BROWS_UP = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
FROWN = ("browDownLeft", "browDownRight")
SMILE = tuple(f"{name}{side}" for name in ("mouthSmile", "cheekSquint") for side in ("Left", "Right"))


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def surface(head) -> WrinkleSurface:
    return surface_of_head(head, torch.zeros(head.num_shape))


@pytest.fixture(scope="module")
def texels(head) -> SkinTexels:
    return skin_texels(texel_map(head, SIZE_PX))


@pytest.fixture(scope="module")
def prior(surface, texels) -> WrinklePrior:
    return wrinkle_prior(surface, texels, seed=7, age=0.5)


def pose(surface: WrinkleSurface, names: tuple[str, ...], strength: float = 1.0) -> torch.Tensor:
    index = [ARKIT_NAMES.index(name) for name in names]
    return surface.neutral + strength * surface.arkit_keys[index].sum(0)


def layer(prior: WrinklePrior, name: str) -> WrinkleLayer:
    return next(layer for layer in prior.layers if layer.system.name == name)


def shown(prior: WrinklePrior, image: np.ndarray, name: str) -> np.ndarray:
    """What an image shows on a family's texels."""
    return image.reshape(-1)[layer(prior, name).index]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


# --- strain ---------------------------------------------------------------------------------------------------------


def plane() -> tuple[torch.Tensor, torch.Tensor]:
    """A bent strip of triangles, metres."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.meshgrid(torch.linspace(0, 0.1, 7), torch.linspace(0, 0.1, 7), indexing="ij")
    vertices = torch.stack([x, y, 0 * x], -1).reshape(-1, 3) + torch.tensor([0.002, 0.002, 0.0]) * torch.rand(
        49, 3, generator=generator
    )
    index = torch.arange(49).reshape(7, 7)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    return vertices.double(), torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])


def strains_of(matrix: torch.Tensor):
    vertices, triangles = plane()
    frames = tangent_frames(vertices, triangles)
    tensors = cauchy_green((vertices @ matrix.T)[None], triangles, frames)
    return principal_strains(tensors, frames), tensors, frames


def test_rigid_motion_does_not_strain():
    turn = rotation_matrices(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64))
    strains, _, _ = strains_of(turn)
    # the root of a rounding error of 1e-16
    assert strains.low.abs().max() < 1e-7
    assert strains.high.abs().max() < 1e-7


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, 2.5])
def test_principal_strains_and_directions_of_a_known_stretch(angle: float):
    across = torch.tensor([np.cos(angle), np.sin(angle), 0.0], dtype=torch.float64)
    along = torch.tensor([-np.sin(angle), np.cos(angle), 0.0], dtype=torch.float64)
    normal = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    stretch = 0.8 * torch.outer(across, across) + 1.1 * torch.outer(along, along) + torch.outer(normal, normal)
    turn = rotation_matrices(torch.tensor([0.2, 0.5, -0.3], dtype=torch.float64))
    strains, tensors, frames = strains_of(turn @ stretch)
    assert torch.allclose(strains.low, torch.full_like(strains.low, -0.2), atol=1e-9)
    assert torch.allclose(strains.high, torch.full_like(strains.high, 0.1), atol=1e-9)
    assert (strains.low_direction @ across).abs().min() > 1 - 1e-9
    everywhere = across.expand(len(frames.first), 3)
    assert torch.allclose(strain_along(tensors, frames, everywhere), torch.full_like(strains.low, -0.2), atol=1e-9)


def test_uniform_scale_strains_all_directions_alike():
    strains, _, _ = strains_of(1.25 * torch.eye(3, dtype=torch.float64))
    assert torch.allclose(strains.low, torch.full_like(strains.low, 0.25))
    assert torch.allclose(strains.high, torch.full_like(strains.high, 0.25))


# --- lines ----------------------------------------------------------------------------------------------------------


def test_at_rest_no_expression_is_seen(prior, surface):
    assert np.abs(prior.line_change(surface.neutral)).max() < 1e-8


def test_lines_deepen_with_the_expression_and_stay_where_they_are(prior, surface):
    change = [shown(prior, prior.line_change(pose(surface, BROWS_UP, s)), "forehead") for s in (0.1, 0.3, 0.6, 1.0)]
    depth = [rms(values) for values in change]
    assert all(np.diff(depth) > 0)
    assert depth[-1] > 5e-5
    assert np.corrcoef(change[1], change[3])[0, 1] > 0.95


def test_every_family_folds_in_its_own_expressions(prior, surface):
    for folded in prior.layers:
        change = prior.line_change(pose(surface, folded.system.expressions))
        assert rms(shown(prior, change, folded.system.name)) > 1e-5, folded.system.name


def test_a_full_smile_brings_crows_feet_and_the_fold_beside_the_mouth_to_their_depths(prior, surface):
    smile = pose(surface, SMILE)[None]
    for name in ("crows_feet_left", "crows_feet_right", "nasolabial_left", "nasolabial_right"):
        folded = layer(prior, name)
        strong = np.abs(folded.relief) > 0.15
        depth = folded.on_texels(folded.depth_change_m(smile)[0])[strong]
        # a part of the area lies where no expression of this head compresses it
        assert 0.6 * folded.depth_m < np.median(depth) < 1.31 * folded.depth_m, name


def test_the_fold_beside_the_mouth_deepens_up_to_the_full_smile(prior, surface):
    for name in ("nasolabial_left", "nasolabial_right"):
        folded = layer(prior, name)
        strengths = (0.0, 0.25, 0.5, 0.75, 1.0)
        posed = torch.stack([pose(surface, SMILE, strength) for strength in strengths])
        depth = folded.on_texels(folded.depth_change_m(posed))
        deepened = (np.abs(folded.relief) * depth).mean(1)
        assert all(np.diff(deepened) > 0.05 * deepened[-1]), name


def test_one_line_folds_beside_the_mouth():
    for seed in range(5):
        system = next(system for system in LINE_SYSTEMS if system.name == "nasolabial_left")
        assert len(person_lines(system, seed)) == 1


def test_muscles_fold_their_own_lines_only(prior, surface):
    brows_up, frown = (prior.line_change(pose(surface, names)) for names in (BROWS_UP, FROWN))
    assert rms(shown(prior, frown, "forehead")) < 0.3 * rms(shown(prior, brows_up, "forehead"))
    drawn_down, drawn_aside = (
        prior.line_change(pose(surface, (f"{name}Left", f"{name}Right"))) for name in ("mouthFrown", "mouthStretch")
    )
    for name in ("marionette_left", "marionette_right"):
        assert rms(shown(prior, drawn_aside, name)) < 0.3 * rms(shown(prior, drawn_down, name)), name
    mouth_open = pose(surface, ("jawOpen",))
    for name in ("nasolabial_left", "nasolabial_right"):
        by_jaw, by_smile = (rms(shown(prior, prior.line_change(p), name)) for p in (mouth_open, pose(surface, SMILE)))
        assert by_jaw < 0.3 * by_smile, name
    assert layer(prior, "glabella").depth_change_m(pose(surface, BROWS_UP)[None]).max() < 1e-5
    left = layer(prior, "crows_feet_left").depth_change_m(pose(surface, ("eyeSquintRight",))[None])
    assert np.abs(left).max() < 1e-5


def test_forehead_lines_run_across_the_compression_and_level(prior, surface):
    forehead = layer(prior, "forehead")
    vertex = torch.from_numpy(forehead.chart.vertex)
    raised = surface.arkit_keys[ARKIT_NAMES.index("browInnerUp")][vertex]
    tensors = cauchy_green((surface.neutral[vertex] + raised)[None], forehead.chart.triangles, forehead.frames)
    strains = principal_strains(tensors, forehead.frames)
    cosine = (strains.low_direction[0] * forehead.chart.across_direction).sum(-1).abs()
    weight = strains.low[0].clamp(max=0).square()
    assert float((weight * cosine).sum() / weight.sum()) > 0.8
    # up the forehead, not sideways
    upright = forehead.chart.across_direction[:, 0].abs()
    assert float((weight * upright).sum() / weight.sum()) < 0.4


def test_crows_feet_radiate_from_the_eyes_corner(prior, surface):
    chart = layer(prior, "crows_feet_left").chart
    centres = surface.neutral[torch.from_numpy(chart.vertex)][chart.triangles].mean(1)
    outwards = centres - torch.from_numpy(surface.anchors[263]).float()
    # beside the eye: nearer to its corner are the folded lids
    beside = (outwards[:, 0] > 0.006) & (outwards.norm(dim=-1) < 0.03)
    cosine = (torch.nn.functional.normalize(outwards, dim=-1) * chart.across_direction).sum(-1).abs()
    assert cosine[beside].mean() < 0.35


def test_forehead_lines_are_unbroken_for_centimetres(prior, texels):
    forehead = layer(prior, "forehead")
    valley = np.zeros(SIZE_PX**2, np.uint8)
    valley[forehead.index] = forehead.relief < -0.15
    _, label = cv2.connectedComponents(valley.reshape(SIZE_PX, SIZE_PX), connectivity=8)
    along = forehead.on_texels(forehead.chart.along_m)
    labels = label.reshape(-1)[forehead.index]
    lengths = sorted((np.ptp(along[labels == number]) for number in np.unique(labels[labels > 0])), reverse=True)
    assert lengths[1] > 0.03


def test_valleys_are_sharper_than_ridges(prior):
    relief = layer(prior, "forehead").relief
    assert relief.min() < -1.5 * relief.max()
    assert (relief < 0.5 * relief.min()).sum() < 0.7 * (relief > 0.5 * relief.max()).sum()


def test_a_person_keeps_its_lines_and_another_has_others(prior, surface, texels):
    again, other = (wrinkle_prior(surface, texels, seed, 0.5) for seed in (7, 8))
    raised = pose(surface, BROWS_UP)
    mine, same, different = (model.displacement(raised) for model in (prior, again, other))
    assert np.array_equal(mine, same)
    correlation = np.corrcoef(shown(prior, mine, "forehead"), shown(prior, different, "forehead"))[0, 1]
    assert correlation < 0.6


def test_age_deepens_lines_and_leaves_more_of_them(surface, texels):
    young, old = (wrinkle_prior(surface, texels, 7, age) for age in (0.0, 1.0))
    raised = pose(surface, BROWS_UP)
    assert np.abs(young.lines_at_rest()).max() == 0.0
    assert rms(shown(old, old.lines_at_rest(), "forehead")) > 2e-5
    ratio = rms(shown(old, old.line_change(raised), "forehead")) / rms(
        shown(young, young.line_change(raised), "forehead")
    )
    assert 1.5 < ratio < 4


def test_lips_lids_ears_and_other_parts_stay_smooth(head, prior, surface):
    everything = prior.displacement(pose(surface, (*BROWS_UP, "mouthSmileLeft", "mouthPucker", "eyeSquintLeft")))
    grid = texel_map(head, SIZE_PX)
    for name in ("lips", "eyelids", "ears", "scalp", "inner_mouth"):
        inside = grid.interpolate(head.masks[name].numpy()) > 0.95
        assert np.abs(everything[inside]).max() < 1e-5, name
    assert np.abs(everything[grid.part > 0]).max() == 0.0
    assert np.abs(everything).max() < MAX_DISPLACEMENT_M


def test_turning_the_head_folds_nothing(prior, surface):
    turn = rotation_matrices(torch.tensor([0.1, 0.8, -0.2]))
    raised = pose(surface, BROWS_UP)
    moved = raised @ turn.T + torch.tensor([0.1, -0.2, 0.3])
    assert np.allclose(prior.line_change(moved), prior.line_change(raised), atol=2e-7)


def test_pores_are_pits_where_skin_has_pores(head, prior):
    grid = texel_map(head, SIZE_PX)
    density = {name: grid.interpolate(head.masks[name].numpy()) > 0.9 for name in ("nose", "neck")}
    nose, neck = (prior.pores_m[density[name]] for name in ("nose", "neck"))
    assert nose.min() < -1e-5
    assert nose.std() > 1.2 * neck.std()


# --- the prior as maps ----------------------------------------------------------------------------------------------


def test_fast_distillation_is_nearly_as_good_as_texel_by_texel(head, surface):
    size = 256
    grid = texel_map(head, size)
    small = wrinkle_prior(surface, skin_texels(grid), 7, 0.5)
    scale, samples = sampled_tension_scale(surface)
    # a sample of everything: each texel's least squares take long
    some = ExpressionTensions(
        samples.posed[::4], samples.tension[::4], torch.ones(len(samples.tension[::4])), samples.growing[:0]
    )
    fast = distil_prior(small, scale, some)
    tension_maps = uv_tension(some.tension, grid)[:, 0]
    exact = torch.from_numpy(np.stack([small.line_change(posed) for posed in some.posed]))
    slow = distil_samples([(tension_maps, exact)], scale, 1.0, at_rest=torch.zeros(size, size))
    compressed, expanded = scale.weights(tension_maps)
    played = compressed * torch.from_numpy(fast.compressed_m) + expanded * torch.from_numpy(fast.expanded_m)
    best, found = slow.error_um, 1e6 * float((played - exact).square().mean().sqrt())
    without = 1e6 * float(exact.square().mean().sqrt())
    assert best <= found + 1e-6
    # of what playing the map at rest alone would miss, the fast way explains most of what can be explained
    assert (without**2 - found**2) > 0.75 * (without**2 - best**2)


def test_maps_play_nothing_at_rest_and_lines_when_brows_rise(head, prior, surface):
    scale, samples = sampled_tension_scale(surface)
    maps = distil_prior(prior, scale, samples)
    raised = pose(surface, BROWS_UP)
    tension = uv_tension(vertex_tension(surface.neutral, raised[None], surface.edges), texel_map(head, SIZE_PX))[0, 0]
    compressed, expanded = (weight.numpy() for weight in scale.weights(tension))
    played = compressed * maps.compressed_m + expanded * maps.expanded_m
    exact = prior.line_change(raised)
    ours, theirs = shown(prior, played, "forehead"), shown(prior, exact, "forehead")
    assert np.corrcoef(ours, theirs)[0, 1] > 0.85
    assert 0.4 < rms(ours) / rms(theirs) < 1.5
    assert 1 < maps.error_um < 40
    assert maps.error_map_m.shape == (SIZE_PX // 8, SIZE_PX // 8)


def played(surface: WrinkleSurface, grid, maps, names: tuple[str, ...], strength: float = 1.0) -> np.ndarray:
    """(N, N) metres that the maps add to the lines at rest in an expression."""
    tension = vertex_tension(surface.neutral, pose(surface, names, strength)[None], surface.edges)
    compressed, expanded = (weight.numpy() for weight in maps.scale.weights(uv_tension(tension, grid)[0, 0]))
    return compressed * maps.compressed_m + expanded * maps.expanded_m


def test_maps_bring_a_smiles_folds_and_no_frown_to_raised_brows(head, prior, surface):
    maps = distil_prior(prior, *sampled_tension_scale(surface))
    grid = texel_map(head, SIZE_PX)
    half, full, frown, brows_up = (
        played(surface, grid, maps, names, strength)
        for names, strength in ((SMILE, 0.5), (SMILE, 1.0), (FROWN, 1.0), (BROWS_UP, 1.0))
    )
    exact = prior.line_change(pose(surface, SMILE))
    for name in ("crows_feet_left", "crows_feet_right", "nasolabial_left", "nasolabial_right"):
        theirs = shown(prior, exact, name)
        at_half, at_full = ((shown(prior, ours, name) * theirs).sum() / (theirs @ theirs) for ours in (half, full))
        assert at_half < 0.98 * at_full, name
        assert at_full > 0.3, name
    assert rms(shown(prior, brows_up, "glabella")) < 0.45 * rms(shown(prior, frown, "glabella"))

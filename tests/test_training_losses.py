"""The losses of the coarse stage, each against a slow obvious version or a closed form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.learned.head_code import HeadCode
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.training import coarse_losses as terms
from ml_backend.training.coarse_batch import CoarseBatch
from ml_backend.training.coarse_objective import CoarseObjective, LossSettings
from ml_backend.training.coarse_surface import CoarseSurface, coarse_surface, yaw_of
from ml_backend.training.feature_networks import FeatureNetwork
from ml_backend.training.photometric_render import PhotometricRender, srgb
from ml_backend.training.training_config import TrainingError
from tests.toy_head import HALF_AXES, NUM_EXPRESSION, NUM_SHAPE, toy_head

NUM_ALBEDO = 3


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return toy_head()


@pytest.fixture(scope="module")
def albedo() -> AlbedoModel:
    random = torch.Generator().manual_seed(3)
    return AlbedoModel(torch.full((16, 16, 3), 0.4), 0.03 * torch.randn(NUM_ALBEDO, 16, 16, 3, generator=random))


@pytest.fixture(scope="module")
def surface(head: HeadModel) -> CoarseSurface:
    return coarse_surface(head)


def random_code(count: int, seed: int = 0, size: float = 1.0) -> HeadCode:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return size * torch.randn(count, *shape, generator=random)

    camera = torch.tensor([8.0, 0.0, 0.0]) + 0.1 * normal(3)
    light = ambient_light() + 0.1 * normal(9, 3)
    expression = 0.5 + 0.1 * normal(NUM_EXPRESSION)
    return HeadCode(normal(NUM_SHAPE), expression, 0.3 * normal(15), normal(NUM_ALBEDO), camera, light)


def batch_of(code: HeadCode, surface: CoarseSurface, truth: HeadCode | None) -> CoarseBatch:
    """What a perfect annotator would say of these heads."""
    vertices = surface.vertices(code)
    points = surface.landmarks_68.on(vertices)
    points = torch.cat([surface.contour_at_yaw(vertices, code.pose), points[:, 17:]], 1)
    return CoarseBatch(
        image=torch.rand(len(code), 3, 48, 48, generator=torch.Generator().manual_seed(5)),
        landmarks_68=code.project(points),
        landmarks_478=code.project(surface.landmarks_478.on(vertices)),
        skin=torch.ones(len(code), 48, 48),
        eye_distance=torch.ones(len(code)),
        truth=truth,
    )


def test_reduced_head_is_the_head(head: HeadModel, surface: CoarseSurface) -> None:
    code = random_code(2)
    vertices = head.vertices(code.shape, code.expression, code.pose)
    reduced = surface.vertices(code)
    assert torch.allclose(surface.landmarks_68.on(reduced), head.landmarks_68.on(vertices, head.triangles), atol=1e-6)
    face = vertices[:, head.masks["face"] > 0.5][:, ::3]
    assert torch.allclose(reduced[:, surface.face], face, atol=1e-6)
    rest = head.vertices(code.shape, torch.zeros_like(code.expression), torch.zeros_like(code.pose))
    assert torch.allclose(surface.neutral_face(code.shape), rest[:, head.masks["face"] > 0.5][:, ::3], atol=1e-6)


def test_contour_is_the_one_of_the_heads_yaw(head: HeadModel, surface: CoarseSurface) -> None:
    code = random_code(3, size=0.0)
    code = replace(
        code, pose=torch.zeros(3, 15).index_put((torch.arange(3), torch.tensor(1)), torch.tensor([-0.4, 0.1, 2.0]))
    )
    assert torch.allclose(yaw_of(code.pose), torch.tensor([-0.4, 0.1, 2.0]), atol=1e-6)
    vertices = head.vertices(code.shape, code.expression, code.pose)
    rows = head.contour.on(vertices, head.triangles)
    found = surface.contour_at_yaw(surface.vertices(code), code.pose)
    assert torch.allclose(found, torch.stack([rows[0, 0], rows[1, 1], rows[2, 2]]), atol=1e-6)


def test_silhouette_loss_is_equation_1() -> None:
    random = torch.Generator().manual_seed(0)
    target, own = torch.randn(3, 17, 2, generator=random), torch.randn(3, 17, 2, generator=random)
    facing = torch.randn(3, 17, generator=random)
    vertices = 2 * torch.randn(3, 40, 2, generator=random)
    on_silhouette = torch.rand(3, 40, generator=random) < 0.3
    total = 0.0
    for item in range(3):
        for number in range(17):
            near = float((target[item, number] - own[item, number]).abs().sum())
            if facing[item, number] < 0:
                for vertex in range(40):
                    if on_silhouette[item, vertex]:
                        near = min(near, float((target[item, number] - vertices[item, vertex]).abs().sum()))
            total += near
    loss = terms.silhouette_loss(target, own, facing, vertices, on_silhouette)
    assert float(loss) == pytest.approx(total / (3 * 17), rel=1e-5)


def test_silhouette_loss_pulls_the_nearest_vertex_or_the_own_point() -> None:
    target = torch.zeros(1, 2, 2)
    own = torch.ones(1, 2, 2, requires_grad=True)
    vertices = torch.tensor([[[0.5, 0.0], [0.1, 0.0], [0.01, 0.0]]], requires_grad=True)
    terms.silhouette_loss(
        target, own, torch.tensor([[1.0, -1.0]]), vertices, torch.tensor([[True, True, False]])
    ).backward()
    assert own.grad[0].abs().sum(1).tolist() == [1.0, 0.0]
    assert vertices.grad[0, :, 0].tolist() == [0.0, 0.5, 0.0]


def test_silhouette_vertices_of_an_ellipsoid_are_its_outline(head: HeadModel) -> None:
    template = head.skinned.template[None]
    normals = vertex_normals(template, head.triangles)
    edges = torch.cat([head.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    # the seam at the back and the open ends have no outline of the ellipsoid
    inside = template[0, edges, 2].abs().amax(1) < 0.05
    mask = terms.silhouette_mask(normals[..., 2], edges[inside])[0]
    assert 20 < int(mask.sum()) < len(mask) / 6
    x, y, z = (template[0, mask] / torch.tensor(HALF_AXES)).unbind(1)
    # the outline is z = 0; its vertices are at most an edge away (the grid has 32 columns)
    assert float(z.abs().max()) < 2 * torch.pi / 32 + 1e-3
    assert float((x * x + y * y).min()) > 0.94


def test_silhouette_mask_takes_both_ends_of_each_changing_edge() -> None:
    facing = torch.tensor([[1.0, 0.5, -0.2, -1.0, 1.0]])
    edges = torch.tensor([[0, 1], [1, 2], [2, 3]])
    assert terms.silhouette_mask(facing, edges).tolist() == [[False, True, True, False, False]]


def test_landmark_loss_is_a_weighted_mean() -> None:
    points, target = torch.tensor([[[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]]]), torch.zeros(1, 3, 2)
    assert float(terms.landmark_loss(points, target, torch.tensor([1.0, 3.0, 0.0]))) == pytest.approx(7 / 4)


def test_pair_loss_sees_openings_and_not_places() -> None:
    random = torch.Generator().manual_seed(1)
    target = torch.randn(2, 478, 2, generator=random)
    assert float(terms.pair_loss(target + 0.7, target)) == pytest.approx(0, abs=1e-6)
    opened = target.clone()
    opened[:, 14, 1] += 0.3
    assert float(terms.pair_loss(opened, target)) == pytest.approx(
        0.3 / len(terms.LID_PAIRS + terms.LIP_PAIRS), rel=1e-4
    )


def test_photometric_loss_counts_masked_pixels_only() -> None:
    image, mask = torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 4)
    mask[0, 1, 1:3] = 1
    rendered = torch.ones(1, 4, 4, 3)
    rendered[0, 1, 1] = 0.5
    assert float(terms.photometric_loss(rendered, image, mask)) == pytest.approx(0.75)


def test_feature_loss_is_one_minus_the_cosine() -> None:
    first, second = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 3.0], [0.0, 1.0]])
    assert float(terms.feature_loss(first, second)) == pytest.approx(0.5)


def test_priors_are_means_of_squares() -> None:
    code = random_code(2)
    code = replace(code, shape=torch.full_like(code.shape, 2.0), expression=torch.full_like(code.expression, 1.5))
    code = replace(code, albedo=torch.zeros_like(code.albedo))
    assert float(terms.prior_loss(code, torch.full((NUM_EXPRESSION,), 0.5))) == pytest.approx(4 + 9)
    limits = torch.tensor([[0.0, 1.0]]).repeat(NUM_EXPRESSION, 1)
    assert float(terms.limit_loss(code, limits)) == pytest.approx(0.25)


def test_shapes_are_swapped_within_pairs() -> None:
    code = random_code(4)
    swapped = terms.swapped_shapes(code)
    assert torch.equal(swapped.shape, code.shape[[1, 0, 3, 2]])
    assert torch.equal(swapped.pose, code.pose)


def test_distances_are_millimetres_with_finite_gradients() -> None:
    truth = torch.zeros(1, 5, 3)
    predicted = torch.zeros(1, 5, 3, requires_grad=True)
    terms.distance_mm(predicted, truth).backward()
    assert bool(predicted.grad.isfinite().all())
    assert float(terms.distance_mm(truth + torch.tensor([0.003, 0.0, 0.004]), truth)) == pytest.approx(5, rel=1e-4)
    image = torch.tensor([[[0.02, 0.0]]])
    assert float(terms.projected_distance_mm(image, torch.zeros(1, 1, 2), torch.tensor([8.0]))) == pytest.approx(2.5)


def test_parameters_are_compared_in_spreads() -> None:
    spread = torch.tensor([2.0, 0.5])
    # a Huber loss: half the square below one spread, linear above
    loss = terms.parameter_loss(torch.tensor([[1.0, 1.0]]), torch.zeros(1, 2), spread)
    assert float(loss) == pytest.approx((0.5 * 0.25 + (2 - 0.5)) / 2)


def test_truth_has_no_supervised_loss(head: HeadModel, albedo: AlbedoModel, surface: CoarseSurface) -> None:
    settings = LossSettings(contour="marching", prior=0.0)
    objective = CoarseObjective(settings, head, albedo, surface, "cpu")
    code = random_code(3)
    losses = objective(code, batch_of(code, surface, code))
    assert {"neutral", "posed", "projected", "shape", "light", "inner", "silhouette"} <= set(losses)
    # 0.001 mm is what keeps distances differentiable
    assert all(float(value) < 2e-3 for value in losses.values()), losses
    others = objective(random_code(3, seed=9), batch_of(code, surface, code))
    assert all(float(others[name] - losses[name]) > 1e-3 for name in losses), others


@pytest.mark.parametrize("contour", ["silhouette", "fixed", "marching"])
def test_self_supervised_losses_need_no_truth(
    contour: str, head: HeadModel, albedo: AlbedoModel, surface: CoarseSurface
) -> None:
    settings = LossSettings(mode="self_supervised", contour=contour, photometric=1.0, shape_consistency=0.5)
    objective = CoarseObjective(settings, head, albedo, surface, "cpu")
    vector = random_code(4).vector.requires_grad_()
    code = HeadCode.from_vector(vector, random_code(1).sizes)
    losses = objective(code, batch_of(random_code(4, seed=2), surface, None))
    assert set(losses) == {"silhouette", "inner", "pairs", "prior", "photometric", "shape_consistency"}
    torch.stack(list(losses.values())).sum().backward()
    assert bool(vector.grad.isfinite().all())
    assert bool((vector.grad != 0).any(0).float().mean() > 0.9)


def test_rendered_skin_is_albedo_under_light(head: HeadModel, albedo: AlbedoModel) -> None:
    render = PhotometricRender(head, albedo, 32, "cpu")
    code = replace(random_code(1, size=0.0), light=ambient_light(0.8)[None])
    faces = render(code)
    assert 0.1 < float(faces.mask.mean()) < 0.9
    expected = srgb(torch.tensor(0.4 * 0.8))
    assert torch.allclose(faces.colour[faces.mask > 0], expected.expand(3), atol=1e-3)


def test_photometric_gradients_are_those_of_finite_differences(head: HeadModel, albedo: AlbedoModel) -> None:
    render = PhotometricRender(head, albedo, 32, "cpu")
    code = random_code(1, seed=4)
    image = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0))

    def loss(light: torch.Tensor) -> torch.Tensor:
        faces = render(replace(code, light=light))
        return terms.photometric_loss(faces.colour, image, faces.mask)

    light = code.light.clone().requires_grad_()
    loss(light).backward()
    step = torch.zeros_like(code.light)
    step[0, 2, 1] = 1e-2
    numeric = (loss(code.light + step) - loss(code.light - step)) / 2e-2
    assert float(light.grad[0, 2, 1]) == pytest.approx(float(numeric), rel=0.05)


def test_feature_networks_are_the_users_files(tmp_path, head: HeadModel, albedo: AlbedoModel, surface) -> None:
    file = tmp_path / "identity.pt"
    torch.jit.script(torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())).save(str(file))
    settings = LossSettings(mode="self_supervised", identity=2.0, identity_network=str(file))
    code = random_code(2)
    losses = CoarseObjective(settings, head, albedo, surface, "cpu")(code, batch_of(code, surface, None))
    assert float(losses["identity"]) > 0
    file.write_bytes(b"no network")
    with pytest.raises(TrainingError, match=r"identity\.pt"):
        FeatureNetwork(file, "cpu")

"""Skinning against the published formula, written out slowly, and its derivatives against automatic ones."""

import numpy as np
import pytest
import torch

from ml_backend.head.skinning import SkinnedModel, rotation_matrices

PARENTS = (-1, 0, 1, 1, 1)


def random_model(num_vertices: int = 20, num_shape: int = 6, num_expression: int = 4) -> SkinnedModel:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    regressor = draw(5, num_vertices).softmax(1)
    template, shape_basis = draw(num_vertices, 3), 0.1 * draw(num_vertices, 3, num_shape)
    return SkinnedModel(
        template=template,
        shape_basis=shape_basis,
        expression_basis=0.1 * draw(num_vertices, 3, num_expression),
        pose_basis=0.05 * draw(num_vertices, 3, 36),
        skinning_weights=draw(num_vertices, 5).softmax(1),
        joint_template=regressor @ template,
        joint_shape_basis=torch.einsum("jv,vcs->jcs", regressor, shape_basis),
        parents=PARENTS,
    )


def rodrigues(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation matrix of one axis-angle vector, straight from the definition."""
    angle = np.linalg.norm(axis_angle)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def published_formula(model: SkinnedModel, shape: np.ndarray, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """FLAME (2017), eq. 1-5 with SMPL's 4x4 joint transforms, a vertex at a time."""
    local = [rodrigues(pose[3 * joint : 3 * joint + 3]) for joint in range(5)]
    feature = np.concatenate([(rotation - np.eye(3)).reshape(9) for rotation in local[1:]])
    rest = (
        model.template.numpy()
        + model.shape_basis.numpy() @ shape
        + model.expression_basis.numpy() @ expression
        + model.pose_basis.numpy() @ feature
    )
    joints = model.joint_template.numpy() + model.joint_shape_basis.numpy() @ shape
    world = []
    for joint, parent in enumerate(PARENTS):
        transform = np.eye(4)
        transform[:3, :3] = local[joint]
        transform[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(transform if parent < 0 else world[parent] @ transform)
    result = np.zeros_like(rest)
    for vertex, weights in enumerate(model.skinning_weights.numpy()):
        blended = np.zeros((4, 4))
        for joint in range(5):
            bind = np.eye(4)
            bind[:3, 3] = -joints[joint]
            blended += weights[joint] * world[joint] @ bind
        result[vertex] = (blended @ np.append(rest[vertex], 1))[:3]
    return result


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_published_formula(seed):
    rng = np.random.default_rng(seed)
    model = random_model()
    shape, expression, pose = rng.normal(size=6), rng.normal(size=4), rng.normal(size=15)
    ours = model.positions(*(torch.from_numpy(value)[None] for value in (shape, expression, pose)))[0].numpy()
    np.testing.assert_allclose(ours, published_formula(model, shape, expression, pose), atol=1e-9)


def test_derivatives_agree_with_automatic_ones():
    model, generator = random_model(), torch.Generator().manual_seed(2)
    values = tuple(torch.randn(n, generator=generator, dtype=torch.float64) for n in (6, 4, 15))
    line = model.linearize(*values)
    automatic = torch.autograd.functional.jacobian(
        lambda *given: model.positions(*(value[None] for value in given))[0], values
    )
    for ours, theirs in zip((line.by_shape, line.by_expression, line.by_pose), automatic, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


def test_rotation_near_zero_has_exact_derivative():
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(rotation_matrices(zero), torch.eye(3, dtype=torch.float64))
    jacobian = torch.autograd.functional.jacobian(rotation_matrices, zero)
    # d R / d x at zero is the generator of rotations about x
    generator_x = torch.tensor([[0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(jacobian[..., 0], generator_x)


def test_selected_vertices_move_as_in_the_whole():
    model = random_model()
    chosen = torch.tensor([3, 17, 4])
    values = [torch.randn(2, n, dtype=torch.float64) for n in (6, 4, 15)]
    torch.testing.assert_close(model.select(chosen).positions(*values), model.positions(*values)[:, chosen])

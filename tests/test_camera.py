"""Cameras and light against closed forms."""

import math

import torch

from ml_backend.rendering import spherical_harmonics
from ml_backend.rendering.camera import PERSPECTIVE, SCALED_ORTHOGRAPHIC, Camera


def test_orthographic_axes():
    camera = Camera(SCALED_ORTHOGRAPHIC, (100, 80), scale_px_per_m=200.0, centre_px=(50.0, 40.0))
    seen = camera.project(torch.tensor([[0.1, 0.1, 0.3]]))[0]
    # +X to the right, +Y up (so y falls), +Z towards the camera (so depth falls)
    torch.testing.assert_close(seen, torch.tensor([70.0, 20.0, -0.3]))


def test_perspective_is_the_pinhole():
    camera = Camera(
        PERSPECTIVE, (640, 480), focal_px=500.0, principal_px=(320.0, 240.0), translation_m=(0.1, -0.2, 2.0)
    )
    seen = camera.project(torch.tensor([[0.0, 0.0, 0.5]]))[0]
    torch.testing.assert_close(seen, torch.tensor([320 + 500 * 0.1 / 1.5, 240 - 500 * 0.2 / 1.5, 1.5]))


def test_far_perspective_approaches_orthographic():
    points = 0.1 * torch.randn(50, 3, dtype=torch.float64)
    far = Camera(PERSPECTIVE, (1, 1), focal_px=1e7, translation_m=(0.0, 0.0, 1e4))
    flat = Camera(SCALED_ORTHOGRAPHIC, (1, 1), scale_px_per_m=1e3)
    torch.testing.assert_close(far.project(points)[:, :2], flat.project(points)[:, :2], atol=2e-2, rtol=0)


def test_view_direction_points_at_the_perspective_eye():
    camera = Camera(PERSPECTIVE, (1, 1), focal_px=1.0, translation_m=(0.3, 0.2, 1.5))
    point = torch.tensor([[0.05, -0.1, 0.08]])
    # moving towards the eye keeps the image point
    nearer = point + 0.2 * camera.view_directions(point)
    torch.testing.assert_close(camera.project(nearer)[:, :2], camera.project(point)[:, :2])
    assert camera.project(nearer)[0, 2] < camera.project(point)[0, 2]


def test_spherical_harmonics_are_orthonormal():
    # Gauss-free check: a dense, even grid over the sphere
    steps = 400
    polar = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps * math.pi
    azimuth = (torch.arange(2 * steps, dtype=torch.float64) + 0.5) / steps * math.pi
    theta, phi = torch.meshgrid(polar, azimuth, indexing="ij")
    normals = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)
    values = spherical_harmonics.basis(normals).flatten(0, 1)
    area = (theta.sin() * (math.pi / steps) ** 2).flatten()
    gram = values.T @ (values * area[:, None])
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), atol=1e-4, rtol=0)


def test_ambient_light_shades_all_normals_alike():
    normals = torch.nn.functional.normalize(torch.randn(20, 3), dim=1)
    shade = spherical_harmonics.shading(normals, spherical_harmonics.ambient_light(0.7))
    torch.testing.assert_close(shade, torch.full((20, 3), 0.7))


def test_spherical_harmonics_derivative():
    normals = torch.randn(5, 3, dtype=torch.float64)
    automatic = torch.autograd.functional.jacobian(lambda n: spherical_harmonics.basis(n).sum(0), normals)
    torch.testing.assert_close(spherical_harmonics.basis_derivative(normals), automatic.permute(1, 0, 2))

"""Finds the tracker's 478 points on a head: runs the tracker on renders of the head and projects back.

The same tracker reads the user's photos, so its own idea of where a point lies cancels.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree

from addon.exchange.conventions import JOINT_NAMES
from addon.exchange.safetensors_file import write_safetensors
from ml_backend.coarse.view_bias import NUM_FEATURES, image_axes, view_features
from ml_backend.head.albedo_model import AlbedoModel, load_albedo_model
from ml_backend.head.closest_point import closest_barycentric, closest_points
from ml_backend.head.head_file import head_from_arrays, read_head_file
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.head.skinning import rotation_matrices
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.render_head import render_head
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.tracking.face_tracker import FaceTracker
from ml_backend.tracking.landmark_topology import (
    IRISES,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    LIPS_MIDDLE_INNER_LOWER,
    LIPS_MIDDLE_INNER_UPPER,
    LIPS_MIDDLE_OUTER_LOWER,
    LIPS_MIDDLE_OUTER_UPPER,
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
)

NUM_RENDERS = 120
IMAGE_PX = 480
PX_PER_M = 1500.0
SEED = 478
# renders stay near the frontal view, where every point is seen; radians, one standard deviation
TURN_SIGMA = (0.12, 0.18, 0.05)
SHAPE_SIGMA = 0.7
# The tracker's bias is measured to these turns (pitch, yaw, roll; radians), with a few ARKit shapes active at a time.
NUM_TURNED_RENDERS = 240
MAX_TURN = (0.5, 1.0, 0.3)
SHARE_OF_EXPRESSIONS = 0.08
# Brows: thickness as a share of the texture's side (about 7 mm on the face), dark brown in linear RGB.
BROW_TEXTURE_PX = 1024
BROW_THICKNESS = 0.017
BROW_OPACITY = 0.85
BROW_COLOUR = (0.03, 0.02, 0.015)
# a point whose position on the head scatters by this much (metres) gets half the weight
HALF_WEIGHT_SCATTER_M = 0.002
# the corners of the mouth, first and last of each lower row, belong to both lips
_LOWER_LIP = tuple(
    point
    for row in (LIPS_OUTER_LOWER, LIPS_MIDDLE_OUTER_LOWER, LIPS_MIDDLE_INNER_LOWER, LIPS_INNER_LOWER)
    for point in row[1:-1]
)
_UPPER_LIP = LIPS_OUTER_UPPER + LIPS_MIDDLE_OUTER_UPPER + LIPS_MIDDLE_INNER_UPPER + LIPS_INNER_UPPER
# renders in which a point lands further than this (pixels) from the surface it belongs to are left out
MAX_DISTANCE_PX = 12.0


def embed_landmarks(head_file: Path, albedo_file: Path | None = None, tracker_file: Path | None = None) -> None:
    """Write the 478-point embedding and its weights into a head file.

    Args:
        albedo_file, tracker_file: the shipped ones by default.
    """
    arrays, metadata = read_head_file(head_file)
    head = head_from_arrays(arrays, metadata)
    albedo, tracker = load_albedo_model(albedo_file), FaceTracker(tracker_file)
    hits = collect_hits(head, albedo, tracker)
    triangle, barycentric, scatter = consensus(head, hits)
    arrays["landmarks_478_triangle"] = triangle.astype(np.int32)
    arrays["landmarks_478_barycentric"] = barycentric.astype(np.float32)
    arrays["landmarks_478_weight"] = (1 / (1 + (scatter / HALF_WEIGHT_SCATTER_M) ** 2)).astype(np.float32)
    head = head_from_arrays(arrays, metadata)
    arrays["landmarks_478_view_bias"] = measure_view_bias(head, albedo, tracker).astype(np.float32)
    write_safetensors(head_file, arrays, metadata)


def measure_view_bias(head: HeadModel, albedo: AlbedoModel, tracker: FaceTracker) -> np.ndarray:
    """Fit how the tracker strays from the embedding with the view (ml_backend/coarse/view_bias.py).

    Returns:
        (478,2,5) metres, by ridge regression over renders of random heads, expressions, lights and views.
    """
    generator = torch.Generator().manual_seed(SEED + 1)
    features, strays = [], []
    for _ in range(NUM_TURNED_RENDERS):
        pose = torch.zeros(15)
        pose[:3] = torch.tensor(MAX_TURN) * (2 * torch.rand(3, generator=generator) - 1)
        shape = SHAPE_SIGMA * torch.randn(head.num_shape, generator=generator)
        strength = 0.5 * torch.rand(len(head.arkit_expression), generator=generator)
        strength *= torch.rand(len(strength), generator=generator) < SHARE_OF_EXPRESSIONS
        pose = pose + strength @ head.arkit_pose
        posed = head.vertices(shape[None], (strength @ head.arkit_expression)[None], pose[None])[0]
        camera = _camera(posed)
        seen = _tracked(head, posed, camera, albedo, tracker, generator)
        if seen is not None:
            rotation = rotation_matrices(pose[:3])
            expected = camera.project(head.landmarks_478.on(posed[None], head.triangles)[0])[:, :2]
            stray = seen - expected
            strays.append((stray @ image_axes(rotation).T / PX_PER_M).numpy())
            features.append(view_features(rotation).numpy())
    design = np.stack(features)
    goal = np.stack(strays).reshape(len(design), -1)
    # a tenth of a render's worth of doubt on each term: the far corners of the views are thinly covered
    normal = design.T @ design + 0.1 * np.eye(NUM_FEATURES)
    return np.linalg.solve(normal, design.T @ goal).T.reshape(478, 2, NUM_FEATURES)


def collect_hits(head: HeadModel, albedo: AlbedoModel, tracker: FaceTracker) -> np.ndarray:
    """Where each point lands on the template, for each render.

    Returns:
        (R,478,3) metres on the template; NaN where it did not land.
    """
    generator = torch.Generator().manual_seed(SEED)
    rows = []
    for _ in range(NUM_RENDERS):
        shape = SHAPE_SIGMA * torch.randn(head.num_shape, generator=generator)
        pose = torch.zeros(15)
        pose[:3] = torch.tensor(TURN_SIGMA) * torch.randn(3, generator=generator)
        posed = head.vertices(shape[None], torch.zeros(1, head.num_expression), pose[None])[0]
        camera = _camera(posed)
        seen = _tracked(head, posed, camera, albedo, tracker, generator)
        if seen is not None:
            rows.append(_hits(head, posed, camera, seen))
    return np.stack(rows)


def _tracked(
    head: HeadModel,
    posed: torch.Tensor,
    camera: Camera,
    albedo: AlbedoModel,
    tracker: FaceTracker,
    generator: torch.Generator,
) -> torch.Tensor | None:
    """Where (478,2) the tracker sees its points on a render in random colours and light; None where it sees no face."""
    colours = albedo.texture(0.7 * torch.randn(albedo.basis.shape[0], generator=generator)).clamp(0, 1)
    photo = render_head(head, posed, camera, _soft_light(generator), paint_brows(head, colours))
    faces = tracker.find_faces(photo, max_faces=1)
    return torch.from_numpy(faces[0].landmarks_px[:, :2]) if faces else None


def paint_brows(head: HeadModel, texture: torch.Tensor) -> torch.Tensor:
    """Paint brows along the head's iBUG brow landmarks: the averaged albedo has hardly any, the tracker looks for them.

    Args:
        texture: (R,R,3) linear.

    Returns:
        (BROW_TEXTURE_PX, BROW_TEXTURE_PX, 3) linear.
    """
    size = BROW_TEXTURE_PX
    image = cv2.resize(texture.numpy(), (size, size), interpolation=cv2.INTER_LINEAR)
    corners = head.uv[head.uv_triangles[head.landmarks_68.triangle]]
    uv = (corners * head.landmarks_68.barycentric[..., None]).sum(1).numpy()
    points = uv * [size, -size] + [0, size]
    opacity = np.zeros((size, size), np.float32)
    for brow in (points[17:22], points[26:21:-1]):
        # from the temple inwards, growing thicker
        for number, (start, end) in enumerate(itertools.pairwise(np.round(brow).astype(int))):
            thickness = round(size * BROW_THICKNESS * (0.6 + 0.4 * number / 3))
            cv2.line(opacity, start.tolist(), end.tolist(), 1.0, thickness)
    opacity = BROW_OPACITY * cv2.GaussianBlur(opacity, (0, 0), size * BROW_THICKNESS / 4)[..., None]
    return torch.from_numpy(image * (1 - opacity) + opacity * np.float32(BROW_COLOUR))


def _camera(posed: torch.Tensor) -> Camera:
    middle = posed.mean(0)
    half = IMAGE_PX / 2
    centre = (half - PX_PER_M * float(middle[0]), half + PX_PER_M * float(middle[1]))
    return Camera(SCALED_ORTHOGRAPHIC, (IMAGE_PX, IMAGE_PX), scale_px_per_m=PX_PER_M, centre_px=centre)


def _soft_light(generator: torch.Generator) -> torch.Tensor:
    light = ambient_light(0.9)
    light[1:4] = torch.tensor([0.25, 0.4, 0.0])[:, None] + 0.15 * torch.randn(3, 1, generator=generator)
    return light


def _hits(head: HeadModel, posed: torch.Tensor, camera: Camera, landmarks: torch.Tensor) -> np.ndarray:
    """(478,3) template positions under the landmarks, skin points on skin and irises on the eyeballs."""
    image = camera.project(posed).numpy()
    facing = vertex_normals(posed[None], head.triangles)[0, :, 2] > 0.05
    result = np.full((478, 3), np.nan)
    for chosen, allowed in _surfaces(head):
        triangles = head.triangles[allowed]
        front = triangles[facing[triangles].all(1)]
        points = landmarks.numpy()[chosen]
        result[chosen] = _lift(points, image, front.numpy(), head.skinned.template.numpy())
    return result


def _surfaces(head: HeadModel) -> list[tuple[np.ndarray, torch.Tensor]]:
    """Which points lie on which part of the surface: (478,) points and (F,) triangles, both truth values.

    The lips touch in the renders, so that a point of the one lands on the other as easily: each keeps to its own lip,
    which the jaw moves or does not move.
    """
    parts = [head.part_names.index("left_eye"), head.part_names.index("right_eye")]
    eyes = torch.isin(head.triangle_part, torch.tensor(parts))
    inside = head.masks["inner_mouth"][head.triangles].amax(1) > 0.5
    skin = (head.triangle_part == head.part_names.index("skin")) & ~inside
    with_jaw = head.skinned.skinning_weights[head.triangles][..., JOINT_NAMES.index("jaw")].mean(1) > 0.5
    irises, lower, upper = (_points(*indices) for indices in (IRISES, _LOWER_LIP, _UPPER_LIP))
    others = ~(irises | lower | upper)
    return [(irises, eyes), (lower, skin & with_jaw), (upper, skin & ~with_jaw), (others, skin)]


def _points(*indices: int) -> np.ndarray:
    chosen = np.zeros(478, bool)
    chosen[list(indices)] = True
    return chosen


def _lift(points: np.ndarray, image: np.ndarray, triangles: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Template positions of image points: the nearest point, in the image, of the nearest front-facing triangles."""
    centroid = image[triangles].mean(1)
    _, nearest = cKDTree(centroid[:, :2]).query(points, k=24)
    corners = image[triangles[nearest]]
    weights = closest_barycentric(points[:, None], corners[..., :2])
    reached = (weights[..., None] * corners).sum(2)
    distance = np.linalg.norm(reached[..., :2] - points[:, None], axis=-1)
    # among triangles equally near in the image, the one in front
    best = (np.round(distance, 2) + 1e-3 * reached[..., 2]).argmin(1)
    row = np.arange(len(points))
    lifted = (weights[row, best][..., None] * template[triangles[nearest[row, best]]]).sum(1)
    lifted[distance[row, best] > MAX_DISTANCE_PX] = np.nan
    return lifted


def consensus(head: HeadModel, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One surface point for each landmark, mirror-symmetric where the tracker's topology is.

    Args:
        hits: (R,478,3) of `collect_hits`.

    Returns:
        triangle (478,), barycentric (478,3), scatter (478,) metres: the hits' median distance across the view.
    """
    middle = np.nanmedian(hits, 0)
    # across the view only: along it a point of the outline is free, and does not matter in the image
    scatter = np.nanmedian(np.linalg.norm((hits - middle)[..., :2], axis=-1), 0)
    template = head.skinned.template.numpy()
    triangle, barycentric = np.zeros(478, np.int64), np.zeros((478, 3))
    for chosen, allowed in _surfaces(head):
        index = np.flatnonzero(allowed.numpy())
        closest = closest_points(middle[chosen], template, head.triangles.numpy()[index])
        triangle[chosen], barycentric[chosen] = index[closest.triangle], closest.barycentric
    return triangle, barycentric, scatter

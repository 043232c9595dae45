"""From a tracked face to a coarse head: landmarks first, then silhouette, then shading."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from ml_backend.coarse.appearance import (
    Appearance,
    albedo_at_vertices,
    estimate_appearance,
    scale_photo,
    visible_vertices,
)
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.coarse.gauss_newton import Term, minimise
from ml_backend.coarse.head_size_term import HeadSizeTerm
from ml_backend.coarse.landmark_term import LandmarkTerm, landmark_targets
from ml_backend.coarse.neutral_mouth_term import NeutralMouthTerm, corner_motion_m
from ml_backend.coarse.parameters import FitParameters
from ml_backend.coarse.photometric_term import PhotometricTerm
from ml_backend.coarse.prior_term import JAW_CLOSED, PriorTerm
from ml_backend.coarse.rigid_start import rigid_start
from ml_backend.coarse.silhouette_term import SilhouetteTerm
from ml_backend.coarse.view_bias import view_bias_px
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.tracking.face_tracker import TrackedFace
from ml_backend.tracking.landmark_topology import (
    CONTOUR_EAR_TO_EAR,
    IBUG_68_FROM_478,
    NUM_CONTOUR,
    OUTER_EYE_CORNERS,
)

RIGID_ITERATIONS = 6
LANDMARK_ITERATIONS = 20
# From the mean head the first steps go too far; with less damping, photos took three to five refused steps to find it.
LANDMARK_DAMPING = 0.5
# from where the learned encoder says, fewer do
ITERATIONS_FROM_ENCODER = 8
PHOTOMETRIC_ROUNDS = 2
PHOTOMETRIC_ITERATIONS = 4
# turned further than this, half of the face is a guess; radians
PROFILE_YAW = math.radians(60)
# a mean landmark error above this (percent of the outer eye corners' distance) is worth a warning
POOR_FIT_PERCENT = 5.0
# fewer pixels between the outer eye corners than this give a soft texture
SMALL_FACE_PX = 60.0


@dataclass(frozen=True)
class FitOptions:
    """How to fit.

    Attributes:
        focal_px: focal length of a perspective camera in pixels of the photo; None = scaled orthographic.
        use_silhouette: the first paper's eq. 1 for the contour; off = fixed contour points.
        use_photometric: refine by shading.
    """

    focal_px: float | None = None
    use_silhouette: bool = True
    use_photometric: bool = True


def fit_photo(
    pixels: np.ndarray,
    face: TrackedFace,
    head: HeadModel,
    albedo_model: AlbedoModel,
    options: FitOptions = FitOptions(),
    start: FitParameters | None = None,
) -> CoarseFit:
    """Fit a head to a photo.

    Args:
        pixels: (H,W,3) uint8 sRGB.
        face: the tracker's landmarks on that photo.
        start: the learned encoder's reading of the photo, about which shape is then taken to vary; None = from the mean
            head.

    Source: DESIGN of the first paper's coarse stage (sections 3.1-3.2) solved per photo by Gauss-Newton.
    """
    height, width = pixels.shape[:2]
    landmarks = torch.from_numpy(np.ascontiguousarray(face.landmarks_px, np.float32))
    with torch.no_grad():
        evidence = evidence_terms(head, landmarks, options.use_silhouette)
        known = [PriorTerm(head, shape_mean=None if start is None else start.shape), HeadSizeTerm(head)]
        terms = [*known, NeutralMouthTerm(head), *evidence]
        rigid = start or rigid_start(head, landmarks, options.focal_px, (width, height))
        parameters = minimise(rigid, terms, rigid_only(head), RIGID_ITERATIONS)
        everything = torch.ones_like(parameters.vector, dtype=torch.bool)
        iterations = LANDMARK_ITERATIONS if start is None else ITERATIONS_FROM_ENCODER
        parameters = minimise(parameters, terms, everything, iterations, LANDMARK_DAMPING)
        # now it is known how far the mouth is from rest
        mouth = NeutralMouthTerm(head, corner_motion_m(head, parameters.expression))
        terms = [*known, mouth, *evidence]
        if not options.use_photometric:
            parameters = minimise(parameters, terms, everything, ITERATIONS_FROM_ENCODER, LANDMARK_DAMPING)
        mean, basis = albedo_at_vertices(head, albedo_model)
        region = skin_region(head)
        photo, samples = scale_photo(pixels, parameters), visible_vertices(head, parameters, region)
        appearance = estimate_appearance(photo.sample(samples.image), samples, mean, basis)
        for _ in range(PHOTOMETRIC_ROUNDS if options.use_photometric else 0):
            colours = mean + torch.einsum("a,avc->vc", appearance.albedo, basis)
            term = PhotometricTerm(head, photo, samples, appearance, colours)
            parameters = minimise(parameters, [*terms, term], everything, PHOTOMETRIC_ITERATIONS)
            photo, samples = scale_photo(pixels, parameters), visible_vertices(head, parameters, region)
            appearance = estimate_appearance(photo.sample(samples.image), samples, mean, basis)
        return found_head(head, parameters, landmarks, appearance)


def found_head(
    head: HeadModel, parameters: FitParameters, landmarks: torch.Tensor, appearance: Appearance
) -> CoarseFit:
    """What a solve has found, inside the limits, with its error and warnings.

    Args:
        landmarks: (478,3) of the tracker, pixels; appearance: light and albedo.
    """
    parameters = within_limits(head, parameters)
    error = landmark_error_percent(head, parameters, landmarks)
    return CoarseFit(
        shape=parameters.shape,
        expression=parameters.expression,
        pose=parameters.pose,
        camera=parameters.camera,
        light=appearance.light,
        albedo=appearance.albedo,
        landmark_error_percent=error,
        warnings=fit_warnings(parameters, landmarks, error),
    )


def evidence_terms(head: HeadModel, landmarks: torch.Tensor, use_silhouette: bool = True) -> list[Term]:
    """What the tracker's landmarks (478,3), pixels, say about a head: those inside the face, then the contour's."""
    targets = landmark_targets(landmarks, head)
    if not use_silhouette:
        return [LandmarkTerm(head, targets)]
    return [LandmarkTerm(head, targets, CONTOUR_EAR_TO_EAR), SilhouetteTerm(head, targets)]


def within_limits(head: HeadModel, parameters: FitParameters) -> FitParameters:
    """Bring expressions and jaw, whose limits are soft while solving, inside them: sliders start at their ends."""
    low, high = head.expression_limits.unbind(1)
    pose = parameters.pose.clone()
    pose[6] = pose[6].clamp(min=JAW_CLOSED)
    return replace(parameters, expression=parameters.expression.clamp(low, high), pose=pose)


def rigid_only(head: HeadModel) -> torch.Tensor:
    """(P,) bool: global rotation and camera."""
    pose = head.num_shape + head.num_expression
    free = torch.zeros(pose + 18, dtype=torch.bool)
    free[pose : pose + 3] = True
    free[-3:] = True
    return free


def skin_region(head: HeadModel) -> torch.Tensor:
    """(V,) where the photo shows skin that the albedo basis describes."""
    region = head.masks["face"].clone()
    for name in ("inner_mouth", "brows"):
        region *= 1 - head.masks[name]
    skin = head.part_names.index("skin")
    others = head.triangles[head.triangle_part != skin].unique()
    region[others] = 0
    return region


def ibug_landmarks(head: HeadModel, parameters: FitParameters, landmarks: torch.Tensor) -> torch.Tensor:
    """Where the fitted head has what the tracker calls the 68 iBUG landmarks.

    Inside the face these are the head's own points, seen with the tracker's bias at this view. A contour landmark that
    faces away lies wherever the head's silhouette is nearest, as in the first paper's eq. 1: an outline has no points
    of its own.

    Args:
        landmarks: (478,3) of the tracker, pixels.

    Returns:
        (68,2) pixels.
    """
    posed = head.vertices(parameters.shape[None], parameters.expression[None], parameters.pose[None])
    index = torch.as_tensor(IBUG_68_FROM_478)
    image = parameters.camera.project(head.landmarks_478.on(posed, head.triangles)[0, index])[:, :2]
    image = image + view_bias_px(head.landmarks_478_view_bias[index], parameters.pose[:3], parameters.px_per_m)
    silhouette = SilhouetteTerm(head, landmark_targets(landmarks, head))
    on_contour = silhouette.contour_image(parameters)
    place = {int(number): row for row, number in enumerate(silhouette.index)}
    for number, landmark in enumerate(index[:NUM_CONTOUR].tolist()):
        image[number] = on_contour[place[landmark]]
    return image


def landmark_error_percent(head: HeadModel, parameters: FitParameters, landmarks: torch.Tensor) -> float:
    """Mean distance of the 68 landmarks over the distance of the outer eye corners, in percent.

    Args:
        landmarks: (478,3) of the tracker, pixels. The eye corners' distance is taken in three dimensions, so that
            turned heads are not judged more harshly.
    """
    target = landmarks[torch.as_tensor(IBUG_68_FROM_478)]
    eyes = (target[OUTER_EYE_CORNERS[0]] - target[OUTER_EYE_CORNERS[1]]).norm()
    distance = (ibug_landmarks(head, parameters, landmarks) - target[:, :2]).norm(dim=1).mean()
    return float(100 * distance / eyes)


def fit_warnings(parameters: FitParameters, landmarks: torch.Tensor, error: float) -> tuple[str, ...]:
    """Sentences for the user about a fit to landmarks (478,3) with this landmark error in percent."""
    warnings = []
    target = landmarks[torch.as_tensor(IBUG_68_FROM_478)]
    if (target[OUTER_EYE_CORNERS[0]] - target[OUTER_EYE_CORNERS[1]]).norm() < SMALL_FACE_PX:
        warnings.append("The face is small in this photo, so its texture is soft; a larger photo gives a sharper one.")
    if abs(float(parameters.pose[1])) > PROFILE_YAW:
        warnings.append("The face is seen from the side, so its other half is completed by symmetry.")
    if error > POOR_FIT_PERCENT:
        warnings.append("The head does not follow this face closely; a frontal photo without hands or hair helps.")
    return tuple(warnings)

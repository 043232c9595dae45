"""Trains the adapters of one person's networks on their photos, the shared weights left as they are.

The coarse encoder learns with L_C (the first paper's eq. 2) to say what the joint fit has found. Whose head it is need
not be read any more: the joint fit's identity stands in for the encoder's reading, in training as in use. With a few
photos an encoder soon knows them by heart; a fifth of them is therefore only watched, and the step at which these were
read best is kept; with fewer than five it stays as it is. The detail network learns with L_Tchr, L_sym and L_dc,
without L_UNet's photometric part: the albedo of a photo is known less well than its relief would need.

Source: first paper, section 3.4 (adapters, layer norms and x_d train; first with L_C, then with L_Tchr).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.adapters import person_parameters, person_state, take_person_state, with_adapters
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.detail_input import face_window, unwrap
from ml_backend.learned.detail_networks import DetailStudent, UNetTeacher
from ml_backend.learned.face_crop import FaceCrop, face_crop
from ml_backend.learned.head_code import HeadCode
from ml_backend.learned.view_motion import ImageSimilarity, move_view
from ml_backend.personalise.joint_fit import JointFit
from ml_backend.personalise.view import View
from ml_backend.texture.photo_projection import pose_head
from ml_backend.tracking import landmark_topology as topology
from ml_backend.training.animation_objective import AnimationObjective, TeachingSettings
from ml_backend.training.coarse_batch import AugmentationSettings, CoarseBatch, augment, collate
from ml_backend.training.coarse_objective import SUPERVISED, CoarseObjective, LossSettings
from ml_backend.training.coarse_surface import CoarseSurface, coarse_surface
from ml_backend.training.detail_objective import ShadingObjective, ShadingWeights
from ml_backend.training.detail_samples import DetailBatch, detail_batch
from ml_backend.training.photo_samples import skin_of_landmarks
from ml_backend.training.tracker_noise import TrackerNoise
from ml_backend.training.training_loop import SEED_STRIDE
from ml_backend.wrinkles.tension import head_edges, vertex_tension

# crops are cut this much finer than the encoder reads them, since augmentation samples them again
CROP_FINENESS = 1.25
# a person varies less than people do: photos of them are varied less than in the shared training
PERSON_AUGMENTATION = AugmentationSettings(erased_share=0.1, untracked_share=0.05)
# The joint fit stands for the truth; where the face lies in the picture counts most.
COARSE_TERMS = LossSettings(mode=SUPERVISED, projected=2.0, silhouette=5.0, albedo=0.0, light=0.0, prior=0.0)
# the base's own losses; wrinkles that other photos show count as much as one's own
PERSON_TEACHING = TeachingSettings(teacher=1.0, symmetry=0.05, swapped=1.0, same=0.5)
PERSON_SHADING = ShadingWeights(supervised=0.0, photometric=0.0, mrf=0.0, smoothness=0.05, size=0.02)
LARGEST_GRADIENT = 1.0
# Of so many photos one is not learned from but watched, and how often, in steps. With fewer photos nothing is learned:
# three made the reading of a fourth worse, 3.2% in place of 2.9%, also where one of the three was watched.
WATCHED_PHOTO, WATCH_STEPS = 5, 20


@dataclass(frozen=True)
class AdapterTraining:
    """How long and how fast.

    Attributes:
        coarse_steps, detail_steps: of each network; batch_size: photos a step, even.
        coarse_rate, detail_rate: learning rates of Adam, falling to 0 along half a cosine. Six rendered people, the
            detail network's correlation with the truth at unseen expressions: 0.512 unadapted, 0.493 with 1e-3; the
            first four: 0.467 unadapted, 0.457 with 1e-3, 0.470 with 2e-4.
        seed: of batches and variation.
    """

    coarse_steps: int = 80
    detail_steps: int = 60
    batch_size: int = 8
    coarse_rate: float = 1e-3
    detail_rate: float = 2e-4
    seed: int = 1


Progress = Callable[[str, float], None]


def train_encoder(
    encoder: CoarseEncoder,
    views: Sequence[View],
    joint: JointFit,
    head: HeadModel,
    albedo: AlbedoModel,
    settings: AdapterTraining = AdapterTraining(),
    progress: Progress = lambda text, fraction: None,
) -> CoarseEncoder:
    """Adapt the coarse encoder to a person.

    Args:
        encoder: the shared one; it stays as it is.
        views, joint: the person's photos and their joint fit (scaled orthographic cameras).
        head: the personal one; albedo: on its layout.
        progress: called before each step; may raise to stop.

    Returns:
        A copy with adapters, on the same device; of fewer than WATCHED_PHOTO views they are still the identity.
    """
    device = next(encoder.parameters()).device
    personal = with_adapters(encoder)
    progress("the person's head", 0.0)
    if len(views) < WATCHED_PHOTO:
        return personal
    surface = coarse_surface(head)
    crops = _crops(views, joint, head, round(CROP_FINENESS * encoder.config.image_px))
    watched = torch.arange(len(crops)) % WATCHED_PHOTO == WATCHED_PHOTO - 1
    batch, kept_back = _select(crops, ~watched), _select(crops, watched).resized(encoder.config.image_px).to(device)
    objective = CoarseObjective(COARSE_TERMS, head, albedo, surface.to(device), device)
    noise = TrackerNoise(head, PERSON_AUGMENTATION.untracked_share)

    def losses(step: int) -> dict[str, torch.Tensor]:
        chance = torch.Generator().manual_seed(settings.seed * SEED_STRIDE + step)
        chosen = _select(batch, torch.randint(len(batch), (settings.batch_size,), generator=chance))
        varied = augment(chosen, PERSON_AUGMENTATION, surface.model, chance).resized(encoder.config.image_px)
        tracked = noise(replace(varied, truth=None), chance)
        photo = _with_found_landmarks(varied, surface).to(device)
        code = personal(photo.image, tracked.to(device))
        return objective(replace(code, shape=photo.truth.shape), photo)

    def watch() -> float:
        return _points_missed(personal(kept_back.image, kept_back.landmarks_478), kept_back, objective)

    _train(
        personal, losses, settings.coarse_steps, settings.coarse_rate,
        lambda part: progress("the person's head", part), watch if len(kept_back) else None,
    )  # fmt: skip
    return personal


def train_student(
    student: DetailStudent,
    teacher: UNetTeacher,
    views: Sequence[View],
    joint: JointFit,
    head: HeadModel,
    albedo: AlbedoModel,
    settings: AdapterTraining = AdapterTraining(),
    progress: Progress = lambda text, fraction: None,
) -> DetailStudent:
    """Adapt the detail network to a person.

    Args:
        student: the shared one; it stays as it is; teacher: on the same device.
        views, joint, head, albedo, progress: as `train_encoder`.

    Returns:
        A copy with adapters, on the same device.
    """
    device = next(student.parameters()).device
    personal = with_adapters(student)
    window = face_window(head, student.config.window_px)
    shading = ShadingObjective(PERSON_SHADING, head, albedo, window, device)
    objective = AnimationObjective(PERSON_TEACHING, shading, window, teacher)
    faces = _unwrapped(views, joint, head, student.config.window_px)

    def losses(step: int) -> dict[str, torch.Tensor]:
        chance = torch.Generator().manual_seed(settings.seed * SEED_STRIDE + step)
        half = settings.batch_size // 2
        # each photo with another one of the person, as long as there are enough
        firsts = torch.randint(len(faces), (half,), generator=chance)
        others = torch.randint(max(1, len(faces) - 1), (half,), generator=chance)
        pairs = torch.cat([firsts, (firsts + 1 + others) % len(faces)])
        return objective(personal, faces.select(pairs).to(device))

    _train(
        personal, losses, settings.detail_steps, settings.detail_rate,
        lambda part: progress("the person's wrinkles", part),
    )  # fmt: skip
    return personal


def _train(
    network: torch.nn.Module,
    losses: Callable[[int], dict[str, torch.Tensor]],
    steps: int,
    rate: float,
    progress: Callable[[float], None],
    watch: Callable[[], float] | None = None,
) -> None:
    """Train the person's part of a network; of the states that are watched, it ends in the one of the least error."""
    owned = list(person_parameters(network).values())
    optimiser = torch.optim.Adam(owned, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    best, least = person_state(network), math.inf
    with torch.enable_grad():
        for step in range(steps):
            if watch is not None and step % WATCH_STEPS == 0:
                best, least = _better(network, watch, best, least)
            network.train()
            progress(step / steps)
            optimiser.zero_grad()
            torch.stack(list(losses(step).values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(owned, LARGEST_GRADIENT)
            optimiser.step()
            schedule.step()
    if watch is not None:
        take_person_state(network, _better(network, watch, best, least)[0])
    network.eval().requires_grad_(False)


def _better(
    network: torch.nn.Module, watch: Callable[[], float], best: dict[str, torch.Tensor], least: float
) -> tuple[dict[str, torch.Tensor], float]:
    """The person's part of the network and its error, or those that were the best before."""
    network.eval()
    with torch.no_grad():
        error = watch()
    return (person_state(network), error) if error < least else (best, least)


def _points_missed(code: HeadCode, batch: CoarseBatch, objective: CoarseObjective) -> float:
    """Mean distance of the heads' landmarks from the tracker's, half crops, once place, size and roll are set right:
    the solver that follows sets them right at once."""
    surface = objective.surface
    own = surface.landmarks_478.on(surface.vertices(replace(code, shape=batch.truth.shape)))
    points, target = code.project(own), batch.landmarks_478
    points, target = points - points.mean(1, keepdim=True), target - target.mean(1, keepdim=True)
    # the similarity of the plane as a complex number
    flat, goal = torch.view_as_complex(points.contiguous()), torch.view_as_complex(target.contiguous())
    turn = (flat.conj() * goal).sum(1, keepdim=True) / flat.abs().square().sum(1, keepdim=True)
    return float((turn * flat - goal).abs().mean())


def _crops(views: Sequence[View], joint: JointFit, head: HeadModel, size_px: int) -> CoarseBatch:
    """The photos' face crops with the tracker's landmarks; as truth, the joint fit in the crops' coordinates."""
    samples = []
    for view, fit in zip(views, joint.fits, strict=True):
        points = np.asarray(view.face.landmarks_px, np.float32)
        crop = face_crop(points)
        landmarks = crop.to_crop(points[:, :2])
        corners = points[[topology.RIGHT_EYE_OUTER, topology.LEFT_EYE_OUTER]]
        code = crop_code(crop, fit, head)
        named = {name: getattr(code, name)[0].numpy() for name in ("shape", "expression", "pose", "albedo")}
        samples.append({
            "image": crop.cut(view.pixels, size_px),
            "landmarks_68": landmarks[topology.IBUG_68_FROM_478],
            "landmarks_478": landmarks,
            "skin_mask": skin_of_landmarks(landmarks, size_px),
            "eye_distance": np.float32(np.linalg.norm(corners[0] - corners[1]) / (crop.side_px / 2)),
            **named, "camera": code.camera[0].numpy(), "light": code.light[0].numpy(),
        })  # fmt: skip
    return collate(samples)


def _with_found_landmarks(batch: CoarseBatch, surface: CoarseSurface) -> CoarseBatch:
    """The batch with the landmarks of the joint fit's heads in place of the tracker's, which the encoder reads."""
    truth = batch.truth
    vertices = surface.vertices(truth)
    contour = truth.project(surface.contour_at_yaw(vertices, truth.pose))
    inner = truth.project(surface.landmarks_68.on(vertices)[:, topology.NUM_CONTOUR :])
    points = truth.project(surface.landmarks_478.on(vertices))
    return replace(batch, landmarks_68=torch.cat([contour, inner], 1), landmarks_478=points)


def crop_code(crop: FaceCrop, fit: CoarseFit, head: HeadModel) -> HeadCode:
    """A fitted head in the coordinates of a crop: the inverse of `face_crop.photo_view`.

    Args:
        crop: of the photo; fit: with a scaled orthographic camera; head: of the fit.

    Returns:
        A batch of one.
    """
    camera = torch.tensor([[fit.camera.scale_px_per_m, *fit.camera.centre_px]])
    to_photo = crop.photo_from_crop
    inverse = torch.linalg.inv(to_photo.matrix)
    shift = -(inverse @ to_photo.shift[..., None])[..., 0]
    to_crop = ImageSimilarity(1 / to_photo.scale, -to_photo.roll, shift)
    root = head.joints(fit.shape[None])[:, 0]
    view = move_view(fit.pose[None], camera, fit.light[None], root, to_crop)
    return HeadCode(
        fit.shape[None], fit.expression[None], view.pose, fit.albedo[None], view.camera, view.light
    )  # fmt: skip


def _select(batch: CoarseBatch, index: torch.Tensor) -> CoarseBatch:
    parts = (batch.image, batch.landmarks_68, batch.landmarks_478, batch.skin, batch.eye_distance)
    truth = batch.truth
    blocks = (truth.shape, truth.expression, truth.pose, truth.albedo, truth.camera, truth.light)
    return CoarseBatch(*(part[index] for part in parts), HeadCode(*(block[index] for block in blocks)))


@torch.no_grad()
def _unwrapped(views: Sequence[View], joint: JointFit, head: HeadModel, window_px: int) -> DetailBatch:
    """The photos unwrapped, with the tension of the joint fit; nobody knows their true displacement."""
    window, edges = face_window(head, window_px), head_edges(head)
    neutral = head.vertices(joint.shape[None], *(torch.zeros(1, n) for n in (head.num_expression, 15)))[0]
    samples = []
    for view, fit in zip(views, joint.fits, strict=True):
        posed = pose_head(head, fit, np.asarray(view.face.landmarks_px, np.float32)[:, :2])
        face = unwrap(view.pixels, posed, head.triangles.cpu().numpy(), window)
        tension = vertex_tension(neutral, torch.from_numpy(posed.vertices), edges)
        samples.append({
            "texture": face.texture, "confidence": face.confidence, "tension": tension.numpy(),
            "vertices": posed.vertices, "albedo": fit.albedo.numpy(), "light": fit.light.numpy(), "person": np.int64(0),
        })  # fmt: skip
    return detail_batch(samples, window)

"""What the animatable student minimises on pairs of images of a person (first paper, eq. 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.learned.detail_input import FaceWindow
from ml_backend.learned.detail_networks import DetailStudent, UNetTeacher
from ml_backend.training.detail_losses import swap_loss, symmetry_loss, teacher_loss
from ml_backend.training.detail_objective import ShadingObjective
from ml_backend.training.detail_samples import DetailBatch
from ml_backend.training.detail_stream import partner
from ml_backend.training.training_loop import network_precision


@dataclass(frozen=True)
class TeachingSettings:
    """What the student learns beside L_UNet; the config's table [teaching].

    Attributes:
        weights: the teacher's file (teacher.safetensors of its run); empty = the ablation without a teacher.
        teacher, symmetry: weights of L_Tchr and L_sym.
        swapped: weight of all losses on D(I', T) (eq. 7); same: weight of |D(I, T) - D(I', T)| itself.
    """

    weights: str = ""
    teacher: float = 0.2
    symmetry: float = 0.1
    swapped: float = 1.0
    same: float = 2.0


class AnimationObjective:
    """L_animD of a batch of pairs.

    Args:
        settings: weights of the terms; shading: L_UNet, on the device of the batches.
        window: of the head; teacher: on that device, None without one.
    """

    def __init__(
        self, settings: TeachingSettings, shading: ShadingObjective, window: FaceWindow, teacher: UNetTeacher | None
    ) -> None:
        self._settings, self._shading, self._teacher = settings, shading, teacher
        self.skin = shading.skin
        self._mirror = torch.from_numpy(window.mirror).to(shading.skin.device)

    def __call__(self, student: DetailStudent, batch: DetailBatch) -> dict[str, torch.Tensor]:
        """Weighted losses of D(I, T), and of D(I', T), where I' is the other image of the same person."""
        device = self.skin.device
        with network_precision(device):
            face = student.encode(batch.texture, batch.tension)
            other = face.select(partner(len(batch)).to(device))
            own, swapped = student.decode(face, batch.tension), student.decode(other, batch.tension)
            taught = self.taught(batch) if face.relief is None else face.relief
        losses = self._animated(own, batch, taught)
        # eq. 7: what another image shows of the person, at this tension, must explain this image as well
        for name, value in self._animated(swapped, batch, taught).items():
            losses[f"swapped_{name}"] = self._settings.swapped * value
        losses["same"] = self._settings.same * swap_loss(own, swapped, self.skin.expand_as(own))
        return losses

    def taught(self, batch: DetailBatch) -> torch.Tensor | None:
        """The teacher's displacement of each image, (B,1,N,N) metres; None without a teacher."""
        if self._teacher is None or not self._settings.teacher:
            return None
        with torch.no_grad():
            return self._teacher(batch.texture)

    def _animated(
        self, displacement: torch.Tensor, batch: DetailBatch, taught: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """L_UNet, L_Tchr and L_sym of a displacement at the batch's tensions; the truth is asked for everywhere."""
        settings, skin = self._settings, self.skin.expand_as(displacement)
        losses = self._shading(displacement, batch, skin)
        if taught is not None and settings.teacher:
            losses["teacher"] = settings.teacher * teacher_loss(displacement, taught, skin * batch.confidence)
        symmetry = symmetry_loss(displacement, self._mirror, skin, batch.confidence)
        return losses | {"symmetry": settings.symmetry * symmetry}

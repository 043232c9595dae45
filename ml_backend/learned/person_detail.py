"""The learned detail of one person: a photo read once, then the displacement at any tension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_input import FaceWindow, UnwrappedFace, face_window, network_input, on_window, unwrap
from ml_backend.learned.detail_networks import DetailStudent, EncodedFace
from ml_backend.texture.photo_projection import PosedHead


@dataclass(frozen=True)
class PersonDetail:
    """A person as the student has read them off a photo.

    Attributes:
        student: the network; window: of the person's head; face: what it keeps of the photo.
        unwrapped: the photo in the window.
    """

    student: DetailStudent
    window: FaceWindow
    face: EncodedFace
    unwrapped: UnwrappedFace

    @torch.no_grad()
    def displacement(self, tension: torch.Tensor) -> np.ndarray:
        """The displacement at given tensions, one decoder pass each.

        Args:
            tension: (B,V) at the head's vertices, from `wrinkles.tension.vertex_tension`.

        Returns:
            (B,N,N) float32 metres outwards in the window (`detail_input.place_in_map` puts it into a whole map).
        """
        device = self.face.tokens.device
        maps = on_window(tension[..., None].to(device), self.window)
        # one at a time: a batch is no faster on a CPU, and needs its memory at once
        made = [self.student.decode(self.face, one[None])[0, 0] for one in maps]
        return torch.stack(made).cpu().numpy()


@torch.no_grad()
def read_person(student: DetailStudent, image: np.ndarray, posed: PosedHead, head: HeadModel) -> PersonDetail:
    """Read a person's detail off a photo.

    Args:
        student: from `detail_weights.read_student`.
        image: (H,W,3) uint8 sRGB; posed: the head in that image; head: the model.
    """
    window = face_window(head, student.config.window_px)
    unwrapped = unwrap(image, posed, head.triangles.cpu().numpy(), window)
    device = next(student.parameters()).device
    face = student.encode(torch.from_numpy(network_input(unwrapped))[None].to(device))
    return PersonDetail(student, window, face, unwrapped)

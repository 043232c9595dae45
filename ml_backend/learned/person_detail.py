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
def read_person(
    student: DetailStudent, image: np.ndarray, posed: PosedHead, head: HeadModel, tension: torch.Tensor
) -> PersonDetail:
    """Read a person's detail off a photo.

    Args:
        student: from `detail_weights.read_student`.
        image: (H,W,3) uint8 sRGB; posed: the head in that image; head: the model.
        tension: (V,) of the head in that image, against the person at rest.
    """
    window = face_window(head, student.config.window_px)
    unwrapped = unwrap(image, posed, head.triangles.cpu().numpy(), window)
    return person_of_unwrapped(student, unwrapped, window, tension)


@torch.no_grad()
def person_of_unwrapped(
    student: DetailStudent, unwrapped: UnwrappedFace, window: FaceWindow, tension: torch.Tensor
) -> PersonDetail:
    """Read a person's detail off a photo that is unwrapped already.

    Args:
        student: as `read_person`; unwrapped: the photo in the window; window: of the person's head.
        tension: (V,) as `read_person`.
    """
    device = next(student.parameters()).device
    seen = torch.from_numpy(network_input(unwrapped))[None].to(device)
    face = student.encode(seen, on_window(tension[None, :, None].to(device), window))
    return PersonDetail(student, window, face, unwrapped)

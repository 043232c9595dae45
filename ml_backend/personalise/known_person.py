"""The person of an avatar package, for further photos of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from addon.exchange.avatar_package import PERSON_FILE, read_package
from addon.exchange.errors import LikenessError
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.coarse.surface_error import neutral_vertices
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.encode_photo import encode_photo
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise.held_out import PersonHead
from ml_backend.personalise.joint_fit import fit_view
from ml_backend.personalise.person_networks import PersonNetworks, read_person_networks
from ml_backend.personalise.vertex_offsets import personal_head
from ml_backend.personalise.view import View
from ml_backend.tracking.face_tracker import TrackedFace
from ml_backend.wrinkles.bake_wrinkles import SEED_DIGITS, person_seed

# stands for the hash of the photo of a head that has none
NO_PHOTO = "0" * SEED_DIGITS


@dataclass(frozen=True)
class KnownPerson:
    """Who somebody is.

    Attributes:
        shape: (S,); albedo: (A,): standard deviations.
        head: the open head with the person's offsets.
        seed: of the person's own lines.
        networks: adapted to the person; None where the avatar has none of its own.
    """

    shape: torch.Tensor
    albedo: torch.Tensor
    head: HeadModel
    seed: int
    networks: PersonNetworks | None

    @property
    def as_head(self) -> PersonHead:
        """What the person's head is, without the networks."""
        return PersonHead(self.head, self.shape, self.albedo)


def read_known_person(package: Path, models: LoadedModels) -> KnownPerson:
    """The person of an avatar.

    Args:
        package: on the open head, made of one photo or of many; models: loaded ones.

    Raises:
        LikenessError: the package is damaged, or its head is another one.
    """
    read, head = read_package(package), models.head(None)
    shape = torch.from_numpy(read.parameters.shape)
    if read.description.provenance.head.name != head.name or shape.shape != (head.num_shape,):
        raise LikenessError(
            "person_head",
            f"{package.name} is built on {read.description.provenance.head.name}, not on the {head.name.lower()}.",
            "Choose an avatar that was made without a head file.",
        )
    # an avatar of one photo has offsets of rounding errors alone
    offsets = torch.from_numpy(read.head.vertices) - neutral_vertices(head, shape)
    networks = None
    if read.description.person_networks:
        networks = read_person_networks(package / PERSON_FILE, models.coarse_encoder, models.detail_student)
    wrinkles, photo = read.description.wrinkles, read.description.provenance.photo
    seed = wrinkles.seed if wrinkles is not None else person_seed(photo.sha256 if photo is not None else NO_PHOTO)
    albedo = torch.from_numpy(read.parameters.albedo)
    return KnownPerson(shape, albedo, personal_head(head, offsets), seed, networks)


def fit_known_person(pixels: np.ndarray, face: TrackedFace, person: KnownPerson, models: LoadedModels) -> CoarseFit:
    """Expression, pose, camera and light of a known person in a photo.

    Args:
        pixels: (H,W,3) uint8 sRGB; face: the tracker's landmarks on it.
    """
    encoder = models.coarse_encoder if person.networks is None else person.networks.encoder
    start = encode_photo(pixels, face, person.head, encoder)
    view = View("", pixels, face, start)
    return fit_view(view, person.head, person.shape, person.albedo, models.albedo)

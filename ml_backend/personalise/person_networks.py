"""The learned networks of one person: what adapts them, as a file in the avatar's package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from addon.exchange.avatar_package import file_sha256
from addon.exchange.errors import LikenessError, PackageError
from addon.exchange.safetensors_file import read_safetensors, write_safetensors
from ml_backend.learned.adapters import person_state, personal_network
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.detail_networks import DetailStudent
from ml_backend.learned.detail_weights import DETAIL_FILE
from ml_backend.learned.weights_file import COARSE_FILE

ADAPTERS_FORMAT = "likeness-person-1"
COARSE_PREFIX, DETAIL_PREFIX = "coarse.", "detail."


@dataclass(frozen=True)
class PersonNetworks:
    """The encoder and the detail network of one person, ready to use."""

    encoder: CoarseEncoder
    student: DetailStudent


def write_person(path: Path, networks: PersonNetworks) -> None:
    """Write what adapts the shipped networks, in half precision.

    Args:
        networks: made by `adapters.with_adapters` of the shipped ones.
    """
    arrays = {}
    for prefix, network in ((COARSE_PREFIX, networks.encoder), (DETAIL_PREFIX, networks.student)):
        arrays |= {prefix + name: value.half().numpy() for name, value in person_state(network).items()}
    write_safetensors(path, arrays, {"format": ADAPTERS_FORMAT, **_base_hashes()})


def read_person_networks(path: Path, encoder: CoarseEncoder, student: DetailStudent) -> PersonNetworks:
    """The networks of a person.

    Args:
        path: from `write_person`; encoder, student: the shipped ones, which stay as they are.

    Raises:
        LikenessError: the file is damaged, or was made for other weights than the shipped ones.
    """
    arrays = _read(path)
    try:
        return PersonNetworks(
            personal_network(encoder, _part(arrays, COARSE_PREFIX)),
            personal_network(student, _part(arrays, DETAIL_PREFIX)),
        )
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def read_person_student(path: Path, student: DetailStudent) -> DetailStudent:
    """The detail network of a person alone (arguments and errors as `read_person_networks`)."""
    arrays = _read(path)
    try:
        return personal_network(student, _part(arrays, DETAIL_PREFIX))
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a person's file, which fits the shipped weights."""
    try:
        arrays, metadata = read_safetensors(path)
    except PackageError as error:
        raise _damaged(path, error.message) from error
    if metadata.get("format") != ADAPTERS_FORMAT:
        raise _damaged(path, f"it is not of the format {ADAPTERS_FORMAT}")
    shipped = _base_hashes()
    if {name: metadata.get(name) for name in shipped} != shipped:
        raise LikenessError(
            "person_weights",
            f"{path.name} belongs to other weights of the learned networks than those that are here.",
            "Make the avatar anew from its folder of photos.",
        )
    return arrays


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(value) for name, value in arrays.items() if name.startswith(prefix)
    }


def _base_hashes() -> dict[str, str]:
    return {"coarse_weights": file_sha256(COARSE_FILE), "detail_weights": file_sha256(DETAIL_FILE)}


def _damaged(path: Path, reason: str) -> LikenessError:
    return LikenessError(
        "person_damaged", f"The person's networks {path.name} are damaged: {reason}.", "Make the avatar anew."
    )

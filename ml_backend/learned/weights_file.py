"""Weights as they ship: half-precision safetensors that say what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from addon.exchange.errors import AssetMissing, PackageError
from addon.exchange.safetensors_file import read_safetensors, write_safetensors
from addon.exchange.typed_json import JsonMismatch, decode, encode
from ml_backend.learned.coarse_encoder import CoarseEncoder, EncoderConfig
from ml_backend.learned.head_code import CodeSizes
from ml_backend.learned.plain_vit import plain_body

ASSETS = Path(__file__).resolve().parents[2] / "assets"
COARSE_FILE = ASSETS / "coarse_encoder.safetensors"
COARSE_FORMAT = "likeness-coarse-encoder-1"

Config = TypeVar("Config")
Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Attributes:
        arrays: names of torch's state dictionary; half precision as read.
        config: what to build the networks from; provenance: how they were trained (JSON objects).
    """

    arrays: dict[str, torch.Tensor]
    config: dict[str, Any]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class CoarseWeightsConfig:
    """The config of a coarse encoder's file: what to build, the codes' sizes, the head that they are for."""

    encoder: EncoderConfig
    sizes: CodeSizes
    head: str


def write_weights(
    path: Path, arrays: Mapping[str, torch.Tensor], file_format: str, config: Any, provenance: Mapping[str, Any]
) -> None:
    """Write weights in half precision; the file appears whole or not at all.

    Args:
        arrays: a state dictionary.
        file_format: says which networks they are.
        config: a dataclass or JSON object.
    """
    halves = {name: value.detach().cpu().half().numpy() for name, value in arrays.items()}
    metadata = {
        "format": file_format,
        "config": json.dumps(encode(config)),
        "provenance": json.dumps(encode(dict(provenance))),
    }
    write_safetensors(path, halves, metadata)


def read_weights(path: Path, file_format: str) -> Weights:
    """Read weights.

    Args:
        file_format: which networks they must be.

    Raises:
        AssetMissing: the file is missing, damaged, or holds something else; the message names it.
    """
    if not path.is_file():
        raise AssetMissing("weights_missing", f"The weights {path} are not there.", "Get the file again, or train it.")
    try:
        arrays, metadata = read_safetensors(path)
    except PackageError as error:
        raise damaged(path, error.message) from error
    if metadata.get("format") != file_format:
        raise damaged(path, f"it is not of the format {file_format}")
    try:
        config, provenance = (json.loads(metadata.get(name, "")) for name in ("config", "provenance"))
    except ValueError as error:
        raise damaged(path, "its description is not readable") from error
    if not isinstance(config, dict) or not isinstance(provenance, dict):
        raise damaged(path, "its description is not readable")
    return Weights({name: torch.from_numpy(array) for name, array in arrays.items()}, config, provenance)


def read_network(
    path: Path,
    file_format: str,
    config_type: type[Config],
    build: Callable[[Config], Network],
    device: torch.device | str,
) -> Network:
    """The network of a weights file, in its own precision, ready to use and not trained further.

    Args:
        file_format: which networks it must hold; config_type: of its config.
        build: makes the network that the config asks for, with whatever weights.

    Raises:
        AssetMissing: the file is missing, damaged, or holds something else; the message names it.
    """
    weights = read_weights(path, file_format)
    try:
        network = build(decode(config_type, weights.config))
    except (JsonMismatch, ValueError) as error:
        raise damaged(path, str(error)) from error
    _load_state(path, network, weights)
    return network.eval().requires_grad_(False).to(device)


def _load_state(path: Path, network: torch.nn.Module, weights: Weights) -> None:
    if not all(bool(value.isfinite().all()) for value in weights.arrays.values()):
        raise damaged(path, "a weight is not a finite number")
    try:
        network.load_state_dict(weights.arrays)
    except RuntimeError as error:
        raise damaged(path, "its arrays are not those of its network") from error


def damaged(path: Path, reason: str) -> AssetMissing:
    """The error for a file that cannot be used."""
    return AssetMissing("weights_damaged", f"The weights {path} are damaged: {reason}.", "Get the file again.")


def write_coarse_weights(path: Path, encoder: CoarseEncoder, head_name: str, provenance: Mapping[str, Any]) -> None:
    """Write a coarse encoder.

    Args:
        head_name: of the head model that its codes are for.
        provenance: data, steps, hardware, measured quality.
    """
    config = CoarseWeightsConfig(encoder.config, encoder.sizes, head_name)
    write_weights(path, encoder.state_dict(), COARSE_FORMAT, config, provenance)


def read_coarse_encoder(path: Path = COARSE_FILE, device: torch.device | str = "cpu") -> CoarseEncoder:
    """The coarse encoder of a file, ready to read codes off crops of its own size; without timm where it can be.

    Raises:
        AssetMissing: the file is missing, damaged, or holds something else; the message names it.
    """
    return read_network(path, COARSE_FORMAT, CoarseWeightsConfig, _plain_encoder, device)


def _plain_encoder(config: CoarseWeightsConfig) -> CoarseEncoder:
    body = plain_body(config.encoder.body, config.encoder.image_px)
    return CoarseEncoder(config.encoder, config.sizes, body)

"""Samples of the detail stage: faces unwrapped into the window, kept in a sample cache, and batches of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from addon.exchange.typed_json import encode
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_input import (
    FaceWindow,
    UnwrappedFace,
    cut_window,
    network_input,
    on_window,
    posed_in_image,
    projected_by_code,
    unwrap,
)
from ml_backend.synthetic.sample import SyntheticFaces, SyntheticSample
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.training.detail_losses import MM_PER_M
from ml_backend.training.sample_cache import Sample, SampleSource

KIND = "synthetic detail"


@dataclass(frozen=True)
class DetailBatch:
    """Unwrapped faces and what is known of them, N texels a side.

    Attributes:
        texture: (B,C,N,N) what the networks see; photo: (B,3,N,N) sRGB 0-1.
        confidence: (B,1,N,N) 0-1; tension: (B,1,N,N).
        truth: (B,1,N,N) metres; known: (B,1,1,1) 1 where the truth is known, 0 for a user's photos.
        vertices: (B,V,3) metres, posed; albedo: (B,A); light: (B,9,3).
        person: (B,) numbers.
    """

    texture: torch.Tensor
    photo: torch.Tensor
    confidence: torch.Tensor
    tension: torch.Tensor
    truth: torch.Tensor
    known: torch.Tensor
    vertices: torch.Tensor
    albedo: torch.Tensor
    light: torch.Tensor
    person: torch.Tensor

    def to(self, device: torch.device | str) -> DetailBatch:
        """The same on another device."""
        return DetailBatch(*(getattr(self, field.name).to(device) for field in fields(self)))

    def select(self, index: torch.Tensor | slice) -> DetailBatch:
        """Some of the faces, or the faces in another order."""
        return DetailBatch(*(getattr(self, field.name)[index] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.texture)


def detail_source(
    head: HeadModel, albedo: AlbedoModel, settings: SyntheticSettings, count: int, window: FaceWindow
) -> SampleSource:
    """Rendered faces, unwrapped, with their true displacement.

    Args:
        head: the head model; albedo: on its layout.
        settings: of the rendered faces; `detail` must be on.
        count: how many; window: of the head.
    """
    if not settings.detail:
        raise ValueError("data.synthetic.detail is off: the samples would have no displacement")
    faces: list[SyntheticFaces] = []

    def make(number: int) -> Sample:
        # built when the first sample is made: a full cache does not need it
        if not faces:
            faces.append(SyntheticFaces(head, albedo, settings))
        return unwrapped_sample(faces[0].sample(number), head, window)

    description = {
        "kind": KIND, "head": head.name, "window_px": window.size_px, **json.loads(json.dumps(encode(settings))),
    }  # fmt: skip
    return SampleSource(make, count, description)


def unwrapped_sample(sample: SyntheticSample, head: HeadModel, window: FaceWindow) -> Sample:
    """A rendered face as it is kept.

    Args:
        sample: with its detail; head: it was made with; window: of that head.

    Returns:
        texture (N,N,3) and confidence (N,N) u8, displacement (N,N) f16 mm, tension (V,) f16, vertices (V,3) f32 metres,
        albedo (A,) and light (9,3) f32, person () i64.
    """
    posed = torch.from_numpy(sample.detail.vertices)
    projected = projected_by_code(posed, torch.from_numpy(sample.camera), sample.image.shape[0])
    face = unwrap(sample.image, posed_in_image(head, posed, projected), head.triangles.numpy(), window)
    return {
        "texture": face.texture,
        "confidence": face.confidence,
        "displacement": (MM_PER_M * cut_window(sample.detail.displacement_m, window)).astype(np.float16),
        "tension": sample.detail.tension.astype(np.float16),
        "vertices": sample.detail.vertices.astype(np.float32),
        "albedo": sample.albedo.astype(np.float32),
        "light": sample.light.astype(np.float32),
        "person": np.int64(sample.person),
    }


def detail_batch(samples: Sequence[Sample], window: FaceWindow) -> DetailBatch:
    """Put samples together.

    Args:
        samples: as `unwrapped_sample` gives them; without `displacement` for photos whose truth nobody knows.
        window: N texels a side.
    """
    size = window.size_px
    inputs = [network_input(UnwrappedFace(sample["texture"], sample["confidence"])) for sample in samples]
    zero = np.zeros((size, size), np.float16)
    truth = np.stack([sample.get("displacement", zero) for sample in samples]).astype(np.float32) / MM_PER_M
    known = torch.tensor([float("displacement" in sample) for sample in samples])
    tension = torch.from_numpy(np.stack([sample["tension"] for sample in samples]).astype(np.float32))
    return DetailBatch(
        texture=torch.from_numpy(np.stack(inputs)),
        photo=_images(samples, "texture").permute(0, 3, 1, 2).contiguous(),
        confidence=_images(samples, "confidence")[:, None],
        tension=on_window(tension[..., None], window),
        truth=torch.from_numpy(truth)[:, None],
        known=known[:, None, None, None],
        vertices=_stacked(samples, "vertices"),
        albedo=_stacked(samples, "albedo"),
        light=_stacked(samples, "light"),
        person=torch.tensor([int(sample["person"]) for sample in samples]),
    )


def _stacked(samples: Sequence[Sample], name: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([sample[name] for sample in samples]))


def _images(samples: Sequence[Sample], name: str) -> torch.Tensor:
    return _stacked(samples, name).float() / 255

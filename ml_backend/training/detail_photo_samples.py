"""A user's own photos for the detail stage: the coarse encoder says where the face lies, nobody says how deep it is."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.learned.coarse_encoder import CoarseEncoder
from ml_backend.learned.detail_input import FaceWindow, posed_in_image, projected_by_code, unwrap
from ml_backend.learned.weights_file import read_coarse_encoder
from ml_backend.training.sample_cache import Sample, SampleSource
from ml_backend.wrinkles.tension import head_edges, vertex_tension


def photo_detail_source(photos: SampleSource, head: HeadModel, window: FaceWindow) -> SampleSource:
    """Faces of photos or videos, unwrapped, without a true displacement.

    Args:
        photos: face crops with `image` (H,W,3) u8 sRGB and `person`.
        head: that the shipped coarse encoder is for; window: of it.
    """
    encoders: list[CoarseEncoder] = []
    edges = head_edges(head)

    def make(number: int) -> Sample:
        # read when the first sample is made: a full cache does not need it
        if not encoders:
            encoders.append(read_coarse_encoder())
        photo = photos.make(number)
        return _unwrapped_photo(photo, encoders[0], head, window, edges)

    description = {**photos.description, "kind": "photo detail", "head": head.name, "window_px": window.size_px}
    return SampleSource(make, photos.count, description)


@torch.no_grad()
def _unwrapped_photo(
    photo: Sample, encoder: CoarseEncoder, head: HeadModel, window: FaceWindow, edges: torch.Tensor
) -> Sample:
    """A crop as `detail_samples.unwrapped_sample` keeps it, without `displacement`."""
    image = photo["image"]
    side = encoder.config.image_px
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    landmarks = torch.from_numpy(photo["landmarks_478"].astype(np.float32))[None]
    code = encoder(torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255, landmarks)
    posed = head.vertices(code.shape, code.expression, code.pose)
    neutral = head.vertices(code.shape, torch.zeros_like(code.expression), torch.zeros_like(code.pose))
    projected = projected_by_code(posed[0], code.camera[0], len(image))
    face = unwrap(image, posed_in_image(head, posed[0], projected), head.triangles.numpy(), window)
    return {
        "texture": face.texture,
        "confidence": face.confidence,
        "tension": vertex_tension(neutral, posed, edges)[0].numpy().astype(np.float16),
        "vertices": posed[0].numpy(),
        "albedo": code.albedo[0].numpy(),
        "light": code.light[0].numpy(),
        "person": np.int64(photo["person"]),
    }

"""What a camera makes of a scene: exposure, colour cast, blur, noise, small pictures, JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.rendering.colour import srgb_from_linear, srgb_u8_from_linear


def plain_photo(linear: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 sRGB of linear radiance, nothing added."""
    return srgb_u8_from_linear(linear)


def take_photo(linear: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Photograph a scene.

    Args:
        linear: (H, W, 3) float32 radiance, 1 = white at the middle exposure; changed in place.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    linear *= _exposure(random)
    cast = np.exp(random.normal(0, 0.10, 3) * (random.random() < 0.6))
    linear *= (cast / cast.mean()).astype(np.float32)
    linear = _blurred(linear, random)
    noise = _noise_strength(random)
    if noise > 0:
        # photons: the spread grows with the root of the light; the sensor adds its own
        spread = np.sqrt(np.maximum(linear, 0) * noise**2 + (0.25 * noise) ** 2)
        linear = linear + spread * random.standard_normal(linear.shape, dtype=np.float32)
    image = _toned(srgb_from_linear(linear), random)
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if random.random() < 0.18:
        pixels = _shrunk(pixels, random)
    if random.random() < 0.7:
        quality = int(np.clip(random.normal(78, 18), 18, 98))
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    if random.random() < 0.03:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return pixels


def _exposure(random: np.random.Generator) -> float:
    """A tenth of the pictures in low light, a twentieth over-exposed."""
    kind = random.random()
    if kind < 0.1:
        return float(random.uniform(0.06, 0.4))
    if kind < 0.15:
        return float(random.uniform(1.8, 3.2))
    return float(np.exp(random.normal(0.1, 0.25)))


def _noise_strength(random: np.random.Generator) -> float:
    return float(random.exponential(0.012)) if random.random() < 0.75 else 0.0


def _blurred(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    kind = random.random()
    unit = len(image) / 224
    if kind < 0.45:
        return cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 0.9) * unit)
    if kind < 0.57:
        return cv2.GaussianBlur(image, (0, 0), random.uniform(0.9, 2.2) * unit)
    if kind < 0.65:
        return cv2.filter2D(image, -1, _motion(random, unit), borderType=cv2.BORDER_REPLICATE)
    return image


def _motion(random: np.random.Generator, unit: float) -> np.ndarray:
    """(K, K) kernel of a straight movement during the exposure."""
    reach = int(random.uniform(1.5, 6) * unit) + 1
    kernel = np.zeros((2 * reach + 1,) * 2, np.float32)
    angle = random.uniform(0, np.pi)
    end = (round(reach + reach * np.cos(angle)), round(reach + reach * np.sin(angle)))
    start = (round(reach - reach * np.cos(angle)), round(reach - reach * np.sin(angle)))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_AA)
    return kernel / kernel.sum()


def _toned(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Contrast, saturation and a tone curve as cameras and people set them."""
    image = cv2.pow(image, float(np.exp(random.normal(0, 0.1))))
    grey = image.mean(2, keepdims=True)
    image = grey + (image - grey) * float(np.clip(random.normal(1.0, 0.18), 0.2, 1.6))
    return (image - 0.5) * float(np.clip(random.normal(1.05, 0.1), 0.75, 1.35)) + 0.5


def _shrunk(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As a small picture looks that was enlarged."""
    size = len(pixels)
    small = max(24, int(size * random.uniform(0.3, 0.8)))
    pixels = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(pixels, (size, size), interpolation=random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))

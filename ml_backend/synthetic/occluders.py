"""Things before the face: hands of capsules, and held objects."""

from __future__ import annotations

import cv2
import numpy as np

from ml_backend.synthetic.picture import Picture, shading

# widths of an adult's fingers and their lengths, metres
FINGER_RADIUS_M = (0.0075, 0.0095)
FINGER_LENGTH_M = (0.055, 0.085)
# of the palm, and how much flatter than round it is
PALM_LENGTH_M, PALM_FLATNESS = 0.06, 0.45
WRIST_RADIUS_M = 0.026


def draw_occluder(picture: Picture, random: np.random.Generator, face: np.ndarray, skin_colour: np.ndarray) -> None:
    """Draw a hand or a held thing over a part of the face, in place.

    Args:
        picture: changed in place; face: (K, 2) pixels of the face's landmarks; skin_colour: (3,) linear albedo.
    """
    if random.random() < 0.65:
        _hand(picture, random, face, skin_colour * random.uniform(0.8, 1.15))
    else:
        _thing(picture, random, face)


def _hand(picture: Picture, random: np.random.Generator, face: np.ndarray, colour: np.ndarray) -> None:
    """Fingers side by side that reach over the face from outside of it, and the palm behind them."""
    scale = picture.px_per_m
    target = face[random.integers(len(face))]
    middle = face.mean(0)
    away = target - middle
    # from below or from the side, as arms come
    angle = np.arctan2(abs(away[1]) + 1, away[0]) + random.normal(0, 0.5)
    out = np.array([np.cos(angle), abs(np.sin(angle))])
    out /= np.linalg.norm(out)
    across = np.array([-out[1], out[0]])
    height = np.zeros(picture.depth_m.shape, np.float32)
    normal = np.zeros((*height.shape, 3), np.float32)
    radius = random.uniform(*FINGER_RADIUS_M)
    spread = random.uniform(0.0, 0.25)
    count = int(random.integers(2, 5))
    knuckles = target + out * random.uniform(0.4, 1.0) * FINGER_LENGTH_M[1] * scale
    for number in range(count):
        offset = number - (count - 1) / 2
        start = knuckles + across * offset * radius * 2.05 * scale
        direction = -out * np.cos(offset * spread) + across * np.sin(offset * spread)
        length = random.uniform(*FINGER_LENGTH_M) * (1 - 0.09 * abs(offset)) * scale
        bend = start + direction * length * 0.55
        tip = bend + (direction + across * random.normal(0, 0.15)) * length * 0.45
        for first, last in ((start, bend), (bend, tip)):
            _capsule(height, normal, first, last, radius * scale, radius * scale * 0.88)
    half = max(count * radius, 0.024) * scale
    palm, wrist = knuckles + out * PALM_LENGTH_M * scale, knuckles + out * (PALM_LENGTH_M + 0.03) * scale
    _capsule(height, normal, knuckles + out * 0.5 * half, palm, half, half * 0.9, PALM_FLATNESS)
    _capsule(height, normal, palm, wrist, half * 0.85, WRIST_RADIUS_M * scale, 0.8)
    _capsule(height, normal, wrist, wrist + out * 0.3 * scale, WRIST_RADIUS_M * scale, WRIST_RADIUS_M * 1.6 * scale)
    covered = height > 0
    if not covered.any():
        return
    # skin goes over the joints without a step
    normal = cv2.GaussianBlur(normal, (0, 0), 0.0022 * scale)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-6
    lit = colour * shading(normal[covered], picture.light)
    # fingers shade each other where they meet
    lit *= 0.55 + 0.45 * np.clip(normal[covered][:, 2:], 0, 1) ** 0.5
    # the hand's shadow on the face
    shadow = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 0.006 * scale)
    picture.fill(0.45 * shadow * (picture.depth_m < 1e3), np.zeros(3, np.float32), hides_skin=False)
    picture.canvas[covered] = lit
    picture.skin[covered] = 0


def _capsule(
    height: np.ndarray,
    normal: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    first: float,
    last: float,
    flatness: float = 1.0,
) -> None:
    """Add a rod, radii first to last in pixels, height times flatness, to a height field and its normals, in place."""
    reach = max(first, last) + 1
    low = np.maximum(np.floor(np.minimum(start, end) - reach), 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(start, end) + reach), height.shape[::-1]).astype(int)
    if (high <= low).any():
        return
    window = slice(low[1], high[1]), slice(low[0], high[0])
    rows, columns = np.mgrid[window].astype(np.float32)
    along = end - start
    part = ((columns - start[0]) * along[0] + (rows - start[1]) * along[1]) / max(float(along @ along), 1e-6)
    part = np.clip(part, 0, 1)
    x, y = columns - start[0] - part * along[0], rows - start[1] - part * along[1]
    radius = first + (last - first) * part
    squared = radius * radius - x * x - y * y
    z = flatness * np.sqrt(np.maximum(squared, 0))
    higher = (squared > 0) & (z > height[window])
    height[window][higher] = z[higher]
    # the gradient of (r / radius)^2 + (z / (flatness radius))^2
    found = np.stack([x, -y, z / flatness**2], -1)[higher]
    normal[window][higher] = found / (np.linalg.norm(found, axis=1, keepdims=True) + 1e-6)


def _thing(picture: Picture, random: np.random.Generator, face: np.ndarray) -> None:
    """A phone, a cup, a microphone, a card: a rounded patch of one colour with a gradient."""
    scale = picture.px_per_m
    low, high = face.min(0), face.max(0)
    # more often over the mouth and chin than over the eyes
    centre = low + (high - low) * np.array([random.uniform(-0.1, 1.1), random.beta(2.5, 1.2) * 1.15])
    size = random.uniform(0.02, 0.055, 2) * scale
    colour = (random.uniform(0.01, 0.7) * random.uniform(0.4, 1.3, 3)).astype(np.float32)
    area = np.zeros(picture.depth_m.shape, np.uint8)
    angle = float(random.uniform(0, 180))
    if random.random() < 0.4:
        axes = (int(size[0]) + 1, int(size[1]) + 1)
        cv2.ellipse(area, (int(centre[0]), int(centre[1])), axes, angle, 0, 360, 255, -1)
    else:
        corners = cv2.boxPoints(((float(centre[0]), float(centre[1])), tuple((2 * size).tolist()), angle))
        cv2.fillPoly(area, [np.round(corners).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(area.astype(np.float32) / 255, (0, 0), 0.004 * scale)
    picture.fill(0.3 * soft * (picture.depth_m < 1e3), np.zeros(3, np.float32), hides_skin=False)
    normal = np.array([random.normal(0, 0.3), random.normal(0, 0.3), 1.0])
    lit = colour * shading((normal / np.linalg.norm(normal))[None], picture.light)[0]
    rows = np.linspace(random.uniform(0.6, 1), random.uniform(0.8, 1.3), picture.size_px, dtype=np.float32)
    pattern = random.random((random.integers(2, 12), random.integers(2, 12), 3), dtype=np.float32) * random.random()
    pattern = cv2.resize(pattern, (picture.size_px,) * 2, interpolation=cv2.INTER_NEAREST)
    picture.fill((area > 0).astype(np.float32), lit * rows[:, None, None] * (1 - 0.8 * pattern))

"""Which texels show the person's own skin: hair, glasses, hands, clothes and background are kept out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ml_backend.head.head_model import HeadModel
from ml_backend.head.triangle_geometry import triangle_areas
from ml_backend.texture import face_contours
from ml_backend.texture.log_colour import luminance
from ml_backend.texture.morphology import disc
from ml_backend.texture.photo_projection import PhotoProjection, smooth_step
from ml_backend.texture.skin_colour import SkinColour
from ml_backend.texture.texel_map import TexelMap
from ml_backend.tracking import landmark_topology as topology

# Side of the window in which the landmark outlines are drawn, pixels.
OUTLINE_IMAGE_PX = 512
# Chroma distances (standard deviations) where doubt starts and trust ends. The middle of the face is skin unless
# the colour is impossible; hair, scarves and collars reach its borders.
STRICT_CHROMA = (2.8, 4.2)
MILD_CHROMA = (6.5, 10.0)
# Darkness against the skin, in logarithms, where doubt starts and trust ends. Hair and spectacle frames reflect less
# than a third of what skin does; folds and soft shadows stay above half.
STRICT_DARKNESS = (0.40, 0.75)
MILD_DARKNESS = (1.0, 1.5)
# Darkness that no skin has, not even in folds.
BLACK = (1.8, 2.4)
# The same for brightness: white hair, collars and sky where the face ends.
STRICT_BRIGHTNESS = (0.6, 1.0)
# Brightness over the skin, in logarithms, of a rim that light from behind has whitened.
RIM_BRIGHTNESS = (0.25, 0.50)
# Thin dark lines across plain skin, in logarithms under their surroundings: hairs and spectacle frames, not folds.
LINE_DARKNESS = (0.70, 1.10)
LINE_WIDTH_M = 0.006
# The same for the frames of spectacles, on a face that wears some; frames reach this far from the lids.
FRAME_DARKNESS = (0.25, 0.45)
FRAME_REACH_M = 0.028
# A frame covers about half of the bridge; the brows' ends or a wrinkle reach less far into it.
BRIDGE_QUANTILE = 0.7
# Grey hair and frames are less red and more blue than skin by this much, in logarithms.
PALER = (0.12, 0.30)
# The same for eye white and teeth; a shiny lip stays below.
WHITE = (0.25, 0.45)
# Bare skin shows below this part of dark texels around the chin; a beard above the second.
BEARD_SHARE = (0.15, 0.45)
BEARD_DARKNESS = 0.45
# Fewer seen texels than this decide nothing.
MIN_TEXELS = 50
# Metres by which outlines grow: the tracker's lid line runs inside the lashes, the lip line on the lip's edge.
LASHES_M = 0.005
BROW_MARGIN_M = 0.0045
LIP_MARGIN_M = 0.002
CORE_M = 0.016
OPENING_MARGIN_M = 0.0010
AROUND_OPENING_M = 0.0030
# The border of what is trusted is moved inwards by this many of the photo's pixels, within these bounds, and softened.
MIXED_PX = 2.0
TRUST_EROSION_M = (0.0012, 0.0028)
HAIR_SHADOW_M = 0.003
TRUST_SOFTNESS_M = 0.0020
# log of how much darker than the skin the inside of a mouth is; lips are by 0.2 to 0.7
MOUTH_DARKNESS = (0.9, 1.3)
# gaps of trust up to twice as wide, well inside the face, are the bottom of a fold
FOLD_WIDTH_M = 0.0012


@dataclass(frozen=True)
class FaceFeatures:
    """Parts of the face on the texels, from the tracker's outlines in the photo, each (N, N) 0-1.

    Attributes:
        opening: between the lids or between the lips: no skin is seen there; around_opening: the same, grown.
        brows, eyes, lips, nostrils: where darkness belongs to the face; eyes with their lashes.
        beard: below the nose, out to the jaw.
        oval: inside the tracker's outline of the face; core: well inside, where hair seldom falls.
        bridge: of the nose, where spectacles rest; spectacles: around the eyes, as far as frames reach.
    """

    opening: np.ndarray
    around_opening: np.ndarray
    brows: np.ndarray
    eyes: np.ndarray
    lips: np.ndarray
    nostrils: np.ndarray
    beard: np.ndarray
    oval: np.ndarray
    core: np.ndarray
    bridge: np.ndarray
    spectacles: np.ndarray

    @cached_property
    def dark_by_nature(self) -> np.ndarray:
        """(N, N) 0-1: brows, lashes, lips and nostrils."""
        return np.maximum.reduce([self.brows, self.eyes, self.lips, self.nostrils])


def face_features(landmarks_px: np.ndarray, projection: PhotoProjection, px_per_m: float) -> FaceFeatures:
    """Carry the tracker's outlines onto the texels.

    Args:
        landmarks_px: (478, 2) in the photo.
        projection: of the texels into the photo.
        px_per_m: size of a metre in the photo.

    Returns:
        The features.
    """
    low, high = landmarks_px.min(axis=0), landmarks_px.max(axis=0)
    border = 0.15 * (high - low).max()
    origin, scale = low - border, OUTLINE_IMAGE_PX / float((high - low).max() + 2 * border)
    window_landmarks = (landmarks_px - origin) * scale
    where = ((projection.photo_px - origin) * scale - 0.5).astype(np.float32)

    def mask(grow_m: float, *contours: tuple[int, ...]) -> np.ndarray:
        side = OUTLINE_IMAGE_PX
        return face_contours.fill_contours(window_landmarks, contours, side, side, grow_m * px_per_m * scale)

    eyes = (topology.LEFT_EYE, topology.RIGHT_EYE)
    masks = {
        "opening": mask(OPENING_MARGIN_M, *eyes, topology.LIPS_INNER),
        "around_opening": mask(AROUND_OPENING_M, *eyes, topology.LIPS_INNER),
        "brows": mask(BROW_MARGIN_M, topology.LEFT_BROW, topology.RIGHT_BROW),
        "eyes": mask(LASHES_M, *eyes),
        "lips": mask(LIP_MARGIN_M, topology.LIPS_OUTER),
        "nostrils": mask(0.0, face_contours.NOSTRILS),
        "beard": mask(0.004, face_contours.BEARD),
        "oval": mask(-0.004, topology.FACE_OVAL),
        "core": mask(-CORE_M, topology.FACE_OVAL),
        "bridge": mask(0.0, face_contours.NOSE_BRIDGE),
        "spectacles": mask(FRAME_REACH_M, *eyes),
    }
    fields = _on_texels(masks, where)
    fields["core"] = cv2.GaussianBlur(fields["core"], (0, 0), 4.0)
    return FaceFeatures(**fields)


def _on_texels(masks: dict[str, np.ndarray], where: np.ndarray) -> dict[str, np.ndarray]:
    """Masks (h, w) looked up at the places `where` (N, N, 2); four at once, as OpenCV's channels allow."""
    names, fields = list(masks), {}
    for start in range(0, len(names), 4):
        group = names[start : start + 4]
        together = cv2.remap(
            cv2.merge([masks[name] for name in group]), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        fields |= zip(group, cv2.split(together), strict=True)
    return fields


@dataclass(frozen=True)
class Regions:
    """Regions of the head on the texels, each (N, N) 0-1, with the texel scale.

    Attributes:
        skin: texels of the skin part; scalp, ears, neck, forehead, face: the head's masks.
        texels_per_m: mean over the face.
    """

    skin: np.ndarray
    scalp: np.ndarray
    ears: np.ndarray
    neck: np.ndarray
    forehead: np.ndarray
    face: np.ndarray
    texels_per_m: float


def region_mask(head: HeadModel, name: str) -> np.ndarray:
    """(V,) float32 of a head's region; zeros where the head has no such region."""
    mask = head.masks.get(name)
    return np.zeros(head.num_vertices, np.float32) if mask is None else mask.cpu().numpy().astype(np.float32)


def regions(head: HeadModel, texels: TexelMap, vertices: np.ndarray) -> Regions:
    """Carry the head's masks onto the texels.

    Args:
        head: the head model.
        texels: the UV grid.
        vertices: (V, 3) metres, for the scale.

    Returns:
        The regions.
    """
    names = ("scalp", "ears", "neck", "forehead", "face")
    carried = texels.interpolate(np.column_stack([region_mask(head, name) for name in names]))
    triangles = head.triangles.cpu().numpy()
    on_face = region_mask(head, "face")[triangles].min(axis=1) > 0.5
    area_m2 = triangle_areas(vertices, triangles[on_face]).sum()
    uv = head.uv.cpu().numpy()[head.uv_triangles.cpu().numpy()[on_face]]
    sides_1, sides_2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area_uv = 0.5 * np.abs(sides_1[:, 0] * sides_2[:, 1] - sides_1[:, 1] * sides_2[:, 0]).sum()
    skin = (texels.part == head.part_names.index("skin")).astype(np.float32)
    fields = {name: np.clip(carried[..., k], 0.0, 1.0) for k, name in enumerate(names)}
    return Regions(skin=skin, texels_per_m=texels.size_px * float(np.sqrt(area_uv / area_m2)), **fields)


def skin_likeness(
    log_albedo: np.ndarray, skin: SkinColour, features: FaceFeatures, areas: Regions, seen: np.ndarray
) -> np.ndarray:
    """How much each texel looks like what this person's face shows there: skin, brows, lashes, lips, a beard.

    Args:
        log_albedo: (N, N, 3), light taken out.
        skin: the person's skin colour.
        features: brows, lashes, lips and beards may be dark.
        areas: the middle of the face is judged mildly, forehead, temples and ears strictly.
        seen: (N, N) 0-1, how well the photo sees each texel.

    Returns:
        (N, N) 0-1.
    """
    distance = skin.chroma_distance(log_albedo)
    darkness = skin.luminance_mean - luminance(log_albedo)
    paleness = _paleness(log_albedo, skin)
    apart = np.maximum.reduce([areas.scalp, areas.ears, areas.neck, areas.forehead])
    middle = features.oval * (1.0 - apart)
    natural = features.dark_by_nature
    beard = features.beard * beardedness(log_albedo, skin, features, seen)

    mild = 1.0 - smooth_step(distance, *MILD_CHROMA)
    # deep folds are as dark as hairs and spectacle frames, but as red as skin or redder
    off_colour = smooth_step(np.maximum(*paleness), *PALER)
    dark_lines = _dark_lines(darkness, areas.texels_per_m)
    lines = smooth_step(dark_lines, *LINE_DARKNESS) * off_colour
    frames = smooth_step(dark_lines, *FRAME_DARKNESS) * features.spectacles
    lines = np.maximum(lines, frames * _wears_spectacles(dark_lines, features, seen))
    # light from behind whitens the rim of a face
    rims = smooth_step(-darkness, *RIM_BRIGHTNESS) * off_colour * (1.0 - features.core)
    blots = smooth_step(darkness, *MILD_DARKNESS) * np.maximum(off_colour, smooth_step(darkness, *BLACK))
    bright = mild * (1.0 - lines * (1.0 - features.beard)) * (1.0 - blots) * (1.0 - rims)
    inside = np.maximum(bright, mild * np.maximum(natural, beard))
    # a shiny lip is as pale: only beside the openings does it mean eye white or teeth
    inside *= 1.0 - features.around_opening * _whiteness(paleness, darkness)
    # and what is far darker than lips is the mouth's inside, seen past the lips' corners
    inside *= 1.0 - features.lips * features.around_opening * smooth_step(darkness, *MOUTH_DARKNESS)
    strict = _strict_likeness(distance, darkness)
    return strict + (inside - strict) * np.maximum(middle, natural)


def strict_likeness(log_albedo: np.ndarray, skin: SkinColour) -> np.ndarray:
    """(N, N) 0-1: colour and brightness are those of bare skin."""
    return _strict_likeness(skin.chroma_distance(log_albedo), skin.luminance_mean - luminance(log_albedo))


def _strict_likeness(chroma_distance: np.ndarray, darkness: np.ndarray) -> np.ndarray:
    likeness = 1.0 - smooth_step(chroma_distance, *STRICT_CHROMA)
    likeness *= 1.0 - smooth_step(darkness, *STRICT_DARKNESS)
    return likeness * (1.0 - smooth_step(-darkness, *STRICT_BRIGHTNESS))


def _paleness(log_albedo: np.ndarray, skin: SkinColour) -> tuple[np.ndarray, np.ndarray]:
    """How much less red, and how much more blue than skin each texel is, in logarithms."""
    red, green, blue = (log_albedo[..., channel] for channel in range(3))
    return green - red + float(skin.chroma_mean[0]), blue - green - float(skin.chroma_mean[1])


def _whiteness(paleness: tuple[np.ndarray, np.ndarray], darkness: np.ndarray) -> np.ndarray:
    """(N, N) 0-1: eye white and teeth, bright and paler than skin; lips are redder instead."""
    return smooth_step(np.minimum(*paleness), *WHITE) * smooth_step(-darkness, -0.35, 0.0)


def _dark_lines(darkness: np.ndarray, texels_per_m: float) -> np.ndarray:
    """(N, N) how far a texel lies under the skin on both sides of it, over less than LINE_WIDTH_M."""
    small = cv2.resize(darkness.astype(np.float32), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    lines = small - cv2.morphologyEx(small, cv2.MORPH_OPEN, disc(0.25 * LINE_WIDTH_M * texels_per_m))
    # what is rejected is rejected with its blurred border
    lines = cv2.dilate(lines, np.ones((3, 3), np.uint8))
    return cv2.resize(lines, darkness.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _wears_spectacles(dark_lines: np.ndarray, features: FaceFeatures, seen: np.ndarray) -> float:
    """0-1: a dark line crosses the bridge of the nose, where bare skin has none."""
    bridge = (features.bridge > 0.5) & (seen > 0.6)
    if bridge.sum() < MIN_TEXELS:
        return 0.0
    return float(smooth_step(np.quantile(dark_lines[bridge], BRIDGE_QUANTILE), *FRAME_DARKNESS))


def beardedness(log_albedo: np.ndarray, skin: SkinColour, features: FaceFeatures, seen: np.ndarray) -> float:
    """How surely the skin around the mouth is covered by a beard.

    Args:
        log_albedo: (N, N, 3), light taken out.
        skin: the person's skin colour.
        features: say where a beard would grow.
        seen: (N, N) 0-1, how well the photo sees each texel.

    Returns:
        0-1.
    """
    around = (features.beard > 0.5) & (features.lips < 0.1) & (features.opening < 0.1) & (seen > 0.5)
    # long hair hangs over the jaw, not around the mouth
    inner = around & (features.core > 0.5)
    around = inner if inner.sum() >= MIN_TEXELS else around
    if around.sum() < MIN_TEXELS:
        return 0.0
    darkness = skin.luminance_mean - luminance(log_albedo[around])
    return float(smooth_step(np.mean(darkness > BEARD_DARKNESS), *BEARD_SHARE))


def settle_confidence(confidence: np.ndarray, features: FaceFeatures, areas: Regions, px_per_m: float) -> np.ndarray:
    """Drop islands of trust apart from the face, move the border inwards and soften it.

    Args:
        confidence: (N, N) 0-1.
        features: openings of eyes and mouth are kept out, without moving their borders: thin lips would vanish.
        areas: an island of trust must reach the face.
        px_per_m: of the photo; its pixels mix what lies on both sides of a border.

    Returns:
        (N, N) 0-1.
    """
    # the shade at the bottom of a fold is too dark for skin here and there, and would become a row of beads
    folds = features.core * (1.0 - features.around_opening)
    closed = cv2.morphologyEx(confidence, cv2.MORPH_CLOSE, disc(FOLD_WIDTH_M * areas.texels_per_m))
    confidence = confidence + folds * (closed - confidence)
    # single odd texels are noise, and erosion would make holes of them
    filled = np.maximum(cv2.medianBlur(confidence.astype(np.float32), 5), features.around_opening)
    sure = (filled > 0.35).astype(np.uint8)
    _, label = cv2.connectedComponents(sure, connectivity=4)
    kept = np.unique(label[(areas.face > 0.5) & (sure > 0)])
    connected = np.isin(label, kept[kept > 0]).astype(np.float32)
    erosion_m = np.clip(MIXED_PX / px_per_m, *TRUST_EROSION_M)
    eroded = filled * cv2.dilate(connected, np.ones((3, 3), np.uint8))
    eroded = cv2.erode(eroded, disc(float(erosion_m) * areas.texels_per_m))
    # hair throws its shadow on the forehead
    eroded = np.where(areas.forehead > 0.5, cv2.erode(eroded, disc(HAIR_SHADOW_M * areas.texels_per_m)), eroded)
    soft = cv2.GaussianBlur(eroded, (0, 0), TRUST_SOFTNESS_M * areas.texels_per_m)
    return np.minimum(soft, smooth_step(confidence, 0.0, 0.5)).astype(np.float32)

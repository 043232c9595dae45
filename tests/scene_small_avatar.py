"""A small synthetic avatar for the scene's tests: an ellipsoid with two eyes, and every array that a head has."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np

from addon.exchange.arkit import NUM_ARKIT
from addon.exchange.avatar_description import (
    FORMAT,
    PERSPECTIVE,
    SCALED_ORTHOGRAPHIC,
    SCHEMA_VERSION,
    AvatarDescription,
    CameraDescription,
    DisplacementDescription,
    HeadOrigin,
    PhotoOrigin,
    PhotoState,
    Provenance,
    Quality,
    TextureDescription,
)
from addon.exchange.avatar_package import AvatarPackage, read_package
from addon.exchange.safetensors_file import write_safetensors
from addon.exchange.typed_json import encode

# one collides with an ARKit key, one with the Basis
EXPRESSION_NAMES = ("smile_left", "jawOpen", "Basis")
EXPRESSION_LIMITS = ((0.0, 1.0), (0.0, 1.2), (-3.0, 3.0))
PHOTO_EXPRESSION = {"smile_left": 0.7, "jawOpen": 1.4, "Basis": -0.3}
PHOTO_POSE = {
    "root": (0.2, -0.5, 0.1),
    "neck": (0.1, 0.2, -0.05),
    # more than the jaw's usual 35 degrees
    "jaw": (0.7, 0.02, 0.01),
    "left_eye": (0.05, -0.2, 0.0),
    "right_eye": (0.04, -0.15, 0.02),
}
PHOTO_SIZE_PX = (96, 120)
CAMERAS = {
    "perspective": CameraDescription(
        PERSPECTIVE, PHOTO_SIZE_PX, focal_px=250.0, principal_px=(40.0, 66.0), translation_m=(0.01, -0.02, 0.8)
    ),
    "orthographic": CameraDescription(SCALED_ORTHOGRAPHIC, PHOTO_SIZE_PX, scale_px_per_m=300.0, centre_px=(52.0, 55.0)),
}
PHOTO_LIGHT = np.zeros((9, 3), np.float32)
PHOTO_LIGHT[0], PHOTO_LIGHT[1], PHOTO_LIGHT[2], PHOTO_LIGHT[3] = 2.5, 0.4, 0.8, (0.6, 0.5, 0.4)
PARENTS = (-1, 0, 1, 1, 1)


def small_head(seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of head.safetensors, with random keys, weights and jaw and neck correctives."""
    generator = np.random.default_rng(seed)
    pieces = [
        _ellipsoid((0.0, 0.0, 0.0), (0.08, 0.12, 0.09), 14, 20),
        _ellipsoid((0.03, 0.02, 0.075), (0.014, 0.014, 0.014), 4, 6),
        _ellipsoid((-0.03, 0.02, 0.075), (0.014, 0.014, 0.014), 4, 6),
    ]
    arrays = _join(pieces)
    count, skin_count = len(arrays["vertices"]), len(pieces[0]["vertices"])
    weights = generator.dirichlet(np.full(5, 0.4), count)
    weights[weights < 0.05] = 0
    weights[skin_count:] = 0
    weights[skin_count:, 3] = arrays["vertices"][skin_count:, 0] > 0
    weights[skin_count:, 4] = 1 - weights[skin_count:, 3]
    pose_basis = np.zeros((count, 3, 36))
    # neck and jaw; the entry (2,2) of the jaw does nothing
    pose_basis[:, :, :18] = generator.normal(0, 0.004, (count, 3, 18))
    pose_basis[:, :, 13] = 0
    distance = np.linalg.norm(arrays["vertices"] - [0, -0.05, 0.075], axis=1)
    random = {
        "arkit_keys": generator.normal(0, 0.003, (NUM_ARKIT, count, 3)),
        "expression_keys": generator.normal(0, 0.003, (len(EXPRESSION_NAMES), count, 3)),
        "expression_limits": np.array(EXPRESSION_LIMITS),
        "joints": np.array(
            [[0, -0.1, -0.04], [0, -0.07, -0.02], [0, -0.01, 0.01], [0.03, 0.02, 0.075], [-0.03, 0.02, 0.075]]
        ),
        "skinning_weights": weights / weights.sum(1, keepdims=True),
        "pose_basis": pose_basis,
        "mask_lips": np.clip(1 - distance / 0.04, 0, 1),
        "mask_inner_mouth": (distance < 0.05).astype(float),
    }
    result = {**arrays, **{name: value.astype(np.float32) for name, value in random.items()}}
    result["parents"] = np.array(PARENTS, np.int32)
    return result


def small_description(camera: str) -> AvatarDescription:
    """What avatar.json says of it, with one of CAMERAS."""
    return AvatarDescription(
        name="Zoë small",
        provenance=Provenance(
            "Likeness", "0.1.0", "2026-01-01T00:00:00Z",
            PhotoOrigin("photo.jpg", "0" * 64, *PHOTO_SIZE_PX, 1, 1), HeadOrigin("small", "CC0-1.0", "tests"),
        ),
        part_names=("skin", "left_eye", "right_eye"),
        expression_names=EXPRESSION_NAMES,
        camera=CAMERAS[camera],
        photo_state=PhotoState(PHOTO_EXPRESSION, PHOTO_POSE),
        displacement=DisplacementDescription(32, 1.5, 0.5),
        texture=TextureDescription(64),
        part_colours={},
        quality=Quality(2.0, "good"),
    )  # fmt: skip


def skinned(head: dict[str, np.ndarray], expression: np.ndarray, pose: dict[str, np.ndarray]) -> np.ndarray:
    """The published skinning formula (Li et al. 2017, eq. 1-3) in numpy, one joint after the other.

    Args:
        head: from `small_head`.
        expression: (E,) values of its own keys.
        pose: joint name to axis-angle.

    Returns:
        (V,3) metres, model space.
    """
    names = ("root", "neck", "jaw", "left_eye", "right_eye")
    local = [_rodrigues(np.array(pose.get(name, (0.0, 0.0, 0.0)))) for name in names]
    feature = np.concatenate([(rotation - np.eye(3)).ravel() for rotation in local[1:]])
    rest = head["vertices"] + np.tensordot(expression, head["expression_keys"], 1) + head["pose_basis"] @ feature
    result = np.zeros_like(rest)
    chains: list[np.ndarray] = []
    for index, (rotation, joint) in enumerate(zip(local, head["joints"], strict=True)):
        about_joint = np.eye(4)
        about_joint[:3, :3] = rotation
        about_joint[:3, 3] = joint - rotation @ joint
        parent = PARENTS[index]
        chains.append(about_joint if parent < 0 else chains[parent] @ about_joint)
        moved = rest @ chains[-1][:3, :3].T + chains[-1][:3, 3]
        result += head["skinning_weights"][:, index : index + 1] * moved
    return result


def _rodrigues(vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _ellipsoid(centre: tuple, radii: tuple, rings: int, segments: int) -> dict[str, np.ndarray]:
    """Quads between two fans of triangles; its UVs have a seam, so they are more than its vertices."""
    latitude = np.pi * np.arange(1, rings) / rings
    longitude = 2 * np.pi * np.arange(segments) / segments
    around = np.stack(
        [
            np.outer(np.sin(latitude), np.sin(longitude)),
            np.repeat(np.cos(latitude)[:, None], segments, 1),
            np.outer(np.sin(latitude), np.cos(longitude)),
        ],
        -1,
    ).reshape(-1, 3)
    unit = np.concatenate([[[0, 1, 0]], around, [[0, -1, 0]]])
    last = len(unit) - 1

    def vertex(ring: int, segment: int) -> int:
        return 0 if ring == 0 else last if ring == rings else 1 + (ring - 1) * segments + segment % segments

    def texel(ring: int, segment: int) -> int:
        return ring * (segments + 1) + segment

    polygons, uv_polygons = [], []
    for ring in range(rings):
        for segment in range(segments):
            corners = [(ring, segment), (ring + 1, segment), (ring + 1, segment + 1), (ring, segment + 1)]
            if ring == 0:
                corners = corners[:3]
            elif ring == rings - 1:
                corners = [corners[0], corners[1], corners[3]]
            padding = [-1] * (4 - len(corners))
            polygons.append([vertex(*corner) for corner in corners] + padding)
            uv_polygons.append([texel(*corner) for corner in corners] + padding)
    grid = np.meshgrid(np.arange(rings + 1), np.arange(segments + 1), indexing="ij")
    uv = np.stack([grid[1] / segments, 1 - grid[0] / rings], -1).reshape(-1, 2)
    return {
        "vertices": unit * radii + centre,
        "polygons": np.array(polygons),
        "uv": uv,
        "uv_polygons": np.array(uv_polygons),
    }


def _join(pieces: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One mesh of several, each a part; polygons split into triangles besides."""
    polygons = _stack_polygons([piece["polygons"] for piece in pieces], [len(piece["vertices"]) for piece in pieces])
    uv_polygons = _stack_polygons([piece["uv_polygons"] for piece in pieces], [len(piece["uv"]) for piece in pieces])
    quads = polygons[:, 3] >= 0
    return {
        "vertices": np.concatenate([piece["vertices"] for piece in pieces]).astype(np.float32),
        "polygons": polygons.astype(np.int32),
        "uv": np.concatenate([piece["uv"] for piece in pieces]).astype(np.float32),
        "uv_polygons": uv_polygons.astype(np.int32),
        "polygon_part": np.repeat(range(len(pieces)), [len(piece["polygons"]) for piece in pieces]).astype(np.int32),
        "triangles": np.concatenate([polygons[:, :3], polygons[quads][:, [0, 2, 3]]]).astype(np.int32),
        "uv_triangles": np.concatenate([uv_polygons[:, :3], uv_polygons[quads][:, [0, 2, 3]]]).astype(np.int32),
    }


def _stack_polygons(polygons: list[np.ndarray], point_counts: list[int]) -> np.ndarray:
    """Polygons of pieces whose points stand one after the other; a triangle's fourth stays -1."""
    starts = np.cumsum([0, *point_counts[:-1]])
    return np.concatenate([np.where(rows < 0, -1, rows + start) for rows, start in zip(polygons, starts, strict=True)])


def small_package(folder: Path, camera: str) -> AvatarPackage:
    """Write its package into a folder by the text of docs/architecture.md, and read it as the product does.

    Args:
        folder: made when it is not there.
        camera: one of CAMERAS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "head.safetensors", {**small_head(), "photo_vertices": photo_vertices()})
    parameters = {
        "shape": np.zeros(4, np.float32),
        "expression": np.array(list(PHOTO_EXPRESSION.values()), np.float32),
        "pose": np.array(list(PHOTO_POSE.values()), np.float32).ravel(),
        "light": PHOTO_LIGHT,
        "albedo": np.zeros(4, np.float32),
    }
    write_safetensors(folder / "parameters.safetensors", parameters)
    colours = {"photo.png": (*PHOTO_SIZE_PX, 120), "albedo.png": (64, 64, 200), "thumbnail.png": (256, 256, 90)}
    for file_name, (width, height, grey) in colours.items():
        _write_png(folder / file_name, np.full((height, width, 3), grey, np.uint8))
    _write_png(folder / "displacement.png", np.full((32, 32), 32768, ">u2"))
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
        for path in folder.iterdir()
        if path.name != "avatar.json"
    }
    document = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "files": files, **encode(small_description(camera))}
    (folder / "avatar.json").write_text(json.dumps(document), encoding="utf-8")
    return read_package(folder)


def photo_vertices() -> np.ndarray:
    """(V,3) float32 the head posed as in the photo, model space."""
    return skinned(small_head(), np.array(list(PHOTO_EXPRESSION.values())), PHOTO_POSE).astype(np.float32)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H,W) big-endian 16-bit grey or (H,W,3) 8-bit RGB, so that no test needs an image library."""
    height, width = pixels.shape[:2]
    bit_depth, colour_type = (16, 0) if pixels.ndim == 2 else (8, 2)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)

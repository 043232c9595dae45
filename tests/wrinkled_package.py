"""Wrinkle maps for the small avatar's package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from addon.exchange.avatar_description import WrinkleDescription
from addon.exchange.avatar_package import COMPRESSED_FILE, DISPLACEMENT_FILE, EXPANDED_FILE, WRINKLES_FILE
from addon.exchange.safetensors_file import write_safetensors
from addon.exchange.typed_json import encode
from tests.scene_small_avatar import small_head

# 32 texels, 2 mm from black to white, full at a tension of 0.3 and a stretch of 0.4
FLAT_MAPS = WrinkleDescription(32, 2.0, 0.5, 0.3, 0.4, 5.0, 1, 0.4)


def add_flat_maps(package: Path) -> None:
    """Give a package that `small_package` has written its flat displacement map twice more, as wrinkle maps."""
    flat = (package / DISPLACEMENT_FILE).read_bytes()
    for name in (COMPRESSED_FILE, EXPANDED_FILE):
        (package / name).write_bytes(flat)
    arrays = {
        "anchor_landmarks": np.array([1, 2], np.int32),
        "anchors": np.zeros((2, 3), np.float32),
        "line_gain": np.ones(len(small_head()["vertices"]), np.float32),
    }
    write_safetensors(package / WRINKLES_FILE, arrays)
    document = json.loads((package / "avatar.json").read_text(encoding="utf-8"))
    document["wrinkles"] = encode(FLAT_MAPS)
    for name in (COMPRESSED_FILE, EXPANDED_FILE, WRINKLES_FILE):
        content = (package / name).read_bytes()
        document["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (package / "avatar.json").write_text(json.dumps(document), encoding="utf-8")

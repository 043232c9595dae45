"""The same avatar in every supported Blender.

Set LIKENESS_BPY_PYTHONS to Python interpreters that have bpy, separated by colons, to compare them with this one's
(bpy 4.2, 4.5, 5.0 need CPython 3.11, bpy 5.2 needs 3.13); without it there is nothing to compare and the tests skip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from tests.scene_small_avatar import small_package

REPOSITORY = Path(__file__).resolve().parents[1]
PYTHONS = [python for python in os.environ.get("LIKENESS_BPY_PYTHONS", "").split(os.pathsep) if python]
TIMEOUT_S = 120

# What an artist could see of the objects, written by each version; arguments: package or .blend, report, positions.
_DESCRIBE = """
import json, sys
from pathlib import Path
import bpy, numpy as np
from addon.exchange.avatar_package import read_package
from addon.scene.blend_file import save_blend
from addon.scene.build_avatar import build_avatar
from addon.scene.scene_settings import empty_scene

source, report, positions_file = map(Path, sys.argv[1:])
if source.suffix == ".blend":
    bpy.ops.wm.open_mainfile(filepath=str(source))
else:
    empty_scene()
    build_avatar(read_package(source))
    save_blend(report.with_suffix(".blend"))
mesh_object = bpy.data.objects["Zo\\u00eb small"]
keys = mesh_object.data.shape_keys

def evaluated():
    bpy.context.view_layer.update()
    mesh = mesh_object.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    positions = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", positions.ravel())
    return positions

def value(socket):
    default = getattr(socket, "default_value", None)
    return [round(item, 6) for item in default] if hasattr(default, "__len__") else default

def sockets(node):
    names = ("Base Color", "Roughness", "Subsurface Weight", "Subsurface Radius", "Subsurface Scale",
             "Specular IOR Level", "Coat Weight", "Coat Roughness", "Scale", "Midlevel", "Color", "Strength")
    return {socket.name: [socket.is_linked, value(socket)] for socket in node.inputs if socket.name in names}

photo = evaluated()
every_key = []
free = [key for key in keys.key_blocks[1:] if not key.name.startswith("corrective_")]
for key in free:
    key.value = 0
for key in free:
    key.value = 1
    every_key.append(evaluated())
    key.value = 0
np.savez(positions_file, photo=photo, every_key=np.stack(every_key))
scene = bpy.context.scene
document = {
    "keys": [[key.name, round(key.slider_min, 6), round(key.slider_max, 6)] for key in keys.key_blocks],
    "drivers": {curve.data_path: curve.driver.expression for curve in keys.animation_data.drivers},
    "actions": sorted(action.name for action in bpy.data.actions),
    "materials": {
        material.name: [[node.bl_idname, sockets(node)] for node in material.node_tree.nodes]
        for material in mesh_object.data.materials
    },
    "displacement": [material.displacement_method for material in mesh_object.data.materials],
    "modifiers": [modifier.type for modifier in mesh_object.modifiers],
    "bones": {bone.name: [round(x, 6) for row in bone.matrix_local for x in row]
              for bone in bpy.data.armatures[0].bones},
    "camera": [round(x, 5) for row in scene.camera.matrix_world for x in row]
              + [round(getattr(scene.camera.data, name), 4) for name in ("lens", "shift_x", "shift_y")],
    "images": sorted([image.name, image.filepath, image.packed_file is not None] for image in bpy.data.images
                     if image.source == "FILE"),
    "view_transform": scene.view_settings.view_transform,
}
report.write_text(json.dumps(document, sort_keys=True), encoding="utf-8")
"""


def describe(python: str, source: Path, folder: Path, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """What one version makes of a package, or finds in a .blend."""
    report, positions = folder / f"{name}.json", folder / f"{name}.npz"
    result = subprocess.run(
        [python, "-c", _DESCRIBE, str(source), str(report), str(positions)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(report.read_text(encoding="utf-8")), dict(np.load(positions))


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[Path, dict, dict[str, np.ndarray]]:
    """Folder with `package` and `here.blend`, and what this interpreter's Blender makes of it."""
    folder = tmp_path_factory.mktemp("versions")
    small_package(folder / "package", "perspective")
    return folder, *describe(sys.executable, folder / "package", folder, "here")


def test_saved_file_opens_as_it_was_built(reference):
    folder, document, positions = reference
    reopened, reopened_positions = describe(sys.executable, folder / "here.blend", folder, "reopened")
    assert reopened == document
    for name, expected in positions.items():
        np.testing.assert_allclose(reopened_positions[name], expected, atol=1e-6)


@pytest.mark.skipif(not PYTHONS, reason="LIKENESS_BPY_PYTHONS names no other Blender")
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("source", ["package", "here.blend"])
def test_every_version_shows_the_same(reference, python, source):
    folder, document, positions = reference
    found, found_positions = describe(python, folder / source, folder, f"other{PYTHONS.index(python)}")
    assert found == document
    for name, expected in positions.items():
        np.testing.assert_allclose(found_positions[name], expected, atol=1e-5)

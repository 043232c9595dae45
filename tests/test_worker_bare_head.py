"""The head model alone as an avatar: a package without a photo, and what Blender makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addon.exchange.avatar_description import SCALED_ORTHOGRAPHIC, CameraDescription
from addon.exchange.avatar_package import ALBEDO_FILE, PHOTO_FILE, THUMBNAIL_FILE, read_package
from addon.exchange.errors import Cancelled, LikenessError, PackageError
from addon.exchange.package_checks import PackageMismatch, check_description
from ml_backend.bare_head import STAGES, BareHeadOptions, make_bare_head
from ml_backend.loaded_models import LoadedModels
from ml_backend.pipeline import Stage

OPTIONS = BareHeadOptions(texture_px=512, displacement_px=256)


@pytest.fixture(scope="module")
def models() -> LoadedModels:
    return LoadedModels()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, models: LoadedModels) -> Path:
    reports: list[tuple[Stage, float]] = []
    made = make_bare_head(
        tmp_path_factory.mktemp("out") / "head", OPTIONS, lambda *report: reports.append(report), models
    )
    assert [stage for stage, _ in reports] == [*STAGES, STAGES[-1]]
    assert reports[-1][1] == 1.0
    return made.package


def test_it_is_the_head_at_its_mean(package: Path, models: LoadedModels):
    avatar, head = read_package(package), models.head(None)
    assert np.allclose(avatar.head.vertices, head.skinned.template.numpy(), atol=1e-6)
    assert avatar.head.arkit_keys.shape == (52, head.num_vertices, 3)
    assert avatar.description.name == head.name
    assert not any(avatar.description.photo_state.expression.values())
    assert not np.any(list(avatar.description.photo_state.pose.values()))
    assert not avatar.parameters.shape.any()


def test_its_skin_is_skin_and_its_eyes_are_eyes(package: Path, models: LoadedModels):
    head = models.head(None)
    albedo = np.asarray(Image.open(package / ALBEDO_FILE)).astype(float)
    size = albedo.shape[0]

    def colour_at(part_mask: np.ndarray) -> np.ndarray:
        uv = head.uv.numpy()[part_mask]
        return albedo[((1 - uv[:, 1]) * size).astype(int).clip(0, size - 1), (uv[:, 0] * size).astype(int)]

    of_part = [
        np.isin(np.arange(len(head.uv)), head.uv_triangles[head.triangle_part == part].numpy())
        for part in range(len(head.part_names))
    ]
    red, green, blue = np.median(colour_at(of_part[head.part_names.index("skin")]), axis=0)
    assert red > green > blue > 60
    eyes = colour_at(of_part[head.part_names.index("left_eye")])
    assert eyes.min() < 40, "no pupil"
    # the upper half lies in the shade of the lid
    assert np.quantile(eyes, 0.75) > 130, "no white"


def test_its_thumbnail_shows_a_face(package: Path):
    thumbnail = np.asarray(Image.open(package / THUMBNAIL_FILE)).astype(float)
    middle, corner = thumbnail[96:160, 96:160].mean((0, 1)), thumbnail[:16, :16].mean((0, 1))
    assert middle[0] > middle[2] + 20
    assert np.ptp(corner) < 3


@pytest.mark.parametrize("stage", STAGES)
def test_cancelling_leaves_nothing(tmp_path: Path, models: LoadedModels, stage: Stage):
    def cancel(reached: Stage, _fraction: float) -> None:
        if reached is stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        make_bare_head(tmp_path / "head", OPTIONS, cancel, models)
    assert not list(tmp_path.iterdir())


def test_impossible_options():
    with pytest.raises(LikenessError, match="texture of 100"):
        BareHeadOptions(texture_px=100)


def test_photo_and_camera_belong_together(package: Path):
    description = read_package(package).description
    camera = CameraDescription(SCALED_ORTHOGRAPHIC, (10, 10), scale_px_per_m=1.0)
    with pytest.raises(PackageMismatch, match="photo"):
        check_description(replace(description, camera=camera))


def test_a_photo_cannot_be_claimed(package: Path, tmp_path: Path):
    for source in package.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    document = json.loads((tmp_path / "avatar.json").read_text(encoding="utf-8"))
    document["camera"] = {"kind": SCALED_ORTHOGRAPHIC, "image_size_px": [10, 10], "scale_px_per_m": 1.0}
    document["provenance"]["photo"] = {
        "original_name": "a.jpg", "sha256": "0", "width": 10, "height": 10, "faces_found": 1, "face_used": 1,
    }  # fmt: skip
    (tmp_path / "avatar.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(PackageError, match=PHOTO_FILE):
        read_package(tmp_path)


def test_blender_builds_it_without_camera_and_light(package: Path):
    bpy = pytest.importorskip("bpy")
    from addon.scene.build_avatar import build_avatar

    bpy.ops.wm.read_factory_settings(use_empty=True)
    avatar = build_avatar(read_package(package))
    assert avatar.photo_view is None
    assert avatar.camera is None
    assert avatar.suns == ()
    assert {found.type for found in avatar.collection.all_objects} == {"MESH", "ARMATURE"}
    assert not [image for image in bpy.data.images if "photo" in image.name]
    assert all(key.value == 0 for key in avatar.expression_keys)
    assert len(avatar.mesh.data.shape_keys.key_blocks) > 52


def test_loaded_models_are_kept_and_read_again_when_their_file_changes(tmp_path: Path):
    models = LoadedModels()
    assert models.head(None) is models.head(None)
    assert models.albedo is models.albedo
    file = tmp_path / "head.safetensors"
    file.write_bytes((Path(__file__).parents[1] / "assets" / "open_head.safetensors").read_bytes())
    first = models.head(file)
    assert models.head(file) is first
    file.write_bytes(b"damaged")
    with pytest.raises(LikenessError):
        models.head(file)

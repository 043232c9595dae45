"""A package reads back as it was written, appears whole or not at all, and is refused when damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addon.exchange.avatar_package import (
    FILES,
    HEAD_FILE,
    PARAMETERS_FILE,
    AvatarHead,
    AvatarPackage,
    AvatarParameters,
    check_target,
    read_package,
    write_package,
)
from addon.exchange.errors import PackageError
from addon.exchange.safetensors_file import read_safetensors, write_safetensors
from tests.scene_small_avatar import small_package

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("photo.png", "albedo.png", "displacement.png", "thumbnail.png")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> AvatarPackage:
    """A whole package of a small head; tests copy it before they damage it."""
    return small_package(tmp_path_factory.mktemp("package") / "whole", "orthographic")


def copy_images(source: AvatarPackage) -> Callable[[Path], None]:
    def write_images(folder: Path) -> None:
        for name in IMAGES:
            (folder / name).write_bytes((source.folder / name).read_bytes())

    return write_images


def write_again(package: AvatarPackage, target: Path) -> None:
    write_package(target, package.description, package.head, package.parameters, copy_images(package))


def arrays_of(record: AvatarHead | AvatarParameters) -> dict[str, np.ndarray]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name != "masks"}


def test_reads_back_as_written(package: AvatarPackage, tmp_path: Path):
    target = tmp_path / "new folder" / "Zoë 写真"
    write_again(package, target)
    again = read_package(target)
    assert again.description == package.description
    for name, array in arrays_of(package.head).items():
        np.testing.assert_array_equal(arrays_of(again.head)[name], array)
    for name, array in arrays_of(package.parameters).items():
        np.testing.assert_array_equal(arrays_of(again.parameters)[name], array)
    assert again.head.masks.keys() == package.head.masks.keys()
    for name, mask in package.head.masks.items():
        np.testing.assert_array_equal(again.head.masks[name], mask)
    assert sorted(path.name for path in target.iterdir()) == sorted([*FILES, "avatar.json"])
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_replaces_an_older_package(package: AvatarPackage, tmp_path: Path):
    target = tmp_path / "avatar"
    write_again(package, target)
    renamed = dataclasses.replace(package.description, name="second")
    write_package(target, renamed, package.head, package.parameters, copy_images(package))
    assert read_package(target).description.name == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["avatar"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("defect")])
def test_a_failure_leaves_the_older_package(package: AvatarPackage, tmp_path: Path, error: BaseException):
    target = tmp_path / "avatar"
    write_again(package, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def fail(folder: Path) -> None:
        (folder / "photo.png").write_bytes(b"half")
        raise error

    expected = PackageError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_package(target, package.description, package.head, package.parameters, fail)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["avatar"]


def test_what_a_reader_would_refuse_is_not_written(package: AvatarPackage, tmp_path: Path):
    colourless = dataclasses.replace(package.description, part_colours={"skin": (float("nan"), 0.0, 0.0)})
    no_head = dataclasses.replace(package.head, vertices=package.head.vertices * np.nan)
    for description, head in ((colourless, package.head), (package.description, no_head)):
        with pytest.raises(ValueError, match=r"part_colours.skin\[0\] is not a finite|vertices has values"):
            write_package(tmp_path / "avatar", description, head, package.parameters, copy_images(package))
    assert not list(tmp_path.iterdir())


def test_full_disk_leaves_nothing(package: AvatarPackage, tmp_path: Path):
    # a limit on the size of files makes the operating system itself refuse, as a full disk does
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from addon.exchange.errors import PackageError\n"
        "from addon.exchange.avatar_package import read_package\n"
        "from tests.test_avatar_package import write_again\n"
        "package = read_package(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n    write_again(package, Path(sys.argv[2]))\n"
        "except PackageError as error:\n    print(error)\n"
    )
    pytest.importorskip("resource")
    command = [sys.executable, "-c", program, str(package.folder), str(tmp_path / "avatar")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "could not be written" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


def test_other_files_are_never_replaced(tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("also work")
    for name in ("thesis", "file", "file/inside"):
        with pytest.raises(PackageError):
            check_target(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_package_with_a_file_of_the_users_is_never_replaced(package: AvatarPackage, tmp_path: Path):
    target = tmp_path / "avatar"
    write_again(package, target)
    (target / ".DS_Store").write_bytes(b"a desktop looked at it")
    check_target(target)
    (target / "notes.txt").write_text("my own")
    with pytest.raises(PackageError, match="other files"):
        write_again(package, target)
    assert (target / "notes.txt").read_text() == "my own"
    read_package(target)


def test_another_programs_avatar_json_is_never_replaced(tmp_path: Path):
    (tmp_path / "avatar.json").write_text('{"user": "me"}')
    with pytest.raises(PackageError, match="other files"):
        check_target(tmp_path)


def test_a_damaged_package_may_be_replaced(package: AvatarPackage, tmp_path: Path):
    target = tmp_path / "avatar"
    write_again(package, target)
    (target / HEAD_FILE).unlink()
    write_again(package, target)
    read_package(target)


def test_checking_a_target_makes_nothing(tmp_path: Path):
    check_target(tmp_path / "one" / "two")
    assert not list(tmp_path.iterdir())


def test_unwritable_place_is_refused():
    # nobody, root included, can make files there
    with pytest.raises(PackageError, match="could not be written"):
        check_target(Path("/proc/self/avatar"))


# --- damage ---------------------------------------------------------------------------------------------------------


def change_json(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "avatar.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Replace a file with one that its checksum fits."""
    (folder / name).write_bytes(content)
    record = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    change_json(folder, lambda document: document["files"].__setitem__(name, record))


def change_arrays(folder: Path, name: str, change: Callable[[dict], None]) -> None:
    arrays, metadata = read_safetensors(folder / name)
    change(arrays)
    write_safetensors(folder / name, arrays, metadata)
    replace_file(folder, name, (folder / name).read_bytes())


def set_value(name: str, index: tuple, value: float) -> Callable[[Path], None]:
    """Damage one number of head.safetensors."""

    def change(folder: Path) -> None:
        change_arrays(folder, HEAD_FILE, lambda arrays: arrays[name].__setitem__(index, value))

    return change


def set_json(*keys: str, value: object) -> Callable[[Path], None]:
    """Damage one value of avatar.json."""

    def change(folder: Path) -> None:
        def assign(document: dict) -> None:
            for key in keys[:-1]:
                document = document[key]
            document[keys[-1]] = value

        change_json(folder, assign)

    return change


def flip_byte(folder: Path) -> None:
    content = bytearray((folder / "albedo.png").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "albedo.png").write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "file missing": (lambda folder: (folder / "photo.png").unlink(), "photo.png is missing"),
    "one bit flipped": (flip_byte, "albedo.png was changed"),
    "cut off": (lambda folder: (folder / HEAD_FILE).write_bytes(b"x" * 100), "head.safetensors was changed"),
    "json cut off": (lambda folder: (folder / "avatar.json").write_text('{"format": "likeness'), "not readable"),
    "json not text": (lambda folder: (folder / "avatar.json").write_bytes(b"\xff\xfe"), "not readable"),
    "name missing": (lambda folder: change_json(folder, lambda document: document.pop("name")), "name is missing"),
    "name a number": (set_json("name", value=3), "name is not of type str"),
    "files a list": (set_json("files", value=[]), "files is not an object"),
    "camera unknown": (set_json("camera", "kind", value="fisheye"), "camera.kind is fisheye"),
    "camera without scale": (set_json("camera", "scale_px_per_m", value=0), "not positive"),
    "photo of another size": (set_json("camera", "image_size_px", value=[9, 9]), "photo.png is 96 x 120"),
    "pose incomplete": (set_json("photo_state", "pose", value={}), "does not name the joints"),
    "pose too short": (set_json("photo_state", "pose", "jaw", value=[0, 1]), "has 2 values, not 3"),
    "number not a number": (set_json("displacement", "scale_mm", value=float("nan")), "not a finite number"),
    "number beyond floats": (set_json("displacement", "scale_mm", value=10**400), "not a finite number"),
    "number a truth": (set_json("displacement", "scale_mm", value=True), "not of type float"),
    "size a fraction": (set_json("texture", "size_px", value=64.5), "not of type int"),
    "name a list": (set_json("name", value=["a"]), "name is not of type str"),
    "expression twice": (set_json("expression_names", value=["a", "a", "b"]), "unknown name"),
    "json a list": (lambda folder: (folder / "avatar.json").write_text("[]"), "does not describe an avatar"),
    "json endlessly deep": (lambda folder: (folder / "avatar.json").write_text("[" * 100_000), "not readable"),
    "number infinite": (set_json("displacement", "scale_mm", value=float("inf")), "not a finite number"),
    "scale zero": (set_json("displacement", "scale_mm", value=0), "not positive"),
    "texture of another size": (set_json("texture", "size_px", value=128), "albedo.png is 64 x 64"),
    "not a number": (set_value("vertices", (0, 0), np.nan), "not numbers"),
    "index beyond": (set_value("polygons", (0, 0), 9999), "polygons points beyond"),
    "index negative": (set_value("triangles", (0, 0), -1), "triangles points beyond"),
    "polygon of two corners": (set_value("polygons", (0, 2), -1), "fewer than three corners"),
    "part unknown": (set_value("polygon_part", (0,), 7), "polygon_part points beyond"),
    "weights heavy": (set_value("skinning_weights", (0, 0), 5), "do not sum to 1"),
    "limits empty": (set_value("expression_limits", (0, 0), 1), "empty range"),
    "joint tree": (set_value("parents", (2,), 0), "another tree"),
    "array missing": (
        lambda folder: change_arrays(folder, HEAD_FILE, lambda arrays: arrays.pop("uv")),
        "uv is missing",
    ),
    "array of another shape": (
        lambda folder: change_arrays(folder, HEAD_FILE, lambda arrays: arrays.update(joints=np.zeros((4, 3)))),
        "joints has the shape",
    ),
    "indices as floats": (
        lambda folder: change_arrays(
            folder, HEAD_FILE, lambda arrays: arrays.update(parents=arrays["parents"].astype(np.float32))
        ),
        "not indices",
    ),
    "light of another shape": (
        lambda folder: change_arrays(folder, PARAMETERS_FILE, lambda arrays: arrays.update(light=np.zeros((3, 3)))),
        "light has the shape",
    ),
    "texture not an image": (lambda folder: replace_file(folder, "albedo.png", b"text"), "not a PNG"),
    "displacement of 8 bits": (
        lambda folder: replace_file(folder, "displacement.png", png_header(32, 8)),
        "wrong colours or number of bits",
    ),
    "arrays not readable": (lambda folder: replace_file(folder, HEAD_FILE, b"text"), "damaged: it is too short"),
}


def png_header(side: int, bits: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + side.to_bytes(4, "big") * 2 + bytes([bits, 0, 0, 0, 0])


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_with_its_reason(tmp_path: Path, name: str):
    package = small_package(tmp_path / "avatar", "orthographic")
    damage, reason = DAMAGE[name]
    damage(package.folder)
    with pytest.raises(PackageError) as refusal:
        read_package(package.folder)
    assert reason in refusal.value.message
    assert refusal.value.hint


@pytest.mark.parametrize("name", [*FILES, "avatar.json"])
@pytest.mark.parametrize("damage", ["removed", "cut in half", "one bit flipped", "emptied", "a folder"])
def test_damage_of_every_file_is_noticed(package: AvatarPackage, tmp_path: Path, name: str, damage: str):
    folder = tmp_path / "avatar"
    write_again(package, folder)
    content = bytearray((folder / name).read_bytes())
    (folder / name).unlink()
    if damage == "cut in half":
        (folder / name).write_bytes(content[: len(content) // 2])
    elif damage == "one bit flipped":
        # in the description: within the word "format"
        content[5 if name == "avatar.json" else len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
    elif damage == "emptied":
        (folder / name).touch()
    elif damage == "a folder":
        (folder / name).mkdir()
    with pytest.raises(PackageError) as refusal:
        read_package(folder)
    assert refusal.value.message.endswith(".")
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("name", "mode"), [("albedo.png", "RGB"), ("albedo.png", "RGBA"), ("displacement.png", "I;16")]
)
def test_an_image_that_an_artist_painted_on_is_read(package: AvatarPackage, tmp_path: Path, name: str, mode: str):
    folder = tmp_path / "avatar"
    write_again(package, folder)
    with Image.open(folder / name) as image:
        size = image.size
    Image.new(mode, size, 7 if mode == "I;16" else "teal").save(folder / name)
    assert read_package(folder).description == package.description


def test_a_painted_image_that_was_cut_off_or_belongs_to_the_program_is_refused(package: AvatarPackage, tmp_path: Path):
    folder = tmp_path / "avatar"
    write_again(package, folder)
    for name in ("albedo.png", "thumbnail.png"):
        whole = (folder / name).read_bytes()
        with Image.open(folder / name) as image:
            Image.new("RGB", image.size, "teal").save(folder / name)
        if name == "albedo.png":
            (folder / name).write_bytes((folder / name).read_bytes()[:-4])
        with pytest.raises(PackageError, match=f"{name} was changed"):
            read_package(folder)
        (folder / name).write_bytes(whole)


def test_other_folders_are_not_packages(tmp_path: Path):
    with pytest.raises(PackageError) as refusal:
        read_package(tmp_path)
    assert refusal.value.code == "not_a_package"


@pytest.mark.parametrize("version", [2, 0, "1", None, 1.5])
def test_another_version_is_named_as_such(tmp_path: Path, version: object):
    package = small_package(tmp_path / "avatar", "orthographic")
    set_json("schema_version", value=version)(package.folder)
    with pytest.raises(PackageError) as refusal:
        read_package(package.folder)
    assert refusal.value.code == "package_version"


def test_unknown_fields_are_for_newer_programs(tmp_path: Path):
    package = small_package(tmp_path / "avatar", "orthographic")
    set_json("quality", "stars", value=5)(package.folder)
    assert read_package(package.folder).description == package.description

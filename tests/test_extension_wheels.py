"""The wheels of the self-contained zips: chosen for the target, complete for it, and listed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

pytest.importorskip("packaging", reason="only where zips are built (requirements-test.txt)")

from assets.recipes.extension import wheel_resolver, wheels
from assets.recipes.extension.__main__ import read_requirements
from assets.recipes.extension.targets import PLATFORMS, Target
from assets.recipes.extension.wheel_resolver import Candidate, resolve
from assets.recipes.extension.wheels import Wheel
from assets.recipes.refusal import Refusal

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = Target(PLATFORMS["windows-x64"], "3.11")
MACOS = Target(PLATFORMS["macos-arm64"], "3.11")
LINUX = Target(PLATFORMS["linux-x64"], "3.11")
LINUX_NEW = Target(PLATFORMS["linux-x64"], "3.13")


class Registry:
    """Stands for pip: answers with the newest listed version, and notes what it was asked."""

    def __init__(self, packages: dict[str, dict[str, tuple[str, ...]]]) -> None:
        self.packages, self.asked = packages, []

    def ask(self, wanted, target, torch_index):
        self.asked.append((sorted(wanted), torch_index))
        found = {}
        for name, specifier in wanted.items():
            fitting = [version for version in self.packages.get(name, {}) if version in specifier]
            if not fitting:
                raise Refusal(f"pip finds no wheels for {target.name}: {name}{specifier}")
            requires = self.packages[name][fitting[-1]]
            found[name] = Candidate(name, fitting[-1], requires, f"https://files.example/{name}.whl", None)
        return found


@pytest.fixture
def registry(monkeypatch):
    def make(packages):
        made = Registry(packages)
        monkeypatch.setattr(wheel_resolver, "_ask_pip", made.ask)
        return made

    return make


def versions(candidates: list[Candidate]) -> dict[str, str]:
    return {candidate.name: candidate.version for candidate in candidates}


# --- which wheels ---------------------------------------------------------------------------------------------------


def test_markers_are_read_for_the_target(registry):
    registry({
        "torch": {"2": ('cuda; platform_system == "Linux"', 'tool; sys_platform == "win32"', "plain")},
        "cuda": {"13": ()}, "tool": {"1": ()}, "plain": {"1": ()},
    })  # fmt: skip
    assert versions(resolve(["torch"], LINUX)) == {"torch": "2", "cuda": "13", "plain": "1"}
    assert versions(resolve(["torch"], WINDOWS)) == {"torch": "2", "tool": "1", "plain": "1"}
    assert versions(resolve(["torch"], MACOS)) == {"torch": "2", "plain": "1"}


def test_python_versions_differ(registry):
    registry({"one": {"1": ('backport; python_version < "3.12"',)}, "backport": {"1": ()}})
    assert versions(resolve(["one"], LINUX)) == {"one": "1", "backport": "1"}
    assert versions(resolve(["one"], LINUX_NEW)) == {"one": "1"}


def test_a_later_requirement_takes_an_older_wheel_and_forgets_what_only_the_newer_needed(registry):
    # `shared` is chosen before what `late` brings is known
    registry({
        "one": {"1": ("shared",)}, "late": {"1": ("two",)}, "two": {"1": ("shared<2",)},
        "shared": {"1.5": (), "2.0": ("only-for-two",)}, "only-for-two": {"1": ()},
    })  # fmt: skip
    assert versions(resolve(["one", "late"], LINUX)) == {"one": "1", "late": "1", "two": "1", "shared": "1.5"}


def test_extras_bring_their_requirements(registry):
    registry({
        "torch": {"2": ("toolkit[fft,blas]==13", "late")}, "late": {"1": ("toolkit[solver]",)},
        "toolkit": {"13": ("blas; extra == 'blas'", "fft; extra == 'fft'", "solver; extra == 'solver'",
                           "unused; extra == 'all'")},
        "blas": {"1": ()}, "fft": {"1": ()}, "solver": {"1": ()},
    })  # fmt: skip
    assert set(versions(resolve(["torch"], LINUX))) == {"torch", "late", "toolkit", "blas", "fft", "solver"}


def test_numpy_is_blenders(registry):
    found = registry({"scipy": {"1.15.3": ("numpy<2.5,>=1.23.5",), "1.17.1": ("numpy>=1.26.4",)}})
    assert versions(resolve(["numpy>=1.24", "scipy"], LINUX)) == {"scipy": "1.15.3"}
    assert not any("numpy" in names for names, _index in found.asked)


def test_a_narrowed_package_that_only_a_wheel_asks_for(registry):
    registry({"one": {"1": ("scipy<1.16",)}, "scipy": {"1.15.3": (), "1.17.1": ()}})
    assert versions(resolve(["one"], LINUX)) == {"one": "1", "scipy": "1.15.3"}


def test_a_wheel_that_blenders_numpy_does_not_suit_is_refused(registry):
    registry({"one": {"1": ("numpy>=1.25",)}})
    with pytest.raises(Refusal, match=r"numpy>=1\.25 is required for linux-x64 with Python 3\.11, but Blender brings"):
        resolve(["one"], LINUX)


def test_contradiction_and_missing_package_are_refused(registry):
    registry({"one": {"1": ("two<2",)}, "two": {"3": ()}})
    with pytest.raises(Refusal, match="pip finds no wheels for linux-x64"):
        resolve(["one", "two>2"], LINUX)


def test_only_torch_comes_from_the_given_index():
    groups = list(wheel_resolver.by_index(["scipy", "torch", "pillow"], "https://one.example/cpu"))
    assert groups == [(["torch"], ["--index-url", "https://one.example/cpu"]), (["pillow", "scipy"], [])]
    assert list(wheel_resolver.by_index(["torch", "pillow"], None)) == [(["pillow", "torch"], [])]


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("one-1-py3-none-any.whl", {WINDOWS, MACOS, LINUX, LINUX_NEW}),
        ("one-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", {LINUX}),
        ("one-1-cp310-abi3-manylinux_2_28_x86_64.whl", {LINUX, LINUX_NEW}),
        ("one-1-cp313-cp313-manylinux_2_28_x86_64.whl", {LINUX_NEW}),
        ("one-1-cp313-cp313t-manylinux_2_28_x86_64.whl", set()),
        ("one-1-cp311-cp311-manylinux_2_34_x86_64.whl", set()),
        ("one-1-cp311-cp311-musllinux_1_2_x86_64.whl", set()),
        ("one-1-cp311-cp311-manylinux_2_28_aarch64.whl", set()),
        ("one-1-cp311-cp311-win_amd64.whl", {WINDOWS}),
        ("one-1-cp311-cp311-win32.whl", set()),
        ("one-1-cp311-cp311-macosx_14_0_arm64.whl", {MACOS}),
        ("one-1-cp311-cp311-macosx_10_9_universal2.whl", {MACOS}),
        ("one-1-cp311-cp311-macosx_15_0_arm64.whl", set()),
        ("one-1-cp311-cp311-macosx_11_0_x86_64.whl", set()),
    ],
)
def test_which_wheels_fit_where(file, fits):
    tags = wheels.parse_wheel_filename(file)[3]
    assert {target for target in (WINDOWS, MACOS, LINUX, LINUX_NEW) if tags & target.tags} == fits


# --- complete -------------------------------------------------------------------------------------------------------


def wheel(file: str, *requires: str, pythons: tuple[str, ...] = ("3.11",)) -> Wheel:
    name, version = file.split("-")[:2]
    return Wheel(file, name, version, "MIT", "0" * 64, 10, "Python Package Index", pythons, requires)


ONE = wheel("one-1-py3-none-any.whl", "two[fast]>=2")
TWO = wheel("two-2-cp311-cp311-manylinux_2_28_x86_64.whl", "numpy", "three; extra == 'fast'")
THREE = wheel("three-3-cp310-abi3-manylinux2014_x86_64.whl")


def test_a_complete_set_passes():
    wheels.check_complete([ONE, TWO, THREE], ["one", "numpy"], LINUX)


@pytest.mark.parametrize(
    ("found", "target", "words"),
    [
        ([ONE, TWO], LINUX, "three; .* is not satisfied .*: no wheel"),
        ([ONE, TWO, THREE], WINDOWS, r"two\[fast\]>=2 is not satisfied for windows-x64 with Python 3.11: no wheel"),
        ([ONE, TWO, THREE], LINUX_NEW, "for linux-x64 with Python 3.13: no wheel"),
        ([ONE, wheel("two-1-py3-none-any.whl"), THREE], LINUX, r"two\[fast\]>=2 is not satisfied .*: 1"),
        ([ONE, TWO, wheel("two-2.1-py3-none-any.whl"), THREE], LINUX, "two would be there more than once"),
        ([wheel("one-1-py3-none-any.whl", "numpy>=2")], LINUX, r"numpy>=2 is not satisfied .*: 1\.24\.3, 1\.26\.4"),
    ],
)
def test_what_is_missing_is_named(found, target, words):
    with pytest.raises(Refusal, match=words):
        wheels.check_complete(found, ["one"], target)


def test_one_file_for_several_pythons_is_listed_once():
    both = wheels.merge([THREE, wheel(THREE.file, pythons=("3.13",)), ONE])
    assert [(one.file, one.pythons) for one in both] == [(ONE.file, ("3.11",)), (THREE.file, ("3.11", "3.13"))]


# --- described ------------------------------------------------------------------------------------------------------


def write_wheel(folder: Path, file: str, metadata: str) -> Path:
    name, version = file.split("-")[:2]
    with zipfile.ZipFile(folder / file, "w") as archive:
        archive.writestr(f"{name}/vendored-1.dist-info/METADATA", "Name: vendored\n")
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n{metadata}\n")
    return folder / file


def test_a_wheel_is_described_by_its_own_metadata(monkeypatch, tmp_path):
    file = "one-1-cp311-cp311-manylinux_2_28_x86_64.whl"
    write_wheel(tmp_path, "one-1-cp311-cp311-win_amd64.whl", "License: another")
    path = write_wheel(tmp_path, file, "License-Expression: MIT\nRequires-Dist: two")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_args, **_kwargs: type("Done", (), {"returncode": 0}))
    candidate = Candidate("one", "1", ("two",), "https://files.pythonhosted.org/packages/one.whl", sha256)
    [described] = wheels.download([candidate], LINUX, tmp_path, None)
    assert described == Wheel(
        file, "one", "1", "MIT", sha256, path.stat().st_size, "Python Package Index", ("3.11",), ("two",)
    )
    document = json.loads(wheels.wheels_json([described], [LINUX]))
    assert document["wheels"][0]["sha256"] == sha256
    assert document["brought_by_blender"] == {"3.11": {"numpy": ["1.24.3", "1.26.4"]}}
    text = wheels.wheels_text([described]).decode()
    assert all(words in text for words in (file, sha256, "MIT", "Python Package Index"))


def test_another_file_than_the_index_promised_is_refused(monkeypatch, tmp_path):
    write_wheel(tmp_path, "one-1-py3-none-any.whl", "")
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_args, **_kwargs: type("Done", (), {"returncode": 0}))
    candidate = Candidate("one", "1", (), "https://files.pythonhosted.org/packages/one.whl", "0" * 64)
    with pytest.raises(Refusal, match="is not the file that its index promises"):
        wheels.download([candidate], LINUX, tmp_path, None)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("License-Expression: BSD-3-Clause\nLicense: other", "BSD-3-Clause"),
        ("License: Apache 2.0\nClassifier: License :: OSI Approved :: Apache Software License", "Apache 2.0"),
        ("License: Copyright\n        all of it\nClassifier: License :: OSI Approved :: BSD License", "BSD License"),
        ("Classifier: License :: OSI Approved :: MIT License\nClassifier: Topic :: Maths", "MIT License"),
        ("License: The text\n        and more", "The text"),
        ("Summary: nothing said", "not stated"),
    ],
)
def test_licences_are_named(metadata, words):
    assert wheels.licence(HeaderParser().parsestr(metadata)) == words


# --- the requirements -----------------------------------------------------------------------------------------------


def test_runtime_requirements_leave_blender_and_the_tests_out():
    names = [wheel_resolver.Requirement(text).name for text in read_requirements(ROOT / "requirements.txt")]
    assert sorted(names) == ["numpy", "opencv-python-headless", "pillow", "safetensors", "scipy", "torch"]
    blender = read_requirements(ROOT / "requirements-blender.txt")
    assert any(text.startswith("bpy==") for text in blender)


@pytest.mark.parametrize("target", [WINDOWS, LINUX_NEW], ids=lambda target: target.python)
def test_blenders_numpy_satisfies_our_requirement(target):
    [ours] = [text for text in read_requirements(ROOT / "requirements.txt") if text.startswith("numpy")]
    specifier = wheel_resolver.Requirement(ours).specifier
    assert all(version in specifier for version in target.brought_by_blender["numpy"])

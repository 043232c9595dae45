"""Builds the extension: `python -m assets.recipes.extension --out DIR [--platform NAME ...] [--check]`.

`build.py extension` calls this. The small zip needs the standard library only; wheels need `packaging` and pip.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from assets.recipes.extension.contents import ROOT, extension_files
from assets.recipes.extension.manifest import manifest_text, read_version
from assets.recipes.extension.options import add_options
from assets.recipes.extension.zip_file import write_zip
from assets.recipes.refusal import Refusal

MANIFEST = "blender_manifest.toml"
REFUSED = 2


def main(argv: list[str]) -> int:
    """Build the zips that are asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build.py extension")
    add_options(parser, ROOT / "dist")
    arguments = parser.parse_args(argv)
    try:
        small = build_small(arguments.out)
        for platform in dict.fromkeys(arguments.platform):
            build_self_contained(arguments.out, platform, arguments.python.split(","), arguments.index_url)
        return _check(small) if arguments.check else 0
    except Refusal as refusal:
        print(f"likeness: {refusal}", file=sys.stderr)
        return REFUSED


def build_small(folder: Path) -> Path:
    """Write the zip without wheels, whose backend environment the user chooses or makes.

    Raises:
        Refusal: the repository holds what no extension has.
    """
    path = folder / f"likeness-{read_version()}.zip"
    write_zip(path, {**extension_files(), MANIFEST: manifest_text().encode()})
    _tell(path)
    return path


def build_self_contained(folder: Path, platform_name: str, pythons: list[str], torch_index: str | None) -> Path:
    """Write the zip that brings every dependency for one platform.

    Args:
        pythons: versions of Python whose wheels lie side by side.
        torch_index: address of the index that torch is taken from; None = pip's own configuration.

    Raises:
        Refusal: there are no such wheels.
    """
    # these need `packaging`, which the small zip does not
    from assets.recipes.extension import wheels as bundled
    from assets.recipes.extension.targets import BLENDER_NUMPY, PLATFORMS, Target
    from assets.recipes.extension.wheel_resolver import resolve

    if platform_name not in PLATFORMS:
        raise Refusal(f"there is no platform {platform_name}; choose from {', '.join(PLATFORMS)}.")
    if unknown := [python for python in pythons if python not in BLENDER_NUMPY]:
        raise Refusal(f"no Blender brings Python {unknown[0]}; choose from {', '.join(BLENDER_NUMPY)}.")
    targets = [Target(PLATFORMS[platform_name], python) for python in dict.fromkeys(pythons)]
    requirements = read_requirements(ROOT / "requirements.txt")
    with tempfile.TemporaryDirectory(dir=_wheel_cache()) as temporary:
        found = []
        for target in targets:
            print(f"Finding the wheels for {target.name} ...", flush=True)
            candidates = resolve(requirements, target, torch_index)
            found += bundled.download(candidates, target, Path(temporary), torch_index)
        wheels = bundled.merge(found)
        for target in targets:
            bundled.check_complete(wheels, requirements, target)
        content = {f"{bundled.FOLDER}/{wheel.file}": Path(temporary) / wheel.file for wheel in wheels}
        # Blender's names of platforms in file names have no hyphen
        path = folder / f"likeness-{read_version()}-{platform_name.replace('-', '_')}.zip"
        lists = {
            f"{bundled.FOLDER}/WHEELS.json": bundled.wheels_json(wheels, targets),
            f"{bundled.FOLDER}/WHEELS.txt": bundled.wheels_text(wheels),
            MANIFEST: manifest_text(platform_name, list(content)).encode(),
        }
        write_zip(path, {**extension_files(), **content, **lists})
    _tell(path)
    return path


def read_requirements(file: Path) -> list[str]:
    """The requirements of a file, without comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _wheel_cache() -> Path:
    # several gigabytes with CUDA, which may be more than the system's temporary folder holds
    folder = ROOT / ".cache" / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check(small: Path) -> int:
    from assets.recipes.extension.installed_check import check_installed

    return check_installed(small)


def _tell(path: Path) -> None:
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

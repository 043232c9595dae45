"""The bundled wheels: downloaded, described, and checked to be all that each target needs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name, parse_wheel_filename

from assets.recipes.extension.targets import Target
from assets.recipes.extension.wheel_resolver import Candidate, applying, by_index, last_error
from assets.recipes.refusal import Refusal
from assets.recipes.sources import clean_environment

FOLDER = "wheels"
PYPI_HOSTS = {"files.pythonhosted.org", "pypi.org"}
# of characters; a longer licence field is a text, not a name
MAX_LICENCE = 100


@dataclass(frozen=True)
class Wheel:
    """A wheel as the zip's list tells of it.

    Attributes:
        name: as the project writes it.
        licence: as the wheel's own metadata says.
        source: where it was taken from.
        pythons: versions of Python that it is there for.
        requires: its requirements, markers unread.
    """

    file: str
    name: str
    version: str
    licence: str
    sha256: str
    bytes: int
    source: str
    pythons: tuple[str, ...]
    requires: tuple[str, ...]


def download(candidates: list[Candidate], target: Target, folder: Path, torch_index: str | None) -> list[Wheel]:
    """Fetch the wheels, unmodified, and read what they say of themselves.

    Raises:
        Refusal: one cannot be had, or is not the file that its index promised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {candidate.name: candidate for candidate in candidates}
    wheels = []
    for names, options in by_index(by_name, torch_index):
        pins = [f"{name}=={by_name[name].version}" for name in names]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        command += [*options, *target.pip_options, *pins]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
        if done.returncode:
            raise Refusal(f"the wheels for {target.name} could not be downloaded: {last_error(done.stderr)}")
        wheels += [_describe(_find(folder, by_name[name], target), by_name[name], target) for name in names]
    return wheels


def _find(folder: Path, candidate: Candidate, target: Target) -> Path:
    """The file of one candidate; other targets' wheels of the same version may lie beside it."""
    for path in sorted(folder.glob("*.whl")):
        name, version, _build, tags = parse_wheel_filename(path.name)
        if (name, str(version)) == (candidate.name, candidate.version) and tags & target.tags:
            return path
    raise Refusal(f"pip brought no wheel of {candidate.name} {candidate.version} that fits {target.name}.")


def _describe(path: Path, candidate: Candidate, target: Target) -> Wheel:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if candidate.sha256 not in (None, sha256):
        raise Refusal(f"{path.name} is not the file that its index promises; delete {path} and run this again.")
    metadata = read_metadata(path)
    return Wheel(
        path.name,
        metadata["Name"],
        metadata["Version"],
        licence(metadata),
        sha256,
        path.stat().st_size,
        _source(candidate.url),
        (target.python,),
        tuple(metadata.get_all("Requires-Dist", ())),
    )


def read_metadata(wheel: Path) -> Message:
    """The core metadata inside a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode("utf-8"))


def licence(metadata: Message) -> str:
    """What a wheel says of its licence: the field where it is a name, else the classifiers, else the field's start."""
    field = (metadata["License-Expression"] or metadata["License"] or "").strip()
    # some put the copyright notice or the whole text where the name belongs
    if field and "\n" not in field and len(field) <= MAX_LICENCE:
        return field
    classifiers = [text for text in metadata.get_all("Classifier", ()) if text.startswith("License ::")]
    if classifiers:
        return ", ".join(text.split(" :: ")[-1] for text in classifiers)
    return field.splitlines()[0][:MAX_LICENCE] if field else "not stated"


def _source(url: str) -> str:
    parts = urlsplit(url)
    if parts.hostname in PYPI_HOSTS:
        return "Python Package Index"
    return parts.hostname or "a local folder named in pip's configuration"


def merge(wheels: Iterable[Wheel]) -> list[Wheel]:
    """One entry for each file, with all the Pythons it is there for.

    Raises:
        Refusal: two versions of a wheel fit the same Python, of which Blender would install only the newer.
    """
    by_file: dict[str, Wheel] = {}
    for wheel in wheels:
        known = by_file.get(wheel.file)
        pythons = sorted({*wheel.pythons, *(known.pythons if known else ())})
        by_file[wheel.file] = replace(wheel, pythons=tuple(pythons))
    return [by_file[file] for file in sorted(by_file, key=str.lower)]


def check_complete(wheels: list[Wheel], requirements: list[str], target: Target) -> None:
    """Make certain that a target finds every requirement, and every requirement of those, exactly once.

    Raises:
        Refusal: a wheel is missing, is too old or too new, or lies there twice.
    """
    fitting: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        if parse_wheel_filename(wheel.file)[3] & target.tags:
            fitting.setdefault(canonicalize_name(wheel.name), []).append(wheel)
    twice = [name for name, found in fitting.items() if len(found) > 1]
    if twice:
        raise Refusal(f"{', '.join(twice)} would be there more than once for {target.name}; build its Pythons apart.")
    seen: set[str] = set()
    queue = list(applying(requirements, target))
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        versions = target.brought_by_blender.get(name) or [wheel.version for wheel in fitting.get(name, ())]
        if not versions or any(version not in requirement.specifier for version in versions):
            raise Refusal(f"{requirement} is not satisfied for {target.name}: {', '.join(versions) or 'no wheel'}.")
        if name in fitting and str(requirement) not in seen:
            queue += applying(fitting[name][0].requires, target, requirement.extras)
        seen.add(str(requirement))


def wheels_json(wheels: list[Wheel], targets: list[Target]) -> bytes:
    """The machine-readable list, `wheels/WHEELS.json`."""
    entries = [{key: value for key, value in asdict(wheel).items() if key != "requires"} for wheel in wheels]
    document = {
        "format": "likeness-wheels-1",
        "platform": targets[0].platform.name,
        "pythons": [target.python for target in targets],
        "brought_by_blender": {target.python: target.brought_by_blender for target in targets},
        "wheels": entries,
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def wheels_text(wheels: list[Wheel]) -> bytes:
    """The same for people, `wheels/WHEELS.txt`."""
    lines = [
        "The packages that Likeness brings for its worker process, as their authors published them.",
        "Each wheel holds its licence's text. numpy is not among them: Blender brings it.",
    ]
    for wheel in wheels:
        lines += [
            "",
            f"{wheel.name} {wheel.version}",
            f"    licence  {wheel.licence}",
            f"    for      Python {', '.join(wheel.pythons)}",
            f"    source   {wheel.source}",
            f"    file     {wheel.file}",
            f"    SHA-256  {wheel.sha256}",
        ]
    return ("\n".join(lines) + "\n").encode()

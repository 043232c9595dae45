"""Which wheels a target needs: pip names candidates, requirement by requirement; this module follows what they require.

pip can choose wheels for another platform, but it reads environment markers ("only on Linux") for the machine it runs
on. So it is asked without dependencies, and the markers are read here, for the target.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from assets.recipes.extension.targets import Target
from assets.recipes.refusal import Refusal
from assets.recipes.sources import clean_environment

# scipy 1.16 asks for numpy 1.25.2, Blender 4.2 brings 1.24.3
NARROWED = ("scipy<1.16",)
# torch needs four rounds today; a circle of ever narrower versions must end too
MAX_ROUNDS = 20


@dataclass(frozen=True)
class Candidate:
    """A wheel that pip would install.

    Attributes:
        name: canonical.
        requires: its requirements, markers unread.
        url: where pip found it.
        sha256: as its index says; None where it does not.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    url: str
    sha256: str | None


@dataclass
class _Wanted:
    """All that is asked of one package so far."""

    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    extras: set[str] = field(default_factory=set)


def applying(requirements: Iterable[str], target: Target, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """Those requirements whose markers hold on the target, with one of the extras or without."""
    for text in requirements:
        requirement = Requirement(text)
        environments = [target.marker_environment | {"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield requirement


def resolve(requirements: list[str], target: Target, torch_index: str | None = None) -> list[Candidate]:
    """Find the newest wheels that satisfy the requirements and each other.

    Args:
        requirements: lines of a requirements file.
        torch_index: address of the index that torch is taken from; None = pip's own configuration.

    Returns:
        One candidate for each package that Blender does not bring, by name.

    Raises:
        Refusal: there is no such wheel, or the requirements contradict each other or Blender's own packages.
    """
    wanted = {canonicalize_name(Requirement(text).name): _Wanted(Requirement(text).specifier) for text in NARROWED}
    chosen: dict[str, Candidate] = {}
    pending = list(applying(requirements, target))
    for _ in range(MAX_ROUNDS):
        asked = _take_in(pending, wanted, target)
        missing = {name for name in asked if name not in chosen or chosen[name].version not in wanted[name].specifier}
        found = _ask_pip({name: wanted[name].specifier for name in missing}, target, torch_index)
        chosen |= found
        # a package asked for with a further extra has further requirements, though its wheel stays
        pending = [
            requirement
            for name in asked
            for requirement in applying(chosen[name].requires, target, wanted[name].extras)
            if _is_news(requirement, wanted, chosen, target)
        ]
        if not pending:
            return [chosen[name] for name in sorted(closure(requirements, chosen, target))]
    raise Refusal(f"the requirements for {target.name} could not be brought together in {MAX_ROUNDS} rounds.")


def closure(requirements: list[str], chosen: dict[str, Candidate], target: Target) -> set[str]:
    """Names of the chosen packages that the requirements lead to; a choice that was replaced may have left others."""
    reached: dict[str, set[str]] = {}
    queue = list(applying(requirements, target))
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in target.brought_by_blender or (name in reached and requirement.extras <= reached[name]):
            continue
        reached[name] = reached.get(name, set()) | requirement.extras
        queue += applying(chosen[name].requires, target, reached[name])
    return set(reached)


def _take_in(pending: list[Requirement], wanted: dict[str, _Wanted], target: Target) -> list[str]:
    """Add requirements to what is wanted; returns the packages concerned, once each, in order."""
    asked: dict[str, None] = {}
    for requirement in pending:
        name = canonicalize_name(requirement.name)
        if name in target.brought_by_blender:
            _check_blender_has(requirement, target.brought_by_blender[name], target)
            continue
        entry = wanted.setdefault(name, _Wanted())
        entry.specifier &= requirement.specifier
        entry.extras |= requirement.extras
        asked[name] = None
    return list(asked)


def _is_news(
    requirement: Requirement, wanted: dict[str, _Wanted], chosen: dict[str, Candidate], target: Target
) -> bool:
    """Whether a requirement asks for a package, a version or an extra that nothing has asked for yet."""
    name = canonicalize_name(requirement.name)
    if name in target.brought_by_blender:
        _check_blender_has(requirement, target.brought_by_blender[name], target)
        return False
    if name not in chosen:
        return True
    entry = wanted[name]
    return entry.specifier & requirement.specifier != entry.specifier or not requirement.extras <= entry.extras


def _check_blender_has(requirement: Requirement, versions: tuple[str, ...], target: Target) -> None:
    refused = [version for version in versions if version not in requirement.specifier]
    if refused:
        raise Refusal(
            f"{requirement} is required for {target.name}, but Blender brings {requirement.name} {refused[0]}; "
            "narrow the package that asks for it."
        )


def _ask_pip(wanted: dict[str, SpecifierSet], target: Target, torch_index: str | None) -> dict[str, Candidate]:
    """The newest wheel for each package alone, without its dependencies."""
    found: dict[str, Candidate] = {}
    for names, options in by_index(wanted, torch_index):
        texts = [f"{name}{wanted[name]}" for name in names]
        report = _run_pip_report([*options, *target.pip_options, *texts], target)
        found |= {candidate.name: candidate for candidate in map(_candidate, report["install"])}
    return found


def by_index(wanted: Iterable[str], torch_index: str | None) -> Iterator[tuple[list[str], list[str]]]:
    """(packages, pip's options) for each index that has to be asked."""
    from_index = [name for name in sorted(wanted) if torch_index and name == "torch"]
    if from_index:
        yield from_index, ["--index-url", torch_index]
    if others := [name for name in sorted(wanted) if name not in from_index]:
        yield others, []


def _run_pip_report(options: list[str], target: Target) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # a target folder is what pip wants when it chooses for another platform; a dry run leaves it alone
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed",
                   "--report", str(report), "--target", str(Path(folder) / "never"), *options]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
        if done.returncode:
            raise Refusal(f"pip finds no wheels for {target.name}: {last_error(done.stderr)}")
        return json.loads(report.read_text(encoding="utf-8"))


def last_error(text: str) -> str:
    """The last line of pip's that says what is wrong."""
    lines = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR")]
    return lines[-1] if lines else "it ended without a reason"


def _candidate(item: dict) -> Candidate:
    metadata, download = item["metadata"], item["download_info"]
    hashes = download.get("archive_info", {}).get("hashes", {})
    return Candidate(
        canonicalize_name(metadata["name"]),
        metadata["version"],
        tuple(metadata.get("requires_dist", ())),
        download["url"],
        hashes.get("sha256"),
    )

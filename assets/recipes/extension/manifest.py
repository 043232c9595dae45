"""The manifest of a zip: the repository's, with the version, the platform and the wheels put in."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "blender_manifest.toml"
CONVENTIONS = ROOT / "addon" / "exchange" / "conventions.py"


def read_version(conventions: Path = CONVENTIONS) -> str:
    """The product's version, read without importing anything (the module needs numpy).

    Raises:
        ValueError: the file assigns no version.
    """
    for node in ast.parse(conventions.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(name, "id", None) == "VERSION" for name in node.targets):
            return ast.literal_eval(node.value)
    raise ValueError(f"{conventions} assigns no VERSION")


def manifest_text(platform: str | None = None, wheels: list[str] | None = None) -> str:
    """The manifest as it stands in a zip.

    Args:
        platform: Blender's name of the only platform that the zip is for; None = for all.
        wheels: paths of the bundled wheels in the zip, with forward slashes.

    Raises:
        ValueError: the repository's manifest already has one of the generated keys.
    """
    text = TEMPLATE.read_text(encoding="utf-8")
    generated: dict[str, str | list[str]] = {"version": read_version()}
    if platform:
        generated["platforms"] = [platform]
    if wheels:
        generated["wheels"] = [f"./{wheel}" for wheel in sorted(wheels)]
    twice = generated.keys() & tomllib.loads(text).keys()
    if twice:
        raise ValueError(f"{TEMPLATE.name} has {', '.join(sorted(twice))}, which the build puts in")
    lines = text.splitlines()
    first_table = next(number for number, line in enumerate(lines) if line.startswith("["))
    # JSON's strings and lists of strings are TOML's too
    lines[first_table:first_table] = [*(f"{key} = {json.dumps(value)}" for key, value in generated.items()), ""]
    return "\n".join(lines) + "\n"

"""The name that Blender knows the add-on by, and the folder it lies in."""

from __future__ import annotations

from pathlib import Path

_HERE = ".addon.interface"


def package_name(module_package: str) -> str:
    """The add-on's name of this folder's package name.

    Args:
        module_package: `bl_ext.REPOSITORY.likeness.addon.interface` as an extension, `addon.interface` from a checkout.

    Returns:
        What preferences and folders go by: `bl_ext.REPOSITORY.likeness`, or `addon`.
    """
    return module_package.removesuffix(_HERE) if module_package.endswith(_HERE) else module_package.split(".")[0]


PACKAGE = package_name(__package__)
# holds `addon`, `ml_backend` and `assets`
ROOT_FOLDER = Path(__file__).resolve().parents[2]

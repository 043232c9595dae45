"""The root of the extension: this file is the `__init__.py` beside `addon` in the zip."""

from .addon.interface.registration import register, unregister

__all__ = ["register", "unregister"]

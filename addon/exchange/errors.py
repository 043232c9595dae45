"""Errors that a user may see: one sentence that says what is wrong, one that says what to do."""

from __future__ import annotations


class LikenessError(Exception):
    """An expected failure.

    Attributes:
        code: short stable identifier, for programs (`photo_unreadable`).
        message: one sentence for people: what is wrong.
        hint: one sentence: what to do next.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint


class PhotoError(LikenessError):
    """The photo cannot be used."""


class HeadFileError(LikenessError):
    """The head model file cannot be used."""


class PackageError(LikenessError):
    """An avatar package is damaged or cannot be written."""


class AssetMissing(LikenessError):
    """A file that ships with the product is not there."""


class Cancelled(LikenessError):
    """The user asked to stop."""

    def __init__(self) -> None:
        super().__init__("cancelled", "Cancelled.", "Nothing was changed.")

"""The sentence for whatever goes wrong in a job."""

from __future__ import annotations

import errno

from addon.exchange.errors import LikenessError

# how torch, OpenCV and the graphics driver say that memory has run out, in lower case
_MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "insufficient memory")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if hasattr(errno, "EDQUOT") else (errno.ENOSPC, errno.EFBIG)
_NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)


def for_people(error: Exception) -> LikenessError:
    """What a user is told about an error."""
    if isinstance(error, LikenessError):
        return error
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY_WORDS):
        return LikenessError(
            "memory",
            "There is not enough memory for this.",
            "Choose smaller textures or a smaller photo, or close other programs.",
        )
    if isinstance(error, OSError):
        return _for_file(error)
    return LikenessError(
        "fault", f"Something went wrong in the backend: {error!r:.200}.", "Open the log and report what it says."
    )


def _for_file(error: OSError) -> LikenessError:
    if error.errno in _FULL:
        return LikenessError(
            "disk_full", f"There is no room left{_where(error)}.", "Make room or choose another folder."
        )
    if error.errno in _NO_RIGHTS:
        return LikenessError(
            "no_rights", f"Reading or writing is not allowed{_where(error)}.", "Choose a folder that you may write to."
        )
    reason = error.strerror or str(error)
    return LikenessError("file_access", f"{reason}{_where(error)}.", "Choose a folder that you may write to.")


def _where(error: OSError) -> str:
    return f" at {error.filename}" if error.filename else ""

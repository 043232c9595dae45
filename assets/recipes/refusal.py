"""What a build step says when the user can mend what stopped it."""

from __future__ import annotations


class Refusal(Exception):
    """Something the user can mend: one sentence."""

"""Channel versions."""

from __future__ import annotations

import random


def next_version(current: str | float | None) -> str:
    """The version after this one.

    32 digits that compare in order as text, and a random part, so that two forks never share one
    (LangGraph contract; the official savers do the same). Versions that other savers left (int,
    float, or text of this shape) are continued.
    """
    number = 0
    if isinstance(current, str):
        number = int(current.split(".")[0])
    elif current is not None:
        number = int(current)
    return f"{number + 1:032}.{random.random():016}"  # noqa: S311 -- apart, not secret

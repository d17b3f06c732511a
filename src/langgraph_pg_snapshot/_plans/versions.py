"""Channel versions."""

from __future__ import annotations

import random

from langgraph_pg_snapshot._arguments import shown
from langgraph_pg_snapshot.errors import InvalidArgumentError


def next_version(current: str | float | None) -> str:
    """The version after this one.

    32 digits that compare in order as text, and a random part, so that two forks never share one
    (LangGraph contract; the official savers do the same). Versions that other savers left (int,
    float, or text of this shape) are continued.

    Raises:
        InvalidArgumentError: It is none of these.
    """
    try:
        if isinstance(current, str):
            number = int(str.split(current, ".")[0])
        elif isinstance(current, int):
            number = int.__int__(current)
        else:
            number = 0 if current is None else float.__int__(current)
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311 -- apart, not secret
    except (ValueError, TypeError, OverflowError):
        raise InvalidArgumentError(
            f"the channel version {shown(current)} can't be continued: it is a number, or text "
            "that begins with one"
        ) from None

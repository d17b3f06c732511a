"""Channel versions."""

from __future__ import annotations

import random

from langgraph_pg_snapshot._arguments import shown
from langgraph_pg_snapshot.errors import InvalidArgumentError

# Two forks of one checkpoint share a version once in 2^40 times.
RANDOM_BITS = 40


def next_version(current: str | float | None) -> str:
    """The version after this one.

    32 digits that compare in order as text, and a random part, so that two forks never share one
    (LangGraph contract; the official savers do the same, with a longer one: a checkpoint's row is
    versions for the most part). Versions that other savers left (int, float, or text of this
    shape) are continued.

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
        return f"{number + 1:032}.{random.getrandbits(RANDOM_BITS):010x}"
    except (ValueError, TypeError, OverflowError):
        raise InvalidArgumentError(
            f"the channel version {shown(current)} can't be continued: it is a number, or text "
            "that begins with one"
        ) from None

"""What arguments are asked for, wherever they are taken; what is wrong is said by name.

Each check returns a plain value: an argument of a class of the application's may answer otherwise
the next time that it is asked.
"""

from __future__ import annotations

import math
from collections import ChainMap, deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from uuid import UUID

from langgraph_pg_snapshot.errors import (
    ArgumentTypeError,
    InvalidArgumentError,
    SnapshotError,
    about,
)

# How much of an argument a message repeats, in characters.
LONGEST_SHOWN = 80
# The largest int that a float holds has so many bits.
FLOAT_BITS = 1024
# An index row of PostgreSQL holds about 2,700 bytes, and the keys of our tables consist of these
# ids: tenant + thread + namespace + checkpoint + task have to fit into one.
MAX_ID_BYTES = {
    "thread_id": 1000,
    "checkpoint_ns": 1000,
    "checkpoint_id": 250,
    "task_id": 250,
    "tenant": 100,
}

# The server counts with a bigint; nothing has more than that of anything.
LARGEST_COUNT = 2**63 - 1


class reading_argument(about):  # noqa: N801 -- used like a function, as `about` is
    """Have what an argument of a type of the application's own raises be an error that names it."""

    __slots__ = ()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, SnapshotError):
            raise ArgumentTypeError(
                f"{self._what} can't be read: it raised {type(error).__name__}; pass plain data"
            ) from error


def shown(value: object) -> str:
    """An argument as a message shows it: cut short, and only its type if it is no plain value.

    (Other values may be large, or say at each question something else, or hold secrets.)
    """
    if type(value) is str:
        return repr(value) if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]!r}…"
    if value is None or type(value) in (bool, float):
        return repr(value)
    if type(value) is int and value.bit_length() <= 4 * LONGEST_SHOWN:
        return repr(value)
    return f"<{type(value).__name__}>"


def check_dict(argument: str, value: object) -> dict[Any, Any]:
    """What a mapping holds now: one of the application's own may answer otherwise next time.

    Raises:
        ArgumentTypeError: It is none, or fails when it is read.
    """
    if type(value) is dict:
        return value
    if type(value) is ChainMap and all(type(part) is dict for part in value.maps):
        # (LangGraph's metadata of a run: it reads itself name by name.)
        return {name: each for part in reversed(value.maps) for name, each in part.items()}
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(f"{argument} must be a dict, got {type(value).__name__}")
    with reading_argument(argument):
        return dict(value.items())


def check_thread_id(value: object, argument: str = "thread_id") -> str:
    """Return a thread id as text: LangGraph takes an int or a UUID for one, too.

    Raises:
        InvalidArgumentError: It is none of these, or not usable.
    """
    if isinstance(value, UUID):
        value = UUID.__str__(value)
    elif type(value) is int and value.bit_length() <= MAX_ID_BYTES["thread_id"]:
        value = str(value)
    return check_id(argument, value)


def check_tenant(value: object) -> str:
    """Return a tenant's name.

    Raises:
        InvalidArgumentError: It is no id, or empty, which would be nobody's.
    """
    tenant = check_id("tenant", value)
    if not tenant:
        raise InvalidArgumentError("tenant must not be empty; None is a saver without tenants")
    return tenant


def check_id(argument: str, value: object) -> str:
    """Return an id that PostgreSQL can store and index, as a plain str.

    Raises:
        InvalidArgumentError: It is no str, or holds NUL or a lone surrogate, or is too long.
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(
            f"{argument} must be a str, got {type(value).__name__}: pass str({argument})"
        )
    if type(value) is not str:
        value = str.__str__(value)  # a subclass may say something else each time
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError(
            f"{argument} holds a lone surrogate, which PostgreSQL can't store: {shown(value)}"
        ) from None
    if "\x00" in value:
        raise InvalidArgumentError(
            f"{argument} holds a NUL character, which PostgreSQL can't store: {shown(value)}"
        )
    if size > MAX_ID_BYTES.get(argument, size):
        raise InvalidArgumentError(
            f"{argument} has {size} bytes, at most {MAX_ID_BYTES[argument]} fit into an index: "
            f"{shown(value)}; shorten it, or pass a hash of it"
        )
    return value


def check_count(argument: str, value: object, hint: str = "") -> int:
    """Return an int from 0 to 2^63 - 1, as a plain one; a hint ends the messages.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentTypeError(f"{argument} must be an int, got {type(value).__name__}{hint}")
    value = int.__int__(value)  # a subclass may say something else each time
    if value < 0:
        raise InvalidArgumentError(f"{argument} must be at least 0, got {shown(value)}{hint}")
    if value > LARGEST_COUNT:
        raise InvalidArgumentError(f"{argument} must be at most {LARGEST_COUNT} (2^63 - 1){hint}")
    return value


def check_list(argument: str, value: object, of: str, hint: str = "") -> list[Any]:
    """Return what a sequence holds now.

    Raises:
        ArgumentTypeError: It is none, or text, whose characters are hardly meant.
    """
    if type(value) is list or type(value) is tuple or type(value) is deque:
        return list(value)  # it has no ideas of its own about what it holds
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Sequence):
        raise ArgumentTypeError(
            f"{argument} must be a list of {of}, got {type(value).__name__}{hint}"
        )
    with reading_argument(argument):
        return list(value)


def check_bool(argument: str, value: object) -> bool:
    """Return a bool.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{argument} must be True or False, got {type(value).__name__}")
    return value


def check_seconds(argument: str, value: object, hint: str = "", *, or_0: bool = False) -> float:
    """Return a number of seconds above 0, or 0 where that is allowed; a hint ends the message.

    Raises:
        InvalidArgumentError: It is none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(int.__int__(value)) if value.bit_length() < FLOAT_BITS else math.inf
    if not isinstance(value, float):
        raise ArgumentTypeError(
            f"{argument} must be a number of seconds, got {type(value).__name__}{hint}"
        )
    value = float.__float__(value)
    if not (value > 0 or (or_0 and value == 0)):
        least = "at least 0" if or_0 else "above 0"
        raise InvalidArgumentError(f"{argument} must be a number of seconds, {least}{hint}")
    return value

"""Values that no honest caller passes: what was made to break statements, encodings and checks."""

from __future__ import annotations

import enum
import math
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

# Text that PostgreSQL can store, and that would do harm if it became part of a statement.
TEXTS = [
    "",
    " ",
    "'; DROP TABLE canary; --",
    '"; DROP TABLE canary; --',
    "'); DELETE FROM canary; COMMIT; --",
    "' OR '1'='1",
    "' UNION SELECT secret FROM canary --",
    "t'; SELECT pg_sleep(600); --",
    "%",
    "%s",
    "%(thread_id)s",
    "%%s %b %t",
    "{threads}",
    "{which}",
    "{0.__class__}",
    "$1",
    ":thread_id",
    "?",
    "$$; DROP TABLE canary; $$",
    "$tag$ $tag$",
    "/* comment",
    "*/ -- comment",
    "\\",
    "\\'; DROP TABLE canary; --",
    "\\x00",
    "\\u0000",
    'E"\\',
    '{"a": 1}',
    "[1, 2]",
    "null",
    "a\nb\r\tc\x0b\x1b[31m\x7f",
    "\u202e\u2066\u200b\ufeff",
    "e\u0301 \u00e9 \u212b",  # (the same letters, in forms that compare as different)
    "\ufffe\uffff\U0010ffff",
    "🧵👩‍👩‍👧‍👦🇳🇴",
    "|",
    ":",
    "a:b|c:d",
    "$type",
    "$list",
    "$dict",
    "$item",
    "$order",
    "__start__",
    "__error__",
    "__class__",
]
# Text that it can't, or not everywhere.
BAD_TEXTS = ["\x00", "a\x00b", "\ud800", "a\udfffb", "x" * 10_000, "é" * 10_000, "\x00" * 10_000]


class Hostile:
    """An object each of whose methods fails."""

    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __format__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = _fail
    __int__ = __index__ = __float__ = __contains__ = __getitem__ = __lt__ = __fspath__ = _fail
    __reduce_ex__ = __call__ = __await__ = _fail


class HostileStr(str):
    """Text that says something else at each question, or fails."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"'; DROP TABLE canary; --"

    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __format__ = __contains__ = __getitem__ = replace = partition = _fail
    __hash__ = str.__hash__


class LyingStr(str):
    """Text with a NUL that its own methods deny."""

    __slots__ = ()

    def __contains__(self, _: object) -> bool:
        return False

    def encode(self, *_: Any) -> bytes:
        return b"fine"


class HostileInt(int):
    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __format__ = __lt__ = __le__ = __gt__ = __ge__ = _fail


class HostileDict(dict[str, Any]):
    """A dict that fails when it is looked at."""

    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __iter__ = __getitem__ = items = keys = values = get = __contains__ = __repr__ = _fail


class HostileMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("hostile")

    def __iter__(self) -> Any:
        raise RuntimeError("hostile")

    def __len__(self) -> int:
        return 1


class HostileList(list[Any]):
    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __iter__ = __getitem__ = __len__ = __repr__ = _fail


class Word(str, enum.Enum):
    A = "word"


class Plain(str):
    """An ordinary subclass of str."""

    __slots__ = ()


def cyclic_list() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def cyclic_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def deep(levels: int, of: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = of(value)
    return value


# Makers, so that nothing that a test changes or exhausts reaches the next one.
OBJECTS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "7": lambda: 7,
    "2**63": lambda: 2**63,
    "10**5000": lambda: 10**5000,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-0.0": lambda: -0.0,
    "1e308": lambda: 1e308,
    "Decimal sNaN": lambda: Decimal("sNaN"),
    "complex": lambda: 1j,
    "bytes": lambda: b"'; DROP TABLE canary; --",
    "bytearray": lambda: bytearray(b"x\x00"),
    "memoryview": lambda: memoryview(b"x"),
    "UUID": lambda: uuid.UUID(int=5),
    "datetime": lambda: datetime(2026, 1, 2, tzinfo=timezone.utc),
    "naive datetime": lambda: datetime(1, 1, 1),  # noqa: DTZ001 -- that is the point
    "timedelta": lambda: timedelta.max,
    "-timedelta": lambda: timedelta.min,
    "enum of str": lambda: Word.A,
    "str subclass": lambda: Plain("plain"),
    "hostile str": lambda: HostileStr("hostile"),
    "lying str": lambda: LyingStr("a\x00b"),
    "hostile int": lambda: HostileInt(3),
    "hostile dict": lambda: HostileDict(a=1),
    "hostile mapping": HostileMapping,
    "hostile list": lambda: HostileList(["a"]),
    "hostile": Hostile,
    "list of hostile": lambda: [Hostile()],
    "dict of hostile": lambda: {"a": Hostile()},
    "dict of NUL": lambda: {"a\x00": "\x00"},
    "dict of int": lambda: {1: 2},
    "dict of None": lambda: {None: None},
    "dict of tuple": lambda: {("a", "b"): 1},
    "object": object,
    "class": lambda: Hostile,
    "function": lambda: lambda: None,
    "generator": lambda: (n for n in range(3)),
    "exception": lambda: ValueError("a\x00b"),
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "deep list": lambda: deep(10_000),
    "deep dict": lambda: deep(10_000, lambda inner: {"a": inner}),
    "deepish list": lambda: deep(150),
    "list": lambda: ["a"],
    "list of NUL": lambda: ["\x00"],
    "list of surrogate": lambda: ["\ud800"],
    "list of None": lambda: [None],
    "list of list": lambda: [["a"]],
    "tuple": lambda: ("a", "b"),
    "set": lambda: {"a"},
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
}
CORPUS: dict[str, Callable[[], Any]] = {
    **OBJECTS,
    **{f"{text[:24]!r}…{len(text)}": (lambda text=text: text) for text in TEXTS + BAD_TEXTS},
}

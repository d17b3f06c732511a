"""Text for people: numbers with their units, and text that may hold anything, made harmless."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

# Control characters steer terminals, marks of direction turn text round, and lone surrogates and
# noncharacters are in no XML.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_BREAKS = re.compile("[\t\n\u2028\u2029]")
_ESCAPES = {"\t": r"\t", "\n": r"\n"}
# LangGraph's word about the newest checkpoint, not about the thread.
_OF_THE_STEP = ("source", "step", "parents", "counters_since_delta_snapshot")
_BYTES = 1_024


def clean(text: str) -> str:
    """Text whose control characters, and others that show as none, are written as escapes."""
    return _UNSHOWN.sub(_escape, text)


def clean_line(text: str) -> str:
    """Such text for a place that is one line: tabs and line breaks are escapes, too."""
    return _BREAKS.sub(lambda found: _ESCAPES.get(found[0]) or _escape(found), clean(text))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004 -- as Python


def shortened(text: str, length: int = 100) -> str:
    """Text in one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def counted(number: int, noun: str) -> str:
    """A number of things: "1 thread", "2 threads"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def not_shown(left_out: int) -> str:
    """What a picture leaves out."""
    return f"{counted(left_out, 'older checkpoint')} not shown"


def size_of(count: int) -> str:
    """A number of bytes in its unit."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < _BYTES:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= _BYTES
    return f"{size:.1f} GiB"


def moment(when: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{when.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def said(metadata: Mapping[str, Any], show: Callable[[Any], str]) -> str:
    """What runs said of a thread, without LangGraph's word about its newest step."""
    return ", ".join(
        f"{key}={show(value)}" for key, value in metadata.items() if key not in _OF_THE_STEP
    )


def cells(text: str) -> int:
    """How many columns text takes in a font whose characters are all of one width."""
    return sum(map(_cells, text))


def fit(text: str, columns: int) -> str:
    """Text in one line, cut to so many columns."""
    line = " ".join(text.split())
    if cells(line) <= columns:
        return line
    taken, kept = 1, 0  # the ellipsis
    while taken + (width := _cells(line[kept])) <= columns:
        taken, kept = taken + width, kept + 1
    return f"{line[:kept]}…"


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1

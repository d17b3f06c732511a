"""Tables in HTML, as a notebook shows them: in its own colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from reprlib import Repr
from typing import Any

from langgraph_pg_snapshot.pictures.words import clean, shortened

# What a page shows of a long listing, and of a long text.
ROWS, LENGTH = 100, 120
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = LENGTH


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, total: int) -> str:
    """A table of the first hundred rows; columns whose name begins with ">" stand to the right."""
    sides = ["right" if column.startswith(">") else "left" for column in columns]
    head = _row("th", [column.lstrip(">") for column in columns], sides)
    body = "".join(_row("td", row, sides) for row in islice(rows, ROWS))
    note = line(f"… and {total - ROWS} more") if total > ROWS else ""
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{note}"


def _row(tag: str, cells: Sequence[Any], sides: Sequence[str]) -> str:
    written = "".join(
        f'<{tag} style="text-align:{side}">{text(str(cell))}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{written}</tr>"


def line(said: str) -> str:
    """A line of text of its own."""
    return f"<p>{text(said)}</p>"


def text(said: str) -> str:
    """Text as it can stand in HTML, whatever it holds."""
    return escape(clean(shortened(said, LENGTH)))


def value(found: Any) -> str:
    """A value of metadata in short; what it is made of is not shown in depth."""
    return found if isinstance(found, str) else _SHORT.repr(found)

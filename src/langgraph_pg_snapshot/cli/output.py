"""How commands speak: tables and text for people, JSON for programs, errors in one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import rich.table
from rich import box
from rich.console import Console
from rich.text import Text

from langgraph_pg_snapshot.pictures.words import clean_line

# What is not a terminal is not to be wrapped: the lines go to a file, or to grep.
UNWRAPPED = 1_000
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*:)\S*@")
# Of a word that need not begin with a scheme.
_WORD_PASSWORD = re.compile(r"([^:/@]*:)(?!//).*@", re.DOTALL)
_KEY_PASSWORD = re.compile(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@dataclass
class Output:
    """Where a command's result goes.

    Attributes:
        as_json: Whether it is to be JSON.
    """

    as_json: bool
    console: Console = field(init=False)

    def __post_init__(self) -> None:
        self.console = console()

    def show(self, data: Any, render: Callable[[], None]) -> None:
        """Print the data as JSON, or call what shows it to people."""
        if self.as_json:
            sys.stdout.write(dumps(data) + "\n")
            sys.stdout.flush()
        else:
            render()

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line; line breaks in it are shown as escapes."""
        self.console.print(Text(clean_line(text), style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table; columns whose name begins with ">" stand to the right."""
        table = rich.table.Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            right = column.startswith(">")
            table.add_column(
                column.lstrip(">"),
                justify="right" if right else "left",
                no_wrap=right,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text(clean_line(str(cell))) for cell in row))
        self.console.print(table)

    def note(self, text: str) -> None:
        """Say something beside the result."""
        note(text)


def console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = UNWRAPPED
    return made


def note(text: str) -> None:
    """Say something on stderr, without a password in it."""
    console(stderr=True).print(Text(clean_line(scrubbed(text))), soft_wrap=True)


def dumps(data: Any) -> str:
    """JSON with times in ISO 8601, and named tuples as objects."""
    return orjson.dumps(
        data, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    ).decode()


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    # Larger numbers than JSON readers know, subclasses, mappings.
    return dict(value) if hasattr(value, "keys") else str(value)


def scrubbed(text: str) -> str:
    """Text without the passwords of connection strings that may stand in it."""
    return _KEY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", text))


def without_passwords(text: str, arguments: Iterable[str]) -> str:
    """Text that may repeat arguments of the command line, without passwords that are in those.

    An argument that lies where none belongs need not look like a connection string.
    """
    for argument in arguments:
        if "@" in argument:
            text = text.replace(argument, _WORD_PASSWORD.sub(r"\1***@", argument, count=1))
    return text


def age(moment: datetime) -> str:
    """How long ago that was."""
    return f"{lasting(max(datetime.now(timezone.utc) - moment, timedelta(0)))} ago"


def lasting(span: timedelta) -> str:
    """How long that is, in one unit."""
    seconds = span.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""Reading a table with a row a thread, whose state is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any

from langgraph_pg_snapshot._plans.state import CHECKPOINT_FORMAT
from langgraph_pg_snapshot.errors import SchemaError
from langgraph_pg_snapshot.sql import check_identifier
from langgraph_pg_snapshot.transfer.foreign import (
    ReadOnlyConnection,
    label_of,
    quoted,
    statement,
)
from langgraph_pg_snapshot.transfer.threads import (
    Contents,
    Found,
    Place,
    ThreadReader,
    UnreadableError,
    Write,
)

# UUIDs of version 6 count tenths of microseconds from here.
_CALENDAR = datetime(1582, 10, 15, tzinfo=timezone.utc)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class PlainTable:
    """A table with a row a thread: thread_id, state (JSON or JSONB), created_at, updated_at.

    The state becomes the newest state of the thread, as `save_state` would store it. A row that
    changed since an earlier import is imported again, as a newer state.

    Args:
        conninfo: A PostgreSQL connection string or URL.
        table: The table's name; default "agent_checkpoints". The saver's view has that name as
            well unless told otherwise: in the same database and schema, give the saver another
            ``table_name=`` or ``schema=``.
        schema: The schema that it is in; None (default) goes by ``search_path``.
        to_state: Makes channel values of a row's JSON: a dict by channel. None (default) takes the
            JSON as it is, but refuses messages in the form of `messages_to_dict`.
            `langchain_core.messages.messages_from_dict` and the like go here.

    Raises:
        InvalidArgumentError: conninfo can't be parsed, or a name is no identifier.
    """

    conninfo: str = field(repr=False)
    table: str = "agent_checkpoints"
    schema: str | None = None
    to_state: Callable[[Any], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        label_of(self.conninfo)
        check_identifier("table", self.table)
        if self.schema is not None:
            check_identifier("schema", self.schema)

    @property
    def label(self) -> str:
        """What it is, for messages: without a password."""
        name = self.table if self.schema is None else f"{self.schema}.{self.table}"
        return f"table {name!r} of {label_of(self.conninfo)}"

    @contextmanager
    def open(self) -> Iterator[PlainReader]:
        """Connect, for as long as the block lasts.

        Raises:
            StorageError: No connection could be had.
            SchemaError: The table is not there, or has not these columns.
        """
        with ReadOnlyConnection.open(self.conninfo, self.label) as connection:
            states = quoted(self.schema, self.table)
            with connection.moment():
                rows = connection.rows(statement("official_columns"), {"table": states})
            columns = {name for (name,) in rows}
            if not {"thread_id", "state"} <= columns:
                raise SchemaError(
                    f"reading {self.label}: "
                    + (
                        "it has no columns thread_id and state"
                        if columns
                        else "there is no such table; pass table= and schema="
                    )
                )
            yield PlainReader(
                connection,
                {
                    "states": states,
                    **{
                        name: f"p.{name}::timestamptz" if name in columns else "NULL::timestamptz"
                        for name in ("created_at", "updated_at")
                    },
                },
                self.to_state,
            )


class PlainReader:
    """The table, opened."""

    def __init__(
        self,
        connection: ReadOnlyConnection,
        names: Mapping[str, str],
        to_state: Callable[[Any], Mapping[str, Any]] | None,
    ) -> None:
        self.connection = connection
        self.to_state = to_state
        self._names = {key: text.replace("%", "%%") for key, text in names.items()}

    def rows(self, name: str, **params: Any) -> list[tuple[Any, ...]]:
        """What a named statement finds."""
        return self.connection.rows(statement(name, **self._names), params)

    def count(self) -> int:
        """How many threads there are."""
        with self.connection.moment():
            return int(self.rows("plain_count")[0][0])

    def thread_ids(self) -> Iterator[str]:
        """The threads' ids."""
        with self.connection.moment():
            rows = self.rows("plain_threads")
        return (thread_id for (thread_id,) in rows)

    @contextmanager
    def thread(self, thread_id: str) -> Iterator[PlainThread]:
        """Read a thread's row as it is at one moment."""
        with self.connection.moment():
            yield PlainThread(self, thread_id)


def _refuse_messages(channel: str, value: Any) -> None:
    """Refuse messages in the form of `messages_to_dict`: no graph could go on with them.

    Raises:
        UnreadableError: This channel has them.
    """
    if (
        isinstance(value, list)
        and value
        and all(isinstance(each, dict) and each.keys() == {"type", "data"} for each in value)
        and all(isinstance(each["data"], dict) and "content" in each["data"] for each in value)
    ):
        raise UnreadableError(
            "it holds messages as messages_to_dict() writes them: pass to_state= (on the command "
            "line --to-state), a function that makes messages of them, as messages_from_dict() "
            "does; or to_state=dict (builtins:dict) to have them as they are",
            channel,
        )


class PlainThread(ThreadReader):
    """A row, as a thread of one checkpoint.

    The checkpoint's id is made of the thread's id and the time of the row's last change: the same
    row has the same id every time, and a row that changed a larger one.
    """

    def __init__(self, reader: PlainReader, thread_id: str) -> None:
        self._reader = reader
        self._thread_id = thread_id
        self._mark = blake2b(thread_id.encode(errors="replace"), digest_size=8).hexdigest()
        self._row: tuple[Any, ...] | None = None

    def contents(self) -> Contents:
        """One checkpoint, or none if there is no such row.

        Raises:
            UnreadableError: There are several.
        """
        rows = self._reader.rows("plain_state", thread_id=self._thread_id)
        self._row = rows[0] if rows else None
        if len(rows) > 1:
            raise UnreadableError(
                "the table has several rows of this thread_id: import from a view that has one"
            )
        places = [("", self._checkpoint_id(), None)] if self._row is not None else []
        return Contents.of(places, [])

    def made(self, place: Place) -> bool:
        """Whether a checkpoint is one that an earlier import made of this row."""
        return place.checkpoint_ns == "" and place.checkpoint_id.replace("-", "")[16:] == self._tail

    def read(self, place: Place) -> Found:
        """Make a checkpoint of the row."""
        state = self._state()
        updated_at = self._updated_at()
        # It grows with each change, so that a later state is a later version, too.
        version = f"{int(updated_at.timestamp() * 1_000_000):032}.{0:016}"
        versions = dict.fromkeys(state, version)
        return Found(
            place,
            None,
            {
                "v": CHECKPOINT_FORMAT,
                "id": place.checkpoint_id,
                "ts": updated_at.isoformat(),
                "channel_values": state,
                "channel_versions": versions,
                "versions_seen": {},
                "updated_channels": sorted(state),
            },
            {"source": "update", "step": 0, "parents": {}},
            [],
            since=self._row[1] if self._row is not None else None,
        )

    def writes(self, place: Place) -> list[Write]:  # noqa: ARG002 -- there are none
        """Nothing."""
        return []

    def _state(self) -> dict[str, Any]:
        state = json.loads(self._row[0]) if self._row is not None else None
        if (to_state := self._reader.to_state) is not None:
            try:
                state = to_state(state)
            except Exception as error:
                raise UnreadableError(f"to_state: {type(error).__name__}: {error}") from error
        if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
            raise UnreadableError(
                f"its state is a {type(state).__name__}, not a dict of values by channel: pass "
                "to_state= to make one of it"
            )
        if to_state is None:
            for channel, value in state.items():
                _refuse_messages(channel, value)
        return dict(state)

    def _updated_at(self) -> datetime:
        assert self._row is not None  # noqa: S101 -- contents() said so
        _, created_at, updated_at = self._row
        moment: datetime = updated_at or created_at or _LONG_AGO
        return moment

    @property
    def _tail(self) -> str:
        # 16 digits: two bits of them say that it is a UUID of the usual variant
        return f"{int(self._mark, 16) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000:016x}"

    def _checkpoint_id(self) -> str:
        passed = self._updated_at() - _CALENDAR
        ticks = ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 10
        time = f"{ticks:015x}"
        digits = f"{time[:12]}6{time[12:]}{self._tail}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

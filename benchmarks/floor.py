"""The raw floor: the bytes that are new, moved by psycopg alone, one statement an operation.

What a graph asks of a saver in one turn is recorded on a saver in memory, with what is new in it.
The floor then does the same on one connection, one after the other: an INSERT of the new elements
and the checkpoint's row as JSONB for each put, an INSERT of the rows of each put_writes, a SELECT
of the whole state's text for each get_tuple. It encodes and decodes nothing, and knows what is new
without looking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
import psycopg
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_pg_snapshot.serializer import SnapshotSerializer

_SERIALIZER = SnapshotSerializer()
_SMALL = 256


def packed(value: Any) -> str:
    """A value's JSON."""
    return _SERIALIZER.dumps_typed(value)[1].decode()


def pieces(value: Any) -> list[str]:
    """A value in the pieces that change by themselves: elements, or entries."""
    if isinstance(value, list):
        return [packed(element) for element in value]
    if isinstance(value, dict):
        return [packed([key, entry]) for key, entry in value.items()]
    return [packed(value)]


@dataclass(frozen=True)
class Read:
    """A get_tuple of a state of so many pieces."""

    size: int


@dataclass(frozen=True)
class Put:
    """A put of a checkpoint's row, and of the pieces that are new."""

    body: str
    new: Sequence[str]


@dataclass(frozen=True)
class Writes:
    """A put_writes."""

    values: Sequence[str]


Operation = Read | Put | Writes


class Recorder(InMemorySaver):
    """Notes what it is asked for."""

    def __init__(self) -> None:
        # What comes back gives the same pieces.
        super().__init__(serde=_SERIALIZER)
        self.operations: list[Operation] = []
        self._seen: set[str] = set()
        self._size = 0

    def get_tuple(self, config: Any) -> Any:
        self.operations.append(Read(self._size))
        return super().get_tuple(config)

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        values: Mapping[str, Any] = checkpoint["channel_values"]
        inline: dict[str, Any] = {}
        new: list[str] = []
        for channel in values.keys() & new_versions.keys():
            found = pieces(values[channel])
            if sum(map(len, found)) <= _SMALL:
                inline[channel] = orjson.Fragment("[" + ",".join(found) + "]")
            else:
                new += [piece for piece in found if piece not in self._seen]
                self._size = max(self._size, len(found))
        self._seen.update(new)
        body = {**checkpoint, "channel_values": inline, "metadata": metadata}
        self.operations.append(Put(orjson.dumps(body, default=str).decode(), new))
        return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        self.operations.append(Writes([packed(value) for _, value in writes]))
        super().put_writes(config, writes, task_id, task_path)


@dataclass
class Floor:
    """Tables of the plainest kind that can be read by a person, and statements on them."""

    conn: psycopg.Connection
    thread: str
    _items: Iterator[int] = field(default_factory=count)
    _checkpoints: Iterator[int] = field(default_factory=count)
    _tasks: Iterator[int] = field(default_factory=count)

    def run(self, operations: Iterable[Operation]) -> None:
        """What a turn asks for."""
        for operation in operations:
            if isinstance(operation, Put):
                self.put(operation)
            elif isinstance(operation, Writes):
                self.put_writes(operation.values)
            else:
                self.read(1, operation.size)

    def put(self, put: Put) -> None:
        """One INSERT of the new pieces and the row."""
        self.conn.execute(
            """
            WITH new AS (
                INSERT INTO raw_items
                SELECT %(thread)s, n.id, n.item::jsonb
                FROM unnest(%(ids)s::bigint[], %(items)s::text[]) AS n (id, item)
            )
            INSERT INTO raw_checkpoints VALUES (%(thread)s, %(id)s, %(body)s::jsonb)
            """,
            {
                "thread": self.thread,
                "ids": [next(self._items) for _ in put.new],
                "items": list(put.new),
                "id": next(self._checkpoints),
                "body": put.body,
            },
        )

    def put_writes(self, values: Sequence[str]) -> None:
        """One INSERT of the rows."""
        self.conn.execute(
            """
            INSERT INTO raw_writes
            SELECT %(thread)s, %(task)s, n.idx, n.value::jsonb
            FROM unnest(%(values)s::text[]) WITH ORDINALITY AS n (value, idx)
            """,
            {"thread": self.thread, "task": next(self._tasks), "values": list(values)},
        )

    def read(self, checkpoints: int, items: int) -> None:
        """One SELECT of the newest rows and the newest pieces, as text."""
        self.conn.execute(
            """
            SELECT
                (SELECT json_agg(c.body)::text FROM (
                    SELECT body FROM raw_checkpoints WHERE thread_id = %(thread)s
                    ORDER BY id DESC LIMIT %(checkpoints)s) AS c),
                (SELECT json_agg(i.item)::text FROM (
                    SELECT item FROM raw_items WHERE thread_id = %(thread)s
                    ORDER BY id DESC LIMIT %(items)s) AS i)
            """,
            {"thread": self.thread, "checkpoints": checkpoints, "items": items},
        ).fetchall()


@contextmanager
def floor(dsn: str, thread: str = "thread") -> Iterator[Floor]:
    """The floor on a database, with its tables."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as conn:
        for table, key in (
            ("raw_items", "id bigint, item jsonb"),
            ("raw_checkpoints", "id bigint, body jsonb"),
            ("raw_writes", "task bigint, idx bigint, value jsonb"),
        ):
            columns = key.rsplit(",", 1)[0].replace(" bigint", "")
            conn.execute(
                f"CREATE TABLE IF NOT EXISTS {table} "
                f"(thread_id text, {key}, PRIMARY KEY (thread_id, {columns}))"
            )
        yield Floor(conn, thread)

"""Reading a file of langgraph-checkpoint-sqlite, which need not be installed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot._arguments import reading_argument
from langgraph_pg_snapshot.errors import InvalidArgumentError, SchemaError
from langgraph_pg_snapshot.transfer.foreign import Loader, reading, statement
from langgraph_pg_snapshot.transfer.threads import (
    Contents,
    Found,
    Place,
    ThreadReader,
    Write,
    in_order,
)


@dataclass(frozen=True)
class SqliteFile:
    """A file that SqliteSaver or AsyncSqliteSaver keeps, to import from; opened read-only.

    Args:
        path: The file.
        serde: The serializer that it is stored with; default is the savers', JsonPlusSerializer.

    Raises:
        InvalidArgumentError: There is no such file.
    """

    path: str | os.PathLike[str]
    serde: SerializerProtocol = field(default_factory=JsonPlusSerializer)

    def __post_init__(self) -> None:
        with reading_argument("path"):
            path = os.fspath(self.path)
            # (A subclass of str may say something else each time.)
            path = str.__str__(path) if isinstance(path, str) else os.fsdecode(path)
            is_there = Path(path).is_file()
        object.__setattr__(self, "path", path)
        if not is_there:
            raise InvalidArgumentError(f"path: there is no file {os.fspath(self.path)!r}")

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return f"the SQLite file {os.fspath(self.path)!r}"

    @contextmanager
    def open(self) -> Iterator[SqliteReader]:
        """Open the file, for as long as the block lasts.

        Raises:
            StorageError: It can't be opened, or is no SQLite database.
            SchemaError: It has no checkpoints, or not of this kind.
        """
        with reading(self.label, sqlite3.Error):
            connection = sqlite3.connect(
                f"{Path(self.path).resolve().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                # The caller's thread reads; an event loop's helper thread may be another each time.
                check_same_thread=False,
            )
        with closing(connection):
            yield SqliteReader(self.label, connection, Loader(self.serde))


class SqliteReader:
    """The file, opened."""

    def __init__(self, label: str, connection: sqlite3.Connection, loader: Loader) -> None:
        self.loader = loader
        self._label = label
        self._connection = connection
        columns = {
            table: {name for (name,) in self.rows("sqlite_columns", table=table)}
            for table in ("checkpoints", "writes")
        }
        if not {"checkpoint_ns", "type"} <= columns["checkpoints"] or not columns["writes"]:
            raise SchemaError(
                f"reading {label}: it has no tables checkpoints and writes as SqliteSaver makes "
                "them since 2024: is it the file that SqliteSaver writes to? An older one is "
                "read by AnySaver(SqliteSaver(…)) with the version that wrote it"
            )
        self._task_path = "task_path" if "task_path" in columns["writes"] else "''"

    def rows(self, name: str, **params: Any) -> list[tuple[Any, ...]]:
        """What a named statement finds."""
        names = {"task_path": self._task_path} if name == "sqlite_writes" else {}
        with reading(self._label, sqlite3.Error):
            return self._connection.execute(statement(name, **names), params).fetchall()

    def count(self) -> int:
        """How many threads there are."""
        return int(self.rows("sqlite_count")[0][0])

    def thread_ids(self) -> Iterator[str]:
        """The threads' ids."""
        return (thread_id for (thread_id,) in self.rows("sqlite_threads"))

    @contextmanager
    def thread(self, thread_id: str) -> Iterator[SqliteThread]:
        """Read a thread as it is at one moment."""
        with reading(self._label, sqlite3.Error):
            self._connection.execute("BEGIN")
        try:
            yield SqliteThread(self, thread_id)
        finally:
            self._connection.rollback()


class SqliteThread(ThreadReader):
    """A thread in a file of SqliteSaver."""

    def __init__(self, reader: SqliteReader, thread_id: str) -> None:
        self._reader = reader
        self._thread_id = thread_id
        self._contents: Contents | None = None

    def contents(self) -> Contents:
        """What there is of it."""
        if self._contents is None:
            self._contents = Contents.of(
                self._reader.rows("sqlite_places", thread_id=self._thread_id),
                self._reader.rows("sqlite_tasks", thread_id=self._thread_id),
            )
        return self._contents

    def read(self, place: Place) -> Found:
        """Read a checkpoint."""
        [(type_, data, metadata)] = self._reader.rows(
            "sqlite_checkpoint", thread_id=self._thread_id, **place._asdict()
        )
        checkpoint = self._reader.loader.load("(all channels)", type_, data)
        return Found(
            place,
            self.contents().parents[place],
            checkpoint,
            json.loads(metadata) if metadata is not None else {},
            self.writes(place),
        )

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        rows = self._reader.rows("sqlite_writes", thread_id=self._thread_id, **place._asdict())
        return in_order(
            Write(task_id, path, idx, channel, self._reader.loader.load(channel, type_, value))
            for task_id, path, idx, channel, type_, value in rows
        )

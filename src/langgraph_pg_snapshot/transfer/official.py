"""Reading the tables of langgraph-checkpoint-postgres, of which nothing has to be installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot.errors import SchemaError
from langgraph_pg_snapshot.sql import check_identifier
from langgraph_pg_snapshot.transfer.foreign import (
    Loader,
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
    Write,
    in_order,
)

PAGE = 1_000
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


@dataclass(frozen=True)
class OfficialTables:
    """The tables that PostgresSaver and AsyncPostgresSaver keep, to import from or export to.

    Args:
        conninfo: A PostgreSQL connection string or URL.
        schema: The schema that the tables are in; None (default) goes by ``search_path``.
        serde: The serializer that they are stored with; default is the official savers',
            JsonPlusSerializer.

    Raises:
        InvalidArgumentError: conninfo can't be parsed, or a name is no identifier.
    """

    conninfo: str = field(repr=False)
    schema: str | None = None
    serde: SerializerProtocol = field(default_factory=JsonPlusSerializer)

    def __post_init__(self) -> None:
        label_of(self.conninfo)
        if self.schema is not None:
            check_identifier("schema", self.schema)

    @property
    def label(self) -> str:
        """What it is, for messages: without a password."""
        where = f" in schema {self.schema!r}" if self.schema is not None else ""
        return f"the tables of PostgresSaver{where} of {label_of(self.conninfo)}"

    @contextmanager
    def open(self) -> Iterator[OfficialReader]:
        """Connect, for as long as the block lasts.

        Raises:
            StorageError: No connection could be had.
            SchemaError: The tables are not there, or not of this kind.
        """
        with ReadOnlyConnection.open(self.conninfo, self.label) as connection:
            with connection.moment():
                names = self._names(connection)
            yield OfficialReader(connection, names, Loader(self.serde))

    def _names(self, connection: ReadOnlyConnection) -> dict[str, str]:
        names = {table: quoted(self.schema, table) for table in TABLES}
        columns = {
            table: {
                name
                for (name,) in connection.rows(statement("official_columns"), {"table": identifier})
            }
            for table, identifier in names.items()
        }
        if missing := [table for table, found in columns.items() if not found]:
            raise SchemaError(
                f"reading {self.label}: no table {', '.join(missing)} there: is it the database "
                "that PostgresSaver writes to? Pass schema= if they are not in the search_path"
            )
        if "checkpoint_id" not in columns["checkpoints"]:
            raise SchemaError(
                f"reading {self.label}: 'checkpoints' has no checkpoint_id, as if "
                "ShallowPostgresSaver had made it: pass AnySaver(ShallowPostgresSaver(…)) and "
                "thread_ids="
            )
        # Tables of early 2025 and before have no paths.
        has_path = "task_path" in columns["checkpoint_writes"]
        return {**names, "task_path": "w.task_path" if has_path else "''::text"}


class OfficialReader:
    """The tables, opened."""

    def __init__(
        self, connection: ReadOnlyConnection, names: Mapping[str, str], loader: Loader
    ) -> None:
        self.connection = connection
        self.loader = loader
        self._names = names

    def rows(self, name: str, **params: Any) -> list[tuple[Any, ...]]:
        """What a named statement finds."""
        # psycopg takes % in a statement with parameters for a placeholder
        names = {key: text.replace("%", "%%") for key, text in self._names.items()}
        return self.connection.rows(statement(name, **names), params)

    def count(self) -> int:
        """How many threads there are."""
        with self.connection.moment():
            return int(self.rows("official_count")[0][0])

    def thread_ids(self) -> Iterator[str]:
        """The threads' ids, page by page."""
        after = None
        while True:
            with self.connection.moment():
                page = self.rows("official_threads", after=after, limit=PAGE)
            for (after,) in page:
                yield after
            if len(page) < PAGE:
                return

    @contextmanager
    def thread(self, thread_id: str) -> Iterator[OfficialThread]:
        """Read a thread as it is at one moment."""
        with self.connection.moment():
            yield OfficialThread(self, thread_id)


class OfficialThread(ThreadReader):
    """A thread in the official tables."""

    def __init__(self, reader: OfficialReader, thread_id: str) -> None:
        self._reader = reader
        self._thread_id = thread_id
        self._contents: Contents | None = None
        # The values of the checkpoint that was read last: as a rule the next one's, but for a few.
        self._blobs: dict[tuple[str, str, str], Any] = {}

    def contents(self) -> Contents:
        """What there is of it."""
        if self._contents is None:
            self._contents = Contents.of(
                self._reader.rows("official_places", thread_id=self._thread_id),
                self._reader.rows("official_tasks", thread_id=self._thread_id),
            )
        return self._contents

    def read(self, place: Place) -> Found:
        """Read a checkpoint."""
        [(checkpoint_json, metadata, versions_json)] = self._reader.rows(
            "official_checkpoint", thread_id=self._thread_id, **place._asdict()
        )
        # json, as psycopg loads JSONB for the official savers: integers have no bounds
        checkpoint = json.loads(checkpoint_json)
        checkpoint.setdefault("id", place.checkpoint_id)
        versions: dict[str, str] = orjson.loads(versions_json or "{}")
        checkpoint["channel_values"] = {
            **(checkpoint.get("channel_values") or {}),
            **self._values(place.checkpoint_ns, versions),
        }
        return Found(
            place,
            self.contents().parents[place],
            checkpoint,
            json.loads(metadata),
            self.writes(place),
        )

    def _values(self, namespace: str, versions: Mapping[str, str]) -> dict[str, Any]:
        known = self._blobs
        keys = {(namespace, channel, version) for channel, version in versions.items()}
        self._blobs = {key: known[key] for key in keys & known.keys()}
        wanted = sorted(keys - known.keys())
        rows = self._reader.rows(
            "official_blobs",
            thread_id=self._thread_id,
            checkpoint_ns=namespace,
            channels=[channel for _, channel, _ in wanted],
            versions=[version for _, _, version in wanted],
        )
        for channel, version, type_, blob in rows:
            if type_ != "empty":
                value = self._reader.loader.load(channel, type_, blob)
                self._blobs[namespace, channel, version] = value
        return {channel: value for (_, channel, _), value in self._blobs.items()}

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        rows = self._reader.rows("official_writes", thread_id=self._thread_id, **place._asdict())
        return in_order(
            Write(task_id, path, idx, channel, self._reader.loader.load(channel, type_, blob))
            for task_id, path, idx, channel, type_, blob in rows
        )

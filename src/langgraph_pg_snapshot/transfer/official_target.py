"""Filling the tables of langgraph-checkpoint-postgres, by PostgresSaver itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any, TypeAlias

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg import sql
from psycopg.rows import dict_row

from langgraph_pg_snapshot.errors import SchemaError, SnapshotError
from langgraph_pg_snapshot.transfer.foreign import reading, statement
from langgraph_pg_snapshot.transfer.official import OfficialReader, OfficialTables
from langgraph_pg_snapshot.transfer.savers import SaverThreadToFill
from langgraph_pg_snapshot.transfer.threads import Contents, Place, ThreadToFill, Write

Opened: TypeAlias = tuple[Callable[[str], ThreadToFill], SerializerProtocol]


class _OfficialThreadToFill(SaverThreadToFill):
    """A thread of the official tables; they are asked for ids, where a listing reads values."""

    def __init__(
        self, reader: OfficialReader | None, saver: BaseCheckpointSaver[Any], thread_id: str
    ) -> None:
        super().__init__(saver, thread_id)
        self._reader = reader

    def contents(self, wanted: Contents) -> Contents:
        """What there is of it."""
        del wanted
        if self._reader is None:
            return Contents({}, {})
        with self._reader.thread(self.thread_id) as thread:
            return thread.contents()

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        assert self._reader is not None  # noqa: S101 -- contents() found some
        with self._reader.thread(self.thread_id) as thread:
            return thread.writes(place)


@contextmanager
def official_target(tables: OfficialTables, *, dry_run: bool) -> Iterator[Opened]:
    """PostgresSaver on these tables; they are made if they are not there.

    Raises:
        SnapshotError: langgraph-checkpoint-postgres is not installed.
        StorageError: No connection could be had, or the tables not be made.
        SchemaError: There is no such schema.
    """
    try:
        from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 -- optional
    except ImportError as error:
        raise SnapshotError(
            "exporting to the tables of PostgresSaver takes its package: pip install "
            "langgraph-checkpoint-postgres"
        ) from error
    with reading(tables.label, psycopg.Error, doing="writing to"):
        connection = psycopg.connect(
            tables.conninfo, autocommit=True, prepare_threshold=0, row_factory=dict_row
        )
    with connection, ExitStack() as stack:
        saver = PostgresSaver(connection, serde=tables.serde)
        with reading(tables.label, psycopg.Error, doing="writing to"):
            if tables.schema is not None:
                _check_schema(connection, tables)
                connection.execute(
                    sql.SQL("SET search_path TO {}").format(sql.Identifier(tables.schema))
                )
            if not dry_run:
                saver.setup()
        reader = None
        with suppress(SchemaError) if dry_run else nullcontext():  # a dry run makes no tables
            reader = stack.enter_context(tables.open())
        yield (lambda thread_id: _OfficialThreadToFill(reader, saver, thread_id)), tables.serde


def _check_schema(connection: psycopg.Connection[Any], tables: OfficialTables) -> None:
    query = statement("official_schema")
    if not connection.execute(query.encode(), {"schema": tables.schema}).fetchall():
        raise SchemaError(
            f"writing to {tables.label}: there is no schema {tables.schema!r}: create it, or name "
            "another one"
        )

"""A source and a saver to import into: in one database, as who moves in has them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import sql

from langgraph_pg_snapshot import PostgresSnapshotSaver
from servers import Server


def _set_up(dsn: str) -> None:
    with PostgresSnapshotSaver(dsn) as saver:
        saver.setup()
    with PostgresSaver.from_conn_string(dsn) as official:
        official.setup()


@pytest.fixture
def shared_database(server: Server) -> Iterator[str]:
    """A database with the official saver's tables and ours."""
    with server.clone(server.template("both", _set_up)) as dsn:
        yield dsn


@pytest.fixture
def official(shared_database: str) -> Iterator[PostgresSaver]:
    """The official saver there."""
    with PostgresSaver.from_conn_string(shared_database) as saver:
        yield saver


@pytest.fixture
def saver(shared_database: str) -> Iterator[PostgresSnapshotSaver]:
    """Ours."""
    with PostgresSnapshotSaver(shared_database, min_size=1) as saver:
        yield saver


@pytest.fixture
def rows_of(shared_database: str) -> Callable[..., str]:
    """A function that digests the rows of tables, with where each row lies."""

    def digest(*tables: str) -> str:
        found = hashlib.sha256()
        with psycopg.connect(shared_database) as connection:
            for table in tables:
                query = sql.SQL("SELECT ctid, xmin, t FROM {} AS t ORDER BY ctid")
                for row in connection.execute(query.format(sql.Identifier(table))):
                    found.update(repr(row).encode())
        return found.hexdigest()

    return digest


OFFICIAL_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
OUR_TABLES = tuple(
    f"agent_checkpoints_{name}" for name in ("threads", "history", "items", "writes")
)


@pytest.fixture
def official_rows(rows_of: Callable[..., str]) -> Callable[[], str]:
    """A function that digests the official tables."""
    return lambda: rows_of(*OFFICIAL_TABLES)


@pytest.fixture
def our_rows(rows_of: Callable[..., str]) -> Callable[[], str]:
    """A function that digests our tables."""
    return lambda: rows_of(*OUR_TABLES)

"""A database with a canary: what no hostile argument may reach, or change by a byte."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from helpers import Chain
from langgraph_pg_snapshot import PostgresSnapshotSaver

sys.path.insert(0, str(Path(__file__).parent))

CANARY = "the canary"  # (no hostile value is its name)


def contents(dsn: str) -> dict[str, Any]:
    """The canary's rows in every table."""
    with psycopg.connect(dsn) as conn:
        found: dict[str, Any] = {}
        found["canary"] = conn.execute("SELECT * FROM canary").fetchall()
        for table in ("threads", "history", "items", "writes", "metadata"):
            found[table] = conn.execute(
                sql.SQL("SELECT t::text FROM {} AS t WHERE thread_id = %s ORDER BY 1").format(
                    sql.Identifier(f"agent_checkpoints_{table}")
                ),
                [CANARY],
            ).fetchall()
        return found


@pytest.fixture
def canary(ready_database: str) -> Iterator[str]:
    """The conninfo of a database in which the canary has to be as it was, at the end."""
    with PostgresSnapshotSaver(ready_database) as saver:
        chain = Chain(saver, CANARY)
        head = chain.put(
            {"messages": [{"text": "sing " * 20}] * 9}, metadata={"owner": "nobody else"}
        )
        saver.put_writes(head, [("messages", "a write")], "task")
    with psycopg.connect(ready_database, autocommit=True) as conn:
        conn.execute("CREATE TABLE canary AS SELECT 'alive' AS secret")
    before = contents(ready_database)
    assert all(before.values())
    yield ready_database
    assert contents(ready_database) == before


@pytest.fixture
def harmless(canary: str) -> Iterator[Callable[..., PostgresSnapshotSaver]]:
    """Makes savers on the canary's database: one that does not answer in time fails its test."""
    made = []

    def make(**options: Any) -> PostgresSnapshotSaver:
        made.append(PostgresSnapshotSaver(canary, deadline=20, **options))
        return made[-1]

    yield make
    for saver in made:
        saver.close()

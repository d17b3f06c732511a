"""What the tests of retention and erasure share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from helpers import Driven, Variant

TABLES = ("threads", "history", "items", "writes", "metadata")


@pytest.fixture(params=["sync", "async"])
def saver(request: pytest.FixtureRequest, ready_database: str) -> Iterator[Driven]:
    with Variant(request.param, "conninfo", "snapshot").open(ready_database) as driven:
        yield driven


@pytest.fixture
def other(ready_database: str) -> Iterator[Driven]:
    """Another process, as far as the database can tell."""
    with Variant("sync", "conninfo", "snapshot").open(ready_database) as driven:
        yield driven


@pytest.fixture
def rows(ready_database: str) -> Callable[[str], dict[str, int]]:
    """A function that counts the rows that each table has of a thread, where there are any."""

    def count(thread_id: str) -> dict[str, int]:
        with psycopg.connect(ready_database) as conn:
            counted = {
                table: conn.execute(
                    f"SELECT count(*) FROM agent_checkpoints_{table} WHERE thread_id = %s",  # noqa: S608
                    [thread_id],
                ).fetchone()[0]
                for table in TABLES
            }
        return {table: number for table, number in counted.items() if number}

    return count

"""The drivers on connections of every make: settings that an application may have chosen."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langgraph_pg_snapshot import PostgresSnapshotSaver

SETTINGS: dict[str, dict[str, Any]] = {
    "no-autocommit": {"autocommit": False},
    "prepared-at-once": {"autocommit": True, "prepare_threshold": 0},
    "never-prepared": {"autocommit": True, "prepare_threshold": None},
    "dict-rows": {"autocommit": False, "row_factory": dict_row},
    "client-cursors": {"autocommit": True, "cursor_factory": psycopg.ClientCursor},
}
ASYNC_SETTINGS = SETTINGS | {
    "client-cursors": {"autocommit": True, "cursor_factory": psycopg.AsyncClientCursor}
}


def stored(database: str) -> list[tuple[Any, ...]]:
    """What someone else sees: only what was committed."""
    with psycopg.connect(database) as conn:
        return conn.execute("SELECT thread_id, state FROM agent_checkpoints").fetchall()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_sync_pool_of_any_settings_is_set_up_and_used(database, settings):
    with ConnectionPool(database, min_size=1, kwargs=settings) as pool:
        saver = PostgresSnapshotSaver(pool=pool)
        saver.save_state("t", {"a": 1})
        saver.save_state("t", {"a": 2})
        assert saver.load_state("t") == {"a": 2}
        assert stored(database) == [("t", {"a": 2})]
        saver.delete_thread("t")
        assert stored(database) == []


@pytest.mark.parametrize("settings", ASYNC_SETTINGS.values(), ids=ASYNC_SETTINGS)
async def test_async_pool_of_any_settings_is_set_up_and_used(database, settings):
    async with AsyncConnectionPool(database, min_size=1, kwargs=settings) as pool:
        saver = PostgresSnapshotSaver(async_pool=pool)
        await saver.asave_state("t", {"a": 1})
        await saver.asave_state("t", {"a": 2})
        assert await saver.aload_state("t") == {"a": 2}
        assert stored(database) == [("t", {"a": 2})]
        await saver.adelete_thread("t")
        assert stored(database) == []

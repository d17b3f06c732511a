"""The drivers on connections of every make: settings that an application may have chosen."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotSerializer

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


@pytest.mark.parametrize(
    ("value", "is_heavy"),
    [
        (["x"] * 8_000, True),
        ({"a": {"b": ["x"] * 8_000}}, True),
        ("x" * 1_000_000, True),
        (["x"] * 20, False),
        ({"a": {"b": ["x"] * 20}}, False),
        ("x" * 1_000, False),
    ],
)
async def test_large_values_are_not_encoded_on_the_event_loops_thread(
    ready_database, monkeypatch, value, is_heavy
):
    dumps, threads = SnapshotSerializer.dumps, set[int]()

    def noted(self, value):
        threads.add(threading.get_ident())
        return dumps(self, value)

    monkeypatch.setattr(SnapshotSerializer, "dumps", noted)
    async with PostgresSnapshotSaver(ready_database, auto_setup=False) as saver:
        version = saver.get_next_version(None, None)
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        checkpoint: Any = {**empty_checkpoint(), "channel_values": {"v": value}}
        checkpoint["channel_versions"] = {"v": version}
        stored = await saver.aput(config, checkpoint, {}, {"v": version})
        on_put, threads = threads, set[int]()
        await saver.aput_writes(stored, [("v", value)], "task")
        for used in (on_put, threads):
            assert (threading.get_ident() not in used) is is_heavy

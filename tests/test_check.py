"""`check` finds stored values that can't be loaded, and says why."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest

from langgraph_pg_snapshot import PostgresSnapshotSaver, TypeNotAllowedError


@dataclass
class Kept:
    text: str


def lose(database: str, name: str) -> None:
    """Have a class go by a name that no class has any more, as after a rename."""
    with psycopg.connect(database, autocommit=True) as conn:
        for table, column in (
            ("items", "item"),
            ("writes", "value"),
            ("history", "channel_values"),
        ):
            conn.execute(
                f"UPDATE agent_checkpoints_{table} SET {column} ="  # noqa: S608 -- our own names
                f" replace({column}::text, %s, %s)::jsonb WHERE {column} IS NOT NULL",
                [f'{name}"', f'{name}Gone"'],
            )


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_what_cannot_be_loaded_is_listed(ready_database, colour):
    saver = PostgresSnapshotSaver(ready_database)
    saver.save_state("fine", {"a": Kept("x")})
    long = [Kept("y" * 100) for _ in range(20)]
    first = saver.save_state("lost", {"small": Kept("x"), "plain": 1, "long": long})
    config = {"configurable": {"thread_id": "lost", "checkpoint_id": first}}
    saver.put_writes(config, [("w", Kept("z")), ("ok", 1)], "task")
    assert saver.check("lost") == []

    lose(ready_database, "Kept")
    saver.save_state("fine", {"a": 1})
    found = saver.check("lost") if colour == "sync" else await saver.acheck("lost")

    assert {(one.kind, one.channel) for one in found} == {
        ("value", "small"),
        ("value", "long"),
        ("write", "w"),
    }
    assert {one.checkpoint_id for one in found} == {first}
    assert all("KeptGone" in one.reason for one in found)
    assert saver.check("no such thread") == []
    with pytest.raises(TypeNotAllowedError, match=r"channel '(small|long)'.*KeptGone"):
        saver.load_state("lost")
    await saver.aclose()

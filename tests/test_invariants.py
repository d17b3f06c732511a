"""What the invariants are good for: each sort of damage is told by its name."""

from __future__ import annotations

import psycopg
import pytest

from graphs import nested_graph, tool_agent
from helpers import Driven, config_of
from invariants import EARLY, NEVER, violations
from langgraph_pg_snapshot import PostgresSnapshotSaver

# To a conversation, and to a subgraph's call that waits for an answer.
DAMAGE = {
    "thread without a checkpoint": "DELETE FROM agent_checkpoints_history",
    "checkpoint without its thread": "DELETE FROM agent_checkpoints_threads",
    "item without its thread": "UPDATE agent_checkpoints_items SET checkpoint_ns = 'other'",
    "metadata without its thread": "UPDATE agent_checkpoints_metadata SET thread_id = 'other'",
    "item that no checkpoint references": """
        INSERT INTO agent_checkpoints_items (thread_id, checkpoint_ns, item_id, item)
        VALUES ('talk', '', 9, '1')""",
    "checkpoint whose items are not all there": """
        DELETE FROM agent_checkpoints_items WHERE item_id = 1000000002""",
    "checkpoint that counts its items wrongly": """
        UPDATE agent_checkpoints_history SET item_count = item_count + 1""",
    "checkpoint whose values name other items": """
        UPDATE agent_checkpoints_history
        SET channel_values = channel_values || '{"more": {"$item": 5}}'""",
    "checkpoint whose parent is not there": """
        UPDATE agent_checkpoints_history SET parent_checkpoint_id = '1'""",
    "item number that the log has yet to give": """
        UPDATE agent_checkpoints_threads
        SET next_items = jsonb_set(next_items, '{messages}', '1000000002')""",
    "log that gave another number of items": """
        UPDATE agent_checkpoints_threads SET appended = appended + 1""",
    "item with another's digest": """
        UPDATE agent_checkpoints_items SET item = jsonb_set(item, '{content}', '"else"')
        WHERE thread_id = 'talk' AND item_id = 1000000002""",
    "value that can't be loaded": """
        UPDATE agent_checkpoints_items SET item = '{"$type": "none of ours"}', digest = NULL
        WHERE item_id = 1000000002""",
    "pending write without its checkpoint": """
        UPDATE agent_checkpoints_writes SET checkpoint_id = '1'""",
    "subgraph without its thread": """
        UPDATE agent_checkpoints_threads SET checkpoint_ns = 'other'
        WHERE thread_id = 'asks' AND checkpoint_ns = ''""",
}  # fmt: skip


@pytest.fixture
def filled(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        said = {"configurable": {"thread_id": "talk"}, "metadata": {"user_id": "ada"}}
        tool_agent(saver).invoke({"messages": [("human", "Where is it?")]}, said)
        nested_graph(saver).invoke({"log": ["in"]}, config_of("asks"))
        yield ready_database, Driven(saver, None)


def test_all_is_well(filled):
    assert violations(*filled) == {}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(filled, name):
    dsn, calls = filled
    with psycopg.connect(dsn) as conn:
        assert conn.execute(DAMAGE[name]).rowcount
    assert name in violations(dsn, calls)
    assert (name in violations(dsn, calls, early=True)) == (name not in EARLY)
    assert name not in violations(dsn, calls, ["another thread"])


def test_each_is_shown():
    assert {*NEVER, *EARLY} < {*DAMAGE}

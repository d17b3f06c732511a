"""A short form of `make soak`, and that it would tell."""

from __future__ import annotations

import psycopg
import pytest
import soak as soaking
from conversations import Conversation
from soak import TERMINATE, Sample, Soak, soak

from langgraph_pg_snapshot import PostgresSnapshotSaver


def test_short_soak():
    run = soak(15, conversations=24)
    assert run.faults == []
    for what in ("turns", "backends killed", "retries", "checkpoints swept", "vacuums"):
        assert run.counts[what] > 0


@pytest.fixture
def a_run(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        run = Soak(ready_database, saver)
        run.samples += [Sample(100, 14, 1)] * 9
        yield run


def test_nothing_to_tell(a_run):
    a_run.close()
    assert a_run.faults == []


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([Sample(114, 14, 1)] * 3, "rss grew from 100.0 to 114.0 MiB"),
        ([Sample(100, 16, 1)] * 3, "connections grew from 14.0 to 16.0"),
        ([Sample(100, 17, 1)], "more connections"),
    ],
)
def test_growth_is_told(a_run, samples, told):
    a_run.samples[9 - len(samples) :] = samples
    a_run.close()
    [fault] = a_run.faults
    assert fault.startswith(told)


def test_broken_tables_are_told(a_run):
    a_run.saver.save_state("thread", {"a": 1})
    with psycopg.connect(a_run.dsn) as conn:
        conn.execute("DELETE FROM agent_checkpoints_history")
    a_run.close()
    assert a_run.faults == ["thread without a checkpoint: [('thread', '')]"]


def test_failed_and_wrong_turns_are_told(a_run):
    conversation = Conversation("thread", "steps")
    with a_run.watched("turns", conversation):
        a_run.compare(conversation, {"log": []})
    assert conversation.turns == soaking.TURNS
    a_run.close()
    [fault] = a_run.faults
    assert "AssertionError: Conversation(thread_id='thread'" in fault


def test_killer_ends_backends_of_the_saver(a_run):
    a_run.saver.save_state("thread", {"a": 1})
    with psycopg.connect(a_run.dsn, autocommit=True) as conn:
        assert conn.execute(TERMINATE).fetchone() == (1,)

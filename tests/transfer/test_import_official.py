"""Threads of PostgresSaver: all of them come over, nothing there changes, runs go on here."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from left_threads import THREAD, THREADS, outcome

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer import OfficialTables, import_threads


def imported(saver: PostgresSnapshotSaver, dsn: str, **options):
    report = import_threads(saver, OfficialTables(dsn), **options)
    assert report.problems == []
    return report


@pytest.mark.parametrize("name", THREADS)
def test_every_checkpoint_is_the_same_and_the_source_is_untouched(
    name: str,
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    official_rows: Callable[[], str],
):
    THREADS[name].leave(official)
    before = official_rows()
    report = imported(saver, shared_database)
    assert official_rows() == before
    theirs = list(official.list({"configurable": {"thread_id": THREAD}}))
    ours = list(saver.list({"configurable": {"thread_id": THREAD}}))
    key = lambda found: tuple(found.config["configurable"].values())
    assert len(theirs) > 0
    for one, other in zip(sorted(ours, key=key), sorted(theirs, key=key), strict=True):
        assert one.config == other.config
        assert one.parent_config == other.parent_config
        assert one.checkpoint == other.checkpoint
        assert one.pending_writes == other.pending_writes
        assert one.metadata.keys() == other.metadata.keys()
        assert one.metadata["step"] == other.metadata["step"]
    assert (report.threads, report.new) == (1, 1)
    assert report.checkpoints == report.verified == len(theirs)
    assert report.writes == sum(len(found.pending_writes) for found in theirs)


def test_source_is_opened_for_reading_only(official: PostgresSaver, shared_database: str):
    with OfficialTables(shared_database).open() as reader:
        connection = reader.connection.connection
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM checkpoints")


@pytest.mark.parametrize("name", THREADS)
def test_run_goes_on_as_it_would_have_there(
    name: str, official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    THREADS[name].leave(official)
    imported(saver, shared_database)
    assert outcome(THREADS[name], saver) == outcome(THREADS[name], official)

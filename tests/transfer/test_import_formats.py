"""The official tables as older versions, other applications and hands left them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Send
from psycopg.types.json import Jsonb

from helpers import Chain, checkpoint_of, comparable, config_of, id_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, SchemaError
from langgraph_pg_snapshot.transfer import OfficialTables, import_threads
from langgraph_pg_snapshot.transfer.threads import Contents, Place

LONG = ["a value that does not stand in the row " * 10]


@pytest.fixture
def tables(shared_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to change the official tables by hand."""
    with psycopg.connect(shared_database, autocommit=True) as connection:
        yield connection


def assert_same_thread(
    official: PostgresSaver, saver: PostgresSnapshotSaver, dsn: str, thread_id: str = "t", **options
) -> None:
    """Import, and compare each checkpoint that either names."""
    report = import_threads(saver, OfficialTables(dsn, **options))
    assert report.problems == []
    configs = [each.config for each in official.list({"configurable": {"thread_id": thread_id}})]
    assert len(configs) == report.checkpoints
    for config in configs:
        assert comparable(saver.get_tuple(config)) == comparable(official.get_tuple(config))


def test_sends_that_lie_with_the_parent_are_found_there(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    chain = Chain(official, "t")
    parent = chain.put({"log": LONG}, v=3)
    official.put_writes(parent, [(TASKS, Send("work", 2))], "b-task", "~path 1")
    official.put_writes(parent, [(TASKS, Send("work", 1)), ("log", ["w"])], "a-task", "~path 2")
    chain.put({"log": [*LONG, "more"]}, v=3)
    chain.put({"log": [*LONG, "more", "and more"]}, v=3)
    assert_same_thread(official, saver, shared_database)
    [_, child, _] = saver.list(config_of("t"))
    assert child.checkpoint["channel_values"][TASKS] == [Send("work", 2), Send("work", 1)]


def test_tables_from_before_task_paths_are_read(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    tables: psycopg.Connection[Any],
):
    config = Chain(official, "t").put({"log": LONG})
    official.put_writes(config, [("log", "second")], "b")
    official.put_writes(config, [("log", "first"), ("__interrupt__", "ask")], "a")
    want = comparable(official.get_tuple(config))
    tables.execute("ALTER TABLE checkpoint_writes DROP COLUMN task_path")
    assert import_threads(saver, OfficialTables(shared_database)).ok
    assert comparable(saver.get_tuple(config)) == want


def test_a_checkpoint_that_sorts_before_its_parent_comes_behind_it(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    chain = Chain(official, "t")
    for checkpoint_id in ("m", "z", "a", "k"):
        chain.put({"log": [*LONG, checkpoint_id]}, checkpoint_id=checkpoint_id)
    assert_same_thread(official, saver, shared_database)
    assert [id_of(saver.get_tuple(config_of("t", one)).parent_config) for one in "mzak"] == [
        None, "m", "z", "a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parents", "order"),
    [
        ({"a": None, "b": "a", "c": "b"}, "abc"),
        ({"m": None, "z": "m", "a": "z", "k": "a"}, "mzak"),
        ({"a": "gone", "b": "a"}, "ab"),
        ({"b": "c", "c": "d", "d": "b"}, "dcb"),
        ({"a": "a", "b": "a"}, "ab"),
        ({"b": "z", "c": "z", "z": None}, "zbc"),
    ],
)
def test_parents_come_first(parents: dict[str, str | None], order: str):
    places = [(ns, one, parent) for ns in ("", "child") for one, parent in parents.items()]
    ordered = Contents.of(reversed(places), []).oldest_first()
    assert ordered == [Place(ns, one) for ns in ("", "child") for one in order]


def test_numbers_of_writes_stay(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    tables: psycopg.Connection[Any],
):
    config = Chain(official, "t").put({"log": LONG})
    official.put_writes(config, [("log", n) for n in range(3)], "task", "~path")
    official.put_writes(config, [("__interrupt__", 1), ("__error__", 2)], "task", "~path")
    tables.execute("UPDATE checkpoint_writes SET idx = 7 WHERE idx = 1")
    assert_same_thread(official, saver, shared_database)
    query = "SELECT idx, task_path, channel FROM {} ORDER BY 1"
    ours, theirs = (
        tables.execute(query.format(name)).fetchall()
        for name in ("agent_checkpoints_writes", "checkpoint_writes")
    )
    assert ours == theirs
    assert [idx for idx, *_ in ours] == [-3, -1, 0, 2, 7]


def test_checkpoints_whose_parent_was_pruned_and_cycles_made_by_hand_come_over(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    tables: psycopg.Connection[Any],
):
    chain = Chain(official, "t")
    for checkpoint_id in "abcd":
        chain.put({"log": [*LONG, checkpoint_id]}, checkpoint_id=checkpoint_id)
    tables.execute("DELETE FROM checkpoints WHERE checkpoint_id = 'a'")
    tables.execute("UPDATE checkpoints SET parent_checkpoint_id = 'd' WHERE checkpoint_id = 'c'")
    assert_same_thread(official, saver, shared_database)


def test_old_versions_values_and_metadata_stay(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    tables: psycopg.Connection[Any],
):
    """Numbers for versions, a value without one, one that changed under its version, no value."""
    first = checkpoint_of({"log": LONG, "n": 1, "same": "x"}, {"log": 1, "n": 1.5, "same": 1}, "1")
    first["channel_values"]["counter"] = 0
    second = {**first, "id": "2", "channel_versions": {"log": 2, "n": 2.5, "same": 1, "gone": 3}}
    second["channel_values"] = {"log": [*LONG, 2], "n": None, "same": "y", "counter": 1}
    second["pending_sends"] = []
    official.put(config_of("t"), first, {"source": "loop", "step": 1}, {"log": 1, "n": 1.5})
    official.put(config_of("t", "1"), second, {}, {"log": 2, "gone": 3})
    tables.execute("INSERT INTO checkpoint_blobs VALUES ('t', '', 'gone', '3', 'empty', NULL)")
    tables.execute(
        "UPDATE checkpoints SET metadata = %s WHERE checkpoint_id = '2'",
        [Jsonb({"writes": {"node": [1, {"b": None}]}, "score": 2, "parents": {}, "$odd": 1e300})],
    )
    assert_same_thread(official, saver, shared_database)


def test_times_are_those_of_the_checkpoints(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    tables: psycopg.Connection[Any],
):
    times = {
        "1": "2024-02-29T23:59:59.123456+00:00",
        "2": "2024-03-01T12:00:00+02:00",
        "3": "2024-03-02T00:00:00",
        "4": "2024-03-03T00:00:00Z",
        "5": "yesterday",
        "6": "2024-03-04T00:00:00+00:00",
    }
    parent = config_of("t")
    for checkpoint_id, ts in times.items():
        checkpoint = {**checkpoint_of({}, {}, checkpoint_id), "ts": ts}
        parent = official.put(parent, checkpoint, {}, {})
    started = datetime.now(timezone.utc)
    assert_same_thread(official, saver, shared_database)
    found = dict(
        tables.execute("SELECT checkpoint_id, created_at FROM agent_checkpoints_history").fetchall()
    )
    utc = timezone.utc
    assert found.pop("5") >= started
    assert found == {
        "1": datetime(2024, 2, 29, 23, 59, 59, 123456, utc),
        "2": datetime(2024, 3, 1, 10, tzinfo=utc),
        "3": datetime(2024, 3, 2, tzinfo=utc),
        "4": datetime(2024, 3, 3, tzinfo=utc),
        "6": datetime(2024, 3, 4, tzinfo=utc),
    }
    [thread] = saver.list_threads()
    assert (thread.created_at, thread.updated_at) == (found["1"], found["6"])


def test_tables_in_a_schema_are_found_there(shared_database: str, saver: PostgresSnapshotSaver):
    schema = 'old "50%" {}'
    with psycopg.connect(shared_database, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "old ""50%%"" {}"', ())
        connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [schema])
        connection.row_factory = psycopg.rows.dict_row
        official = PostgresSaver(connection)
        official.setup()
        config = Chain(official, "t").put({"log": LONG})
        official.put_writes(config, [("log", 1)], "task")
        assert_same_thread(official, saver, shared_database, schema=schema)


def test_many_threads_come_page_by_page(
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    monkeypatch: pytest.MonkeyPatch,
):
    from langgraph_pg_snapshot.transfer import official as module

    monkeypatch.setattr(module, "PAGE", 3)
    ids = ["", "A", "a", "b%", "ä", "z" * 900, "t 7"]
    for thread_id in ids:
        Chain(official, thread_id).put({"log": LONG})
    seen: list[Any] = []
    report = import_threads(saver, OfficialTables(shared_database), on_progress=seen.append)
    assert (report.problems, report.new, report.threads) == ([], 7, 7)
    assert {thread.thread_id for thread in saver.list_threads()} == set(ids)
    assert {step.threads for step in seen} == {7}
    assert [s.threads_done for s in seen if s.checkpoints_done == 0 and not s.verifying] == [
        *range(7)
    ]


def test_two_namespaces_with_the_same_channels_stay_apart(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    for ns in ("", "child", "child|grand:1"):
        chain = Chain(official, "t", ns)
        for step in range(3):
            chain.put({"log": [*LONG, ns, step]})
    assert_same_thread(official, saver, shared_database)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DROP TABLE checkpoint_blobs", r"no table checkpoint_blobs there: .*schema="),
        ("DROP TABLE checkpoints", r"no table checkpoints there"),
        ("ALTER TABLE checkpoints DROP COLUMN checkpoint_id", r"ShallowPostgresSaver"),
    ],
)
def test_tables_that_are_not_there_are_named(
    statement: str,
    message: str,
    saver: PostgresSnapshotSaver,
    shared_database: str,
    tables: psycopg.Connection[Any],
):
    tables.execute(statement)
    with pytest.raises(SchemaError, match=message):
        import_threads(saver, OfficialTables(shared_database))

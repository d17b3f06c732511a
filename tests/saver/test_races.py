"""Writers between the statements of a removal, a copy or a setup: nothing of theirs is lost.

Each test has another saver write just before a given statement is sent, so the race comes out the
same every time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest

from helpers import checkpoint_of, config_of, unreferenced_items
from langgraph_pg_snapshot import (
    InvalidArgumentError,
    PostgresSnapshotSaver,
    SchemaConflictError,
)
from langgraph_pg_snapshot._drivers import sync
from langgraph_pg_snapshot._plans import listing
from langgraph_pg_snapshot._plans.setup import set_up
from langgraph_pg_snapshot._plans.steps import Atomic
from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot.sql import Queries

LONG = [{"n": n, "text": "and so on " * 10} for n in range(6)]


@contextmanager
def before(saver, monkeypatch, statement, work, times=1):
    """Have other work done just before a saver sends a statement, the first time or few."""
    execute, left, working = sync._execute, [times], []
    query = saver._store.queries(statement)

    def hooked(conn, stmt, *rest):
        if stmt.query == query and left[0] and not working:
            left[0] -= 1
            working.append(True)  # its own statements are not meant
            work()
            working.clear()
        return execute(conn, stmt, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(sync, "_execute", hooked)
        yield
    assert left == [0], "the statement was not sent"


def put(saver, thread_id, ns="", *, parent=None, run_id=None, values=LONG):
    config = config_of(thread_id, parent, ns)
    version = next_version(None)
    metadata = {} if run_id is None else {"run_id": run_id}
    checkpoint = checkpoint_of({"long": values}, {"long": version})
    return saver.put(config, checkpoint, metadata, {"long": version})


def counts(dsn, thread_id):
    with psycopg.connect(dsn) as conn:
        return [
            conn.execute(
                f"SELECT count(*) FROM agent_checkpoints_{table} WHERE thread_id = %s",  # noqa: S608
                [thread_id],
            ).fetchone()[0]
            for table in ("threads", "history", "items", "writes")
        ]


@pytest.fixture
def one(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        yield saver


@pytest.fixture
def other(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        yield saver


@pytest.mark.parametrize("ns", ["", "sub"])
def test_prune_leaves_what_is_made_meanwhile(one, other, monkeypatch, ns):
    """In a thread without a root namespace, whose row would hold the writer off."""
    if ns:
        put(other, "t", "before")
    with before(one, monkeypatch, "drop_expendable", lambda: put(other, "t", ns)):
        one.prune(["t"])
    found = other.get_tuple(config_of("t", ns=ns))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"long": LONG}


def test_a_rollback_while_the_run_goes_on_leaves_no_half_of_a_namespace(
    one, other, ready_database, monkeypatch
):
    put(other, "t", "sub:0", run_id="run")
    made = []

    def make_namespace():
        made.append(put(other, "t", "sub:1", run_id="run"))

    def second_put_in_the_namespace():
        """Begin a put there, and have it commit while the removal is at work."""
        writer = PostgresSnapshotSaver(ready_database)
        thread = threading.Thread(
            target=put,
            args=(writer, "t", "sub:1"),
            kwargs={"parent": made[0]["configurable"]["checkpoint_id"], "run_id": "run"},
        )
        thread.start()
        thread.join()
        writer.close()

    with (
        before(one, monkeypatch, "checkpoints_of_runs", make_namespace),
        before(one, monkeypatch, "drop_checkpoints", second_put_in_the_namespace),
    ):
        one.delete_for_runs(["run"])
    assert counts(ready_database, "t") == [0, 0, 0, 0]
    put(other, "t", "sub:1", values=[*LONG, *LONG])
    assert unreferenced_items(ready_database, "t") == []


def test_copy_does_not_overwrite_a_target_that_moves_on(one, other, monkeypatch):
    first = put(other, "source")
    one.copy_thread("source", "target")
    put(other, "source", parent=first["configurable"]["checkpoint_id"])
    own = [{"its": "own", "text": "x" * 300}]

    def use_target():
        put(other, "target", parent=first["configurable"]["checkpoint_id"], values=own)

    with (
        before(one, monkeypatch, "lock_threads", use_target),
        pytest.raises(InvalidArgumentError, match="'target' has checkpoints"),
    ):
        one.copy_thread("source", "target")
    listed = [each.checkpoint["channel_values"]["long"] for each in other.list(config_of("target"))]
    assert listed == [own, LONG]


def test_copy_into_a_thread_that_is_being_made_copies_nothing(one, other, monkeypatch):
    put(other, "source")
    put(other, "source", "sub")
    own = [{"its": "own", "text": "x" * 300}]
    with (
        before(one, monkeypatch, "copy_thread", lambda: put(other, "target", values=own)),
        pytest.raises(InvalidArgumentError, match="nothing was copied"),
    ):
        one.copy_thread("source", "target")
    [found] = other.list({"configurable": {"thread_id": "target"}})
    assert found.checkpoint["channel_values"] == {"long": own}


def test_delete_thread_clears_rows_that_belong_to_no_namespace(one, ready_database):
    put(one, "t")
    with psycopg.connect(ready_database, autocommit=True) as conn:
        conn.execute("DELETE FROM agent_checkpoints_threads WHERE thread_id = 't'")
    assert counts(ready_database, "t")[:3] == [0, 1, len(LONG)]
    one.delete_thread("t")
    assert counts(ready_database, "t") == [0, 0, 0, 0]


def test_a_writer_that_always_loses_has_the_others_wait(one, other, monkeypatch):
    first = put(other, "t")
    parent = first["configurable"]["checkpoint_id"]

    numbers = count()

    def overtake():
        put(other, "t", parent=parent, values=[*LONG, {"more": "x" * 100, "n": next(numbers)}])

    with before(one, monkeypatch, "put_checkpoint", overtake, times=3):
        stored = put(one, "t", parent=parent)
    found = other.get_tuple(stored)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"long": LONG}


def test_savers_of_different_names_set_up_one_new_schema_at_once(database):
    names = [f"table_{n}" for n in range(6)]
    start = threading.Barrier(len(names))

    def set_up(name):
        with PostgresSnapshotSaver(database, table_name=name, schema="new", min_size=1) as saver:
            start.wait(30)
            saver.save_state("t", {"name": name})
            return saver.load_state("t")

    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(set_up, names)) == [{"name": name} for name in names]


def test_savers_with_and_without_the_schema_set_up_the_same_tables_at_once(database):
    start = threading.Barrier(6)

    def set_up(schema):
        with PostgresSnapshotSaver(database, schema=schema, min_size=1) as saver:
            start.wait(30)
            saver.setup()
            return saver.list_threads()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(set_up, [None, "public"] * 3)) == [[]] * 6


def test_setup_that_ends_while_another_looks(database):
    """What is committed meanwhile is seen whole or not at all, not as somebody else's."""
    with psycopg.connect(database) as looks:
        # As a statement that began before the other's commit and comes to the names after it.
        looks.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        looks.execute("SELECT")
        with PostgresSnapshotSaver(database) as saver:
            saver.setup()
        plan = set_up(Queries("agent_checkpoints"))
        look = next(plan)
        seen = looks.execute(look.query, look.params).fetchall()
        # It is not there yet: what comes next takes the lock, and looks again.
        assert isinstance(plan.send(seen), Atomic)


@pytest.mark.parametrize("suffix", ["", "_threads", "_history", "_items", "_writes", "_migrations"])
@pytest.mark.parametrize("kind", ["TABLE {} (a integer)", "VIEW {} AS SELECT 1 AS a"])
def test_someone_elses_relation_is_left_alone(database, suffix, kind):
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE {kind.format('agent_checkpoints' + suffix)}")
        with (
            PostgresSnapshotSaver(database) as saver,
            pytest.raises(SchemaConflictError, match=r"table_name=.*schema="),
        ):
            saver.load_state("t")
        relations = conn.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'agent%' AND relkind IN ('r', 'v')"
        ).fetchall()
        assert relations == [(f"agent_checkpoints{suffix}",)]


@pytest.mark.parametrize("read", ["list", "get_tuple"])
def test_a_read_survives_a_prune_between_its_statements(one, other, monkeypatch, read):
    def put_long(parent, number):
        values = [{"n": number, "at": place, "text": "and so on " * 10} for place in range(6)]
        put(other, "t", parent=parent, values=values)
        return other.get_tuple(config_of("t")).config["configurable"]["checkpoint_id"], values

    parent, expected = None, {}
    for number in range(120):  # more than a read takes in one statement
        parent, values = put_long(parent, number)
        expected[parent] = values

    def go_on_and_prune():
        nonlocal parent
        parent, values = put_long(parent, len(expected))
        expected[parent] = values
        other.prune(["t"])

    with before(one, monkeypatch, "get_items", go_on_and_prune, times=2):
        if read == "list":
            found = list(one.list(config_of("t"), limit=50))
        else:
            found = [one.get_tuple(config_of("t"))]
    assert found
    for each in found:
        assert each.checkpoint["channel_values"]["long"] == expected[each.checkpoint["id"]]


def some(kind):
    return [{kind: n, "text": "and so on " * 10} for n in range(6)]


READS = {
    "get_tuple": lambda saver, config: saver.get_tuple(config),
    "list": lambda saver, config: next(iter(saver.list(config)), None),
    "get_channel": lambda saver, _: saver.get_channel("t", "long"),
    "delta": lambda saver, config: saver.get_delta_channel_history(
        config=config, channels=["long"]
    ),
}


@pytest.mark.parametrize("read", READS)
def test_a_read_does_not_mix_a_thread_with_one_made_meanwhile(one, other, monkeypatch, read):
    """The new thread has other items under the same numbers."""
    parent = put(other, "t", values=some("old") * 100)  # so that its items are read apart
    head = put(other, "t", parent=parent["configurable"]["checkpoint_id"], values=some("old"))
    config = config_of("t")
    if read == "delta":
        config = put(other, "t", parent=head["configurable"]["checkpoint_id"])

    def make_anew():
        other.delete_thread("t")
        put(other, "t", values=some("new") * 100)

    with before(one, monkeypatch, "get_items", make_anew):
        found = READS[read](one, config)
    values = {
        "get_tuple": lambda: found.checkpoint["channel_values"]["long"],
        "list": lambda: found.checkpoint["channel_values"]["long"],
        "get_channel": lambda: found,
        "delta": lambda: found["long"].get("seed", []),
    }[read]()
    assert values in (some("new") * 100, [])
    assert values or read == "delta"  # of whose checkpoint nothing is left


def test_a_listing_does_not_mix_a_thread_with_one_made_after_it(one, other, monkeypatch):
    monkeypatch.setattr(listing, "PAGE", 1)
    old = [{"old": n, "text": "and so on " * 10} for n in range(6)]
    new = [{"new": n, "text": "and so on " * 10} for n in range(6)]
    newer = put(other, "t", values=old)["configurable"]["checkpoint_id"]
    listed = one.list(config_of("t"))
    assert next(listed).checkpoint["id"] == newer
    other.delete_thread("t")
    older = "0" + newer[1:]
    version = next_version(None)
    checkpoint = checkpoint_of({"long": new}, {"long": version}, older)
    other.put(config_of("t"), checkpoint, {}, {"long": version})
    assert [each.checkpoint["channel_values"]["long"] for each in listed] == [new]


def test_what_a_lost_commit_did_not_store_is_not_taken_for_stored(
    one, other, ready_database, monkeypatch
):
    """A writer that holds the thread loses its connection between its put and the commit."""
    parent = put(other, "t")["configurable"]["checkpoint_id"]
    own = [{"own": n, "text": "and so on " * 10} for n in range(6)]
    query, numbers, puts = one._store.queries("put_checkpoint"), count(), []
    execute = sync._execute

    def hooked(conn, stmt, *rest):
        if stmt.query != query or len(puts) > 3:
            return execute(conn, stmt, *rest)
        puts.append(conn.info.backend_pid)
        if len(puts) <= 3:  # overtaken, until it holds the thread
            with monkeypatch.context() as patch:
                patch.setattr(sync, "_execute", execute)
                values = [*LONG, {"more": "x" * 100, "n": next(numbers)}]
                put(other, "t", parent=parent, values=values)
            return execute(conn, stmt, *rest)
        rows = execute(conn, stmt, *rest)
        with psycopg.connect(ready_database, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", [puts[-1]])
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(sync, "_execute", hooked)
        stored = put(one, "t", parent=parent, values=own)
    assert len(puts) == 4
    found = other.get_tuple(stored)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"long": own}
    assert unreferenced_items(ready_database, "t") == []

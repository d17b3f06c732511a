"""The way back: threads that ran here go on at the official saver, or at any other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.shallow import ShallowPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from left_threads import CONFIG, THREAD, THREADS, outcome
from psycopg import sql

from helpers import Chain, config_of
from langgraph_pg_snapshot import (
    InvalidArgumentError,
    PostgresSnapshotSaver,
    SchemaError,
    StorageError,
)
from langgraph_pg_snapshot.transfer import (
    OfficialTables,
    aexport_threads,
    export_threads,
    import_threads,
)

LONG = ["a value that does not stand in the row " * 10]


@contextmanager
def _official(dsn: str, _tmp_path: Path) -> Iterator[tuple[Any, BaseCheckpointSaver]]:
    with PostgresSaver.from_conn_string(dsn) as saver:
        yield OfficialTables(dsn), saver


@contextmanager
def _official_saver(dsn: str, _tmp_path: Path) -> Iterator[tuple[Any, BaseCheckpointSaver]]:
    with PostgresSaver.from_conn_string(dsn) as saver:
        yield saver, saver


@contextmanager
def _sqlite(_dsn: str, tmp_path: Path) -> Iterator[tuple[Any, BaseCheckpointSaver]]:
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        yield saver, saver


@contextmanager
def _memory(_dsn: str, _tmp_path: Path) -> Iterator[tuple[Any, BaseCheckpointSaver]]:
    saver = InMemorySaver()
    yield saver, saver


TARGETS = {
    "official-tables": _official,
    "official-saver": _official_saver,
    "sqlite": _sqlite,
    "memory": _memory,
}


@pytest.fixture(params=TARGETS)
def target(
    request: pytest.FixtureRequest, shared_database: str, tmp_path: Path
) -> Iterator[tuple[Any, BaseCheckpointSaver]]:
    """What to hand to export_threads, and the saver that finds the threads afterwards."""
    with TARGETS[request.param](shared_database, tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", THREADS)
def test_run_goes_on_there(
    name: str,
    target: tuple[Any, BaseCheckpointSaver],
    saver: PostgresSnapshotSaver,
    our_rows: Callable[[], str],
):
    THREADS[name].leave(saver)
    before = our_rows()
    report = export_threads(saver, target[0])
    assert (report.problems, report.new) == ([], 1)
    assert our_rows() == before
    assert report.verified == len(list(saver.list(CONFIG)))
    again = export_threads(saver, target[0])
    assert (again.problems, again.unchanged, again.checkpoints) == ([], 1, 0)
    assert outcome(THREADS[name], target[1]) == outcome(THREADS[name], saver)


@pytest.mark.parametrize("name", ["interrupt", "subgraph-interrupt", "delta-snapshots", "forks"])
def test_there_and_back_and_on(
    name: str, official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    """Import, run here, export, run there, import again: each finds what the other did."""
    tables = OfficialTables(shared_database)
    THREADS[name].leave(official)
    assert import_threads(saver, tables).ok
    THREADS[name].leave(saver)
    back = export_threads(saver, tables)
    assert (back.problems, back.continued) == ([], 1)
    THREADS[name].go_on(official)
    again = import_threads(saver, tables)
    assert (again.problems, again.continued) == ([], 1)
    assert len(list(saver.list(CONFIG))) == len(list(official.list(CONFIG)))
    assert outcome(THREADS[name], saver) == outcome(THREADS[name], official)


def test_tables_are_made_where_there_are_none(database: str):
    with PostgresSnapshotSaver(database) as saver:
        THREADS["interrupt"].leave(saver)
        tables = OfficialTables(database)
        dry = export_threads(saver, tables, dry_run=True)
        assert (dry.new, dry.checkpoints) == (1, len(list(saver.list(CONFIG))))
        with psycopg.connect(database) as connection:
            [(made,)] = connection.execute("SELECT to_regclass('checkpoints')")
        assert made is None
        assert export_threads(saver, tables).ok
        with PostgresSaver.from_conn_string(database) as official:
            THREADS["interrupt"].go_on(official)


def test_saver_without_tables_is_named_and_gets_none(database: str):
    with PostgresSnapshotSaver(database) as saver:
        for thread_ids in (None, ["t"]):
            with pytest.raises(SchemaError, match="the tables are not there"):
                export_threads(saver, InMemorySaver(), thread_ids=thread_ids)
    with psycopg.connect(database) as connection:
        [(made,)] = connection.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^agent_'")
    assert made == 0


def test_tables_in_a_schema(database: str):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "the old"')
    with PostgresSnapshotSaver(database) as saver:
        Chain(saver, "t").put({"log": LONG})
        tables = OfficialTables(database, schema="the old")
        for unchanged in (0, 1):
            report = export_threads(saver, tables)
            assert (report.problems, report.unchanged) == ([], unchanged)
    with psycopg.connect(database) as connection:
        [(found,)] = connection.execute('SELECT count(*) FROM "the old".checkpoints')
        assert found == 1
        [(elsewhere,)] = connection.execute("SELECT to_regclass('public.checkpoints')")
        assert elsewhere is None


@pytest.mark.parametrize("dry_run", [False, True])
def test_schema_that_is_not_there_is_named(
    dry_run: bool, saver: PostgresSnapshotSaver, shared_database: str
):
    tables = OfficialTables(shared_database, schema="nosuch")
    with pytest.raises(SchemaError, match=r"writing to .*: there is no schema 'nosuch'"):
        export_threads(saver, tables, dry_run=dry_run)


def test_error_of_the_target_says_that_it_was_being_written_to(
    saver: PostgresSnapshotSaver, shared_database: str
):
    with psycopg.connect(shared_database) as connection:
        connection.execute("DROP TABLE checkpoint_migrations")
        connection.execute("CREATE VIEW checkpoint_migrations AS SELECT 1 AS x")
    with pytest.raises(StorageError, match=r"^writing to the tables of PostgresSaver"):
        export_threads(saver, OfficialTables(shared_database))


def test_one_connection_reads_a_target_of_many_threads(
    saver: PostgresSnapshotSaver, shared_database: str, monkeypatch: pytest.MonkeyPatch
):
    for number in range(5):
        Chain(saver, f"t{number}").put({"log": LONG})
    opened: list[str] = []
    connect = psycopg.connect
    monkeypatch.setattr(psycopg, "connect", lambda *a, **o: opened.append("") or connect(*a, **o))
    for unchanged in (0, 5):
        opened.clear()
        assert export_threads(saver, OfficialTables(shared_database)).unchanged == unchanged
        assert len(opened) == 2  # one that writes, one that reads


def test_shallow_saver_is_no_target(saver: PostgresSnapshotSaver, database: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with (
            ShallowPostgresSaver.from_conn_string(database) as there,
            pytest.raises(InvalidArgumentError, match="a ShallowPostgresSaver keeps only"),
        ):
            export_threads(saver, there)


def test_numbers_paths_and_order_of_writes_stay(
    saver: PostgresSnapshotSaver, official: PostgresSaver, shared_database: str
):
    config = Chain(saver, "t").put({"log": LONG})
    saver.put_writes(config, [("log", 1), ("log", 2)], "z", "~path 1")
    saver.put_writes(config, [("__interrupt__", "ask"), ("__resume__", ["a"])], "a", "~path 2")
    assert export_threads(saver, OfficialTables(shared_database)).ok
    assert official.get_tuple(config).pending_writes == saver.get_tuple(config).pending_writes
    query = sql.SQL("SELECT task_id, task_path, idx, channel FROM {} ORDER BY 1, 3")
    with psycopg.connect(shared_database) as connection:
        theirs, ours = (
            connection.execute(query.format(sql.Identifier(table)))
            for table in ("checkpoint_writes", "agent_checkpoints_writes")
        )
        assert theirs.fetchall() == ours.fetchall()


def test_thread_of_the_same_id_is_refused(
    target: tuple[Any, BaseCheckpointSaver], saver: PostgresSnapshotSaver
):
    Chain(target[1], "mine").put({"log": LONG})
    Chain(saver, "mine").put({"log": LONG})
    Chain(saver, "fine").put({"log": LONG})
    before = list(target[1].list(config_of("mine")))
    report = export_threads(saver, target[0])
    assert [(p.thread_id, p.kind) for p in report.problems] == [("mine", "conflict")]
    assert report.new == 1
    assert list(target[1].list(config_of("mine"))) == before


def test_long_thread_is_looked_at_page_by_page(saver: PostgresSnapshotSaver):
    listed: list[int | None] = []

    class Listed(InMemorySaver):
        def list(self, config, *, filter=None, before=None, limit=None):  # noqa: A002
            listed.append(limit)
            return super().list(config, filter=filter, before=before, limit=limit)

    for ns in ("", "child"):
        chain = Chain(saver, "t", ns)
        for step in range(55):
            chain.put({"log": [*LONG, step]})
    there = Listed()
    assert export_threads(saver, there).checkpoints == 110
    listed.clear()
    report = export_threads(saver, there, verify=False)
    assert (report.unchanged, report.problems) == (1, [])
    assert listed == [50, 50, 50, 50]


def test_value_that_the_target_does_not_take_is_named(saver: PostgresSnapshotSaver):
    class Refusing(JsonPlusSerializer):
        def dumps_typed(self, obj):
            if obj == 2**70:
                raise TypeError("Integer exceeds 64-bit range")
            return super().dumps_typed(obj)

    for thread_id in ("a", "b", "c"):
        chain = Chain(saver, thread_id)
        chain.put({"log": LONG})
        chain.put({"n": 2**70 if thread_id == "b" else 1})
    there = InMemorySaver(serde=Refusing())
    report = export_threads(saver, there)
    assert [(p.thread_id, p.kind) for p in report.problems] == [("b", "unstorable")]
    assert "Integer exceeds" in report.problems[0].reason
    assert report.new == 2
    assert sorted({each.config["configurable"]["thread_id"] for each in there.list(None)}) == [
        "a", "c",
    ]  # fmt: skip


def test_saver_without_task_paths_is_filled(saver: PostgresSnapshotSaver):
    class Old(InMemorySaver):
        def put_writes(self, config, writes, task_id):  # type: ignore[override]  # as it was
            super().put_writes(config, writes, task_id)

    config = Chain(saver, "t").put({"log": LONG})
    saver.put_writes(config, [("log", 1)], "task", "~path")
    there = Old()
    assert export_threads(saver, there).ok
    assert there.get_tuple(config).pending_writes == [("task", "log", 1)]


async def test_async_saver_of_the_running_loop_is_filled(
    saver: PostgresSnapshotSaver, shared_database: str
):
    THREADS["interrupt"].leave(saver)
    async with AsyncPostgresSaver.from_conn_string(shared_database) as there:
        report = await aexport_threads(saver, there, thread_ids=[THREAD])
        assert (report.problems, report.new) == ([], 1)
        assert len([each async for each in there.alist(CONFIG)]) == report.checkpoints


def test_password_is_never_shown(saver: PostgresSnapshotSaver):
    tables = OfficialTables("postgresql://me:s3cret@127.0.0.1:1/mine")
    with pytest.raises(StorageError, match="dbname=mine") as caught:
        export_threads(saver, tables)
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"

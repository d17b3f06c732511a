"""The role that runs graphs can do just that, with tenants and without."""

from __future__ import annotations

import psycopg
import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from methods import METHODS, OTHERS, fill, public_names

from graphs import (
    LONG,
    agent_turn_graph,
    approve,
    asking_graph,
    async_workflow,
    delta_graph,
    fan_out_graph,
    human,
    nested_graph,
    plain,
    steps_graph,
    tool_agent,
    workflow,
)
from helpers import Variant, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, StorageError
from langgraph_pg_snapshot.transfer import SqliteFile, export_threads, import_threads

COLOURS = [Variant("sync", "conninfo", "snapshot"), Variant("async", "conninfo", "snapshot")]


@pytest.mark.parametrize("tenant", [None, "acme"])
async def test_conformance(make_place, tenant):
    @checkpointer_test(name=f"runtime {tenant}")
    async def factory():
        with make_place(tenants=tenant is not None) as place:
            async with PostgresSnapshotSaver(
                place.runtime, tenant=tenant, auto_setup=False
            ) as saver:
                yield saver

    report = await validate(factory)
    assert len(report.results) == 8
    for result in report.results.values():
        assert result.tests_passed > 0
        assert not result.failures
        assert result.detected
        assert not result.tests_skipped


@pytest.mark.parametrize("variant", COLOURS, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_works(either, variant, name):
    place, options = either
    with variant.open(place.runtime, **options) as driven:
        fill(driven, "mark of a")
        METHODS[name](driven)


def test_every_method_is_called():
    assert set(METHODS) | OTHERS == public_names()
    assert not set(METHODS) & OTHERS


GRAPHS = {
    "tools": (tool_agent, [{"messages": [human("one")]}, {"messages": [human("two")]}]),
    "approval": (agent_turn_graph, [{"log": ["in"]}, approve()]),
    "interrupts": (asking_graph, [{"log": ["start"]}]),
    "subgraphs": (nested_graph, [{"log": ["in"]}, Command(resume="yes")]),
    "fan-out": (fan_out_graph, [{"items": [1, 2, 3]}]),
    "steps": (steps_graph, [{"log": ["in"]}, {"log": ["more"]}]),
    "functional": (workflow, [[1, 2], Command(resume=3)]),
    "deltas": (
        lambda saver: delta_graph(saver, every=2),
        [{"messages": [LONG]}, {"messages": ["b"]}],
    ),
}


@pytest.mark.parametrize("variant", COLOURS, ids=str)
@pytest.mark.parametrize("make", GRAPHS)
def test_graphs_run_as_in_memory(either, variant, make):
    place, options = either
    build, inputs = GRAPHS[make]
    with variant.open(place.runtime, **options) as driven:
        seen = []
        for saver in (driven.saver, InMemorySaver()):
            is_async_workflow = build is workflow and driven.loop is not None
            graph = (async_workflow if is_async_workflow else build)(saver)
            for given in inputs:
                driven.call(graph, "invoke", given, config_of("thread"))
            history = driven.collect(graph, "get_state_history", config_of("thread"))
            seen.append([(plain(each.values), each.next, len(each.tasks)) for each in history])
    assert seen[0] == seen[1]
    assert len(seen[0]) > 1


def table_of(options: dict) -> str:
    return "agent_checkpoints_history" + ("_by_tenant" if options["tenant"] else "")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE {table} ADD COLUMN mine text",
        "ALTER TABLE {table} OWNER TO runs_graphs",
        "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON {table} USING (true)",
        "CREATE INDEX ON {table} (created_at)",
        "CREATE RULE mine AS ON UPDATE TO {table} DO INSTEAD NOTHING",
        "COMMENT ON TABLE {table} IS 'mine'",
        "TRUNCATE {table}",
        "DROP TABLE {table}",
        "DROP VIEW agent_checkpoints",
        "CREATE OR REPLACE VIEW agent_checkpoints AS SELECT 1 AS one",
        "UPDATE agent_checkpoints_migrations SET version = 99",
        "DELETE FROM agent_checkpoints_migrations",
        "SELECT * FROM canary",
        "SELECT * FROM pg_authid",
        "SET ROLE tables_owner",
        "COPY {table} TO PROGRAM 'cat'",
    ],
)
def test_runtime_can_do_no_more_than_read_and_write_rows(either, statement):
    place, options = either
    with (
        psycopg.connect(place.runtime, autocommit=True) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute(statement.format(table=table_of(options)))


def test_runtime_can_bring_nothing_up_to_date(either):
    place, options = either
    with psycopg.connect(place.admin, autocommit=True) as admin:
        admin.execute("DELETE FROM agent_checkpoints_migrations WHERE version > 1")
    with PostgresSnapshotSaver(place.runtime, **options) as saver:
        assert not saver.check_schema().ok
        with pytest.raises(StorageError):
            saver.setup()


def test_runtime_copies_threads_to_and_from_other_savers(either, tmp_path):
    place, options = either
    with SqliteSaver.from_conn_string(str(tmp_path / "old.sqlite")) as old:
        tool_agent(old).invoke({"messages": [human("one")]}, config_of("thread"))
    with (
        PostgresSnapshotSaver(place.runtime, **options) as saver,
        SqliteSaver.from_conn_string(str(tmp_path / "new.sqlite")) as new,
    ):
        assert import_threads(saver, SqliteFile(tmp_path / "old.sqlite")).ok
        assert export_threads(saver, new).ok
        found, stored = (each.get_tuple(config_of("thread")) for each in (saver, new))
        assert found.checkpoint["channel_values"] == stored.checkpoint["channel_values"]

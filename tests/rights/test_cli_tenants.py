"""The command line looks after one tenant's threads."""

from __future__ import annotations

import json

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from typer.testing import CliRunner

from langgraph_pg_snapshot import PostgresSnapshotSaver, rights_sql, schema_sql
from langgraph_pg_snapshot.cli.app import app


def run(dsn: str | None, *arguments: str):
    return CliRunner().invoke(app, arguments, env={"DATABASE_URL": dsn})


def run_json(dsn: str, *arguments: str):
    done = run(dsn, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def runtime(place) -> str:
    for tenant in "ab":
        with PostgresSnapshotSaver(place.runtime, tenant=tenant) as saver:
            saver.save_state("thread", {"who": f"mark of {tenant}"})
    return place.runtime


def test_commands_show_and_change_one_tenants_threads(runtime):
    assert run_json(runtime, "show", "thread", "--tenant", "a")["state"] == {"who": "mark of a"}
    [step] = run_json(runtime, "history", "thread", "--tenant", "b")["checkpoints"]
    assert step["changed_channels"] == ["who"]
    with PostgresSnapshotSaver(runtime, tenant="b") as saver:
        config = {"configurable": {"thread_id": "thread", "checkpoint_ns": "sub:b"}}
        saver.put(config, empty_checkpoint(), {}, {})
    for tenant, namespaces in (("a", []), ("b", ["sub:b"])):
        found = run_json(runtime, "history", "thread", "--tenant", tenant)
        assert found["namespaces"] == namespaces
    assert run_json(runtime, "stats", "--tenant", "a")["threads"] == 1
    assert run_json(runtime, "threads", "--tenant", "c")["threads"] == []
    run_json(runtime, "erase", "thread", "--tenant", "a", "--yes")
    assert run_json(runtime, "threads", "--tenant", "a")["threads"] == []
    assert run_json(runtime, "show", "thread", "--tenant", "b")["state"] == {"who": "mark of b"}


def test_command_without_a_tenant_or_as_superuser_is_refused(place, runtime):
    for dsn, *arguments in ((runtime, "threads"), (place.admin, "threads", "--tenant", "a")):
        done = run(dsn, *arguments)
        assert done.exit_code == 1
        assert "tenant" in done.output
        assert "mark of" not in done.output


def test_sql_and_setup_are_those_of_tables_for_tenants(database):
    done = run(None, "sql", "--tenants", "--runtime", "app", "--json")
    assert json.loads(done.stdout) == {
        "version": json.loads(done.stdout)["version"],
        "ddl": schema_sql(tenants=True),
        "grants": rights_sql(runtime="app", tenants=True),
    }
    run_json(database, "setup", "--tenant", "any")
    assert run_json(database, "check", "--tenant", "other")["ok"]
    with psycopg.connect(database) as admin:
        [(row,)] = admin.execute(
            "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'agent_checkpoints_items'"
        ).fetchall()
    assert row is True

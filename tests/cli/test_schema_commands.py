"""setup, check and sql: what they do, and the JSON that they print."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from shop_threads import Run, execute, relations

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.sql import migrations

NEWEST = migrations()[-1].version


def test_setup_makes_the_tables_and_says_so(database: str, run_on: Run):
    assert run_on(database, "setup", "--json").json == {
        "version": NEWEST,
        "applied": [each.name for each in migrations()],
    }
    done = run_on(database, "setup")
    assert (done.code, done.out) == (
        0,
        f"agent_checkpoints: schema version {NEWEST}, nothing to do\n",
    )


def test_check_tells_by_its_exit_code(database: str, run_on: Run):
    before = run_on(database, "check", "--json")
    assert (before.code, before.json["ok"], before.json["version"]) == (1, False, 0)
    assert before.json["pending"] == [each.name for each in migrations()]
    assert '"agent_checkpoints_items"' in before.json["missing"]
    assert relations(database) == {}  # it only looks

    run_on(database, "setup")
    after = run_on(database, "check", "--json")
    assert (after.code, after.json) == (
        0,
        {"ok": True, "version": NEWEST, "newest": NEWEST, "pending": [], "missing": []},
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DROP VIEW agent_checkpoints_messages", 'missing: "agent_checkpoints_messages"'),
        (
            "DELETE FROM agent_checkpoints_migrations WHERE version > 1",
            "to be applied: views",
        ),
    ],
)
def test_check_says_what_is_the_matter(ready_database: str, run_on: Run, damage: str, said: str):
    execute(ready_database, damage)
    done = run_on(ready_database, "check")
    assert done.code == 1
    assert said in done.out.splitlines()
    # Other commands don't go on with half of the tables.
    refused = run_on(ready_database, "threads")
    assert refused.code == 1
    assert "not up to date" in refused.err


def test_check_of_tables_that_are_newer_or_another_ones(ready_database: str, run_on: Run):
    execute(ready_database, "INSERT INTO agent_checkpoints_migrations VALUES (999, 'later')")
    done = run_on(ready_database, "check")
    assert (done.code, done.out) == (1, "")
    assert "schema version 999" in done.err
    execute(ready_database, "CREATE TABLE other (thread_id text)")
    done = run_on(ready_database, "check", "--table-name", "other")
    assert done.code == 1
    assert "not made by langgraph-pg-snapshot" in done.err


def test_check_of_a_thread_goes_by_the_modules_that_are_imported(run: Run):
    done = run("check", "--thread", "liam", "--json")
    assert (done.code, done.json["ok"], done.json["thread_id"]) == (1, False, "liam")
    assert {each["channel"] for each in done.json["unloadable"]} == {"order"}
    assert set(done.json["unloadable"][0]) == {
        *("checkpoint_ns", "checkpoint_id", "kind", "channel", "reason")
    }
    assert "shop_models:Order" in run("check", "--thread", "liam").out
    done = run("check", "--thread", "liam", "--import", "shop_models", "--json")
    assert (done.code, done.json) == (0, {"ok": True, "thread_id": "liam", "unloadable": []})
    assert run("check", "--thread", "liam").out == "thread 'liam': every value can be loaded\n"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_check_of_a_thread_that_is_not_there(run: Run, options: tuple[str, ...]):
    done = run("check", "--thread", "nobody", *options)
    assert done.code == 1
    assert done.err == "langgraph-pg-snapshot: there is no thread 'nobody'\n"
    assert "can be loaded" not in done.out


@pytest.mark.parametrize("names", [{}, {"table_name": "sup%port", "schema": "agents"}])
def test_sql_makes_what_setup_makes(
    database: str, any_ready: Callable[..., str], run_on: Run, names: dict[str, str]
):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in names.items()]
    script = run_on(None, "sql", *options)
    assert script.code == 0
    execute(database, script.out)
    with PostgresSnapshotSaver(any_ready(), **names) as saver:
        saver.setup()
    schema = names.get("schema", "public")
    assert relations(database, schema) == relations(any_ready(), schema)
    assert run_on(database, "check", *options).code == 0


@pytest.fixture
def any_ready(server) -> Callable[[], str]:
    """The conninfo of another empty database."""
    with server.clone(server.template("empty")) as dsn:
        yield lambda: dsn


def test_sql_brings_older_tables_up_to_date(database: str, run_on: Run):
    whole = run_on(None, "sql", "--json").json
    assert whole["version"] == NEWEST
    assert whole["grants"] == ""
    rest = run_on(None, "sql", "--since", "1", "--json").json["ddl"]
    assert whole["ddl"].endswith(rest)
    first = run_on(None, "sql", "--until", "1", "--json").json
    assert first == {
        "version": 1,
        "ddl": whole["ddl"].removesuffix(rest).rstrip("\n") + "\n",
        "grants": "",
    }
    assert "up to version 1." in run_on(None, "sql", "--until", "1").out
    refused = run_on(None, "sql", "--since", "2", "--until", "1")
    assert (refused.code, refused.out) == (1, "")
    assert "until must be" in refused.err
    execute(database, first["ddl"])
    assert run_on(database, "check", "--json").json["version"] == 1
    execute(database, rest)
    assert run_on(database, "check").code == 0


def test_sql_gives_each_role_its_rights(database: str, server, run_on: Run):
    roles = {
        name: f'"{database.rpartition("dbname=")[2].split()[0]} {name}"'
        for name in ("owner", "runtime", "reader")
    }
    plain = {name: quoted.strip('"') for name, quoted in roles.items()}
    for quoted in roles.values():
        execute(database, f"CREATE ROLE {quoted}")
    try:
        options = [f"--{option}={name}" for option, name in plain.items()]
        execute(database, run_on(None, "sql", *options).out)
        assert {owner.partition(" ")[2] for owner in relations(database).values()}
        with psycopg.connect(database) as connection:
            owners = connection.execute(
                "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
                " WHERE relname LIKE 'agent_checkpoints%' AND relkind IN ('r', 'v')"
            ).fetchall()
        assert owners == [(plain["owner"],)]
        as_role = {
            name: make_conninfo(
                database, options=f"-c role={each}".replace(" ", "\\ ").replace("-c\\ ", "-c ")
            )
            for name, each in plain.items()
        }
        with PostgresSnapshotSaver(as_role["runtime"]) as saver:
            saver.save_state("liam", {"a": 1})
            assert saver.load_state("liam") == {"a": 1}
        assert run_on(as_role["runtime"], "threads").code == 0
        with psycopg.connect(as_role["reader"]) as reader:
            assert reader.execute("SELECT state FROM agent_checkpoints").fetchall() == [({"a": 1},)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT 1 FROM agent_checkpoints_items")
        execute(database, "DELETE FROM agent_checkpoints_migrations WHERE version = 3")
        assert run_on(as_role["runtime"], "setup").code == 1
        assert run_on(as_role["owner"], "setup").code == 0
    finally:
        for quoted in roles.values():
            execute(database, f"DROP OWNED BY {quoted} CASCADE; DROP ROLE {quoted}")

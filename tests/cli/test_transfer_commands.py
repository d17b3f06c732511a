"""import and export, and the options that go to every command."""

from __future__ import annotations

from pathlib import Path

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from psycopg import sql
from shop_threads import LIAM, Run, build, execute, relations

from langgraph_pg_snapshot import PostgresSnapshotSaver

REPORT = {
    *("dry_run", "threads", "new", "continued", "unchanged", "checkpoints", "writes"),
    *("verified", "problems", "ok"),
}


def test_import_from_the_official_tables_and_export_back(database: str, server, run_on: Run, shop):
    with PostgresSaver.from_conn_string(database) as official:
        official.setup()
        build(official, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    looked = run_on(database, "import", "--dry-run", "--json").json
    assert set(looked) == REPORT
    assert (looked["dry_run"], looked["new"], looked["verified"]) == (True, 1, 0)
    assert "agent_checkpoints_threads" not in relations(database)

    done = run_on(database, "import", database, "--json")
    assert (done.code, done.json["new"], done.json["ok"]) == (0, 1, True)
    assert done.json["verified"] == done.json["checkpoints"] == 3
    assert run_on(database, "show", "liam", "--json").json["state"]["order"]["number"] == 1042
    assert "1 unchanged" in run_on(database, "import", "--thread", "liam").out

    with server.clone(server.template("empty")) as other:
        done = run_on(database, "export", other, "--json")
        assert (done.code, set(done.json), done.json["new"]) == (0, REPORT, 1)
        with PostgresSaver.from_conn_string(other) as official:
            state = build(official, shop).get_state(LIAM).values
    assert state["order"] == shop.Order(1042, ["tea"])


def test_import_from_a_file(database: str, run_on: Run, shop, tmp_path: Path):
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        build(saver, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    done = run_on(database, "import", "threads.sqlite", "--no-verify")
    assert done.code == 0
    assert done.out.startswith("looked at 1 thread, done: 1 new")
    missing = run_on(database, "import", "nowhere.sqlite")
    assert missing.code == 2
    assert "there is no file 'nowhere.sqlite'" in missing.err


def test_import_from_a_plain_table(database: str, run_on: Run):
    execute(
        database,
        "CREATE TABLE states (thread_id text, state jsonb, created_at timestamptz,"
        " updated_at timestamptz);"
        "INSERT INTO states VALUES ('liam', '{\"a\": 1}', now(), now())",
    )
    options = ["--kind", "plain", "--source-table", "states"]
    assert run_on(database, "import", *options).code == 0
    assert run_on(database, "show", "liam", "--json").json["state"] == {"a": 1}


def test_import_that_did_not_all_go_well(database: str, run_on: Run, shop):
    with PostgresSaver.from_conn_string(database) as official:
        official.setup()
        build(official, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    with PostgresSnapshotSaver(database) as saver:
        saver.save_state("liam", {"other": 1})
    done = run_on(database, "import", "--json")
    assert (done.code, done.json["ok"]) == (1, False)
    assert [each["kind"] for each in done.json["problems"]] == ["conflict"]
    assert "conflict" in run_on(database, "import").out


def test_names_of_tables_go_to_every_command(database: str, run_on: Run):
    names = ("--table-name", "support", "--schema", "agents")
    assert run_on(database, "setup", *names).code == 0
    with PostgresSnapshotSaver(database, table_name="support", schema="agents") as saver:
        saver.save_state("liam", {"a": 1})
    assert run_on(database, "show", "liam", "--json", *names).json["state"] == {"a": 1}
    assert len(run_on(database, "history", "liam", "--json", *names).json["checkpoints"]) == 1
    other = run_on(database, "threads")
    assert other.code == 1
    assert "there are no tables of 'agent_checkpoints'" in other.err
    assert sql.Identifier("support").as_string(None) in run_on(None, "sql", *names).out

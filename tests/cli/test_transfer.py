"""import and export on the command line: sources, serializers, and being interrupted."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from langchain_core.messages import HumanMessage, messages_to_dict
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from psycopg.types.json import Jsonb
from shop_threads import Run

from graphs import steps_graph, tool_agent
from helpers import SERDES, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver

APP = textwrap.dedent(
    """
    from langchain_core.messages import messages_from_dict
    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

    done = []
    number = 1

    def to_state(state):
        return {**state, "messages": messages_from_dict(state["messages"])}

    def interrupted(state):
        if done:
            raise KeyboardInterrupt
        done.append(state)
        return {"n": 1}

    def encrypted():
        return EncryptedSerializer.from_pycryptodome_aes(key=b"sixteen byte key")

    instance = encrypted()

    def refusing():
        raise LookupError("no key")
    """
)
PLAIN = ("--kind", "plain", "--source-table", "states")


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application's module, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "transfer_app.py").write_text(APP)
    yield
    sys.modules.pop("transfer_app", None)


@pytest.fixture
def states(database: str) -> str:
    """A database with a table of states, whose messages are dicts."""
    stored = Jsonb({"messages": messages_to_dict([HumanMessage("Hello")])})
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE states (thread_id text, state jsonb)")
        for thread_id in ("liam", "rosa"):
            connection.execute("INSERT INTO states VALUES (%s, %s)", [thread_id, stored])
    return database


def test_messages_of_a_table_of_states_take_a_function(states: str, run_on: Run):
    refused = run_on(states, "import", *PLAIN)
    assert refused.code == 1
    assert "unreadable" in refused.out
    assert "--to-state" in refused.out
    done = run_on(states, "import", *PLAIN, "--to-state", "transfer_app:to_state")
    assert (done.code, "2 new" in done.out) == (0, True)
    with PostgresSnapshotSaver(states) as saver:
        result = tool_agent(saver).invoke({"messages": [("user", "Again")]}, config_of("liam"))
    assert [each.content for each in result["messages"][:2]] == ["Hello", "Again"]


def test_interrupted_import_says_how_far_it_was(states: str, run_on: Run):
    options = ("import", *PLAIN, "--no-verify", "--to-state", "transfer_app:interrupted")
    done = run_on(states, *options)
    assert (done.code, done.out) == (130, "")
    assert done.err == ("langgraph-pg-snapshot: stopped after 1 thread; do it again to go on\n")
    again = run_on(states, *options, "--json")
    said = "stopped after 1 thread; do it again to go on"
    assert (again.code, again.json) == (130, {"error": {"kind": "interrupted", "message": said}})
    assert len(run_on(states, "threads", "--json").json["threads"]) == 1


@pytest.mark.parametrize("name", ["encrypted", "instance"])
def test_other_serializers_are_named(name: str, database: str, server, run_on: Run):
    serde = f"transfer_app:{name}"
    with PostgresSaver.from_conn_string(database) as official:
        official.serde = SERDES["encrypted"]()
        official.setup()
        steps_graph(official).invoke({"log": ["start"]}, config_of("liam"))
    refused = run_on(database, "import")
    assert (refused.code, "unreadable" in refused.out) == (1, True)
    done = run_on(database, "import", "--source-serde", serde, "--serde", serde)
    assert (done.code, "1 new" in done.out) == (0, True)
    assert run_on(database, "show", "liam", "--json").json["opaque"] != []
    with server.clone(server.template("empty")) as other:
        done = run_on(database, "export", other, "--serde", serde, "--target-serde", serde)
        assert (done.code, "1 new" in done.out) == (0, True)
        with PostgresSaver.from_conn_string(other) as official:
            official.serde = SERDES["encrypted"]()
            assert steps_graph(official).get_state(config_of("liam")).values["log"][0] == "start"


@pytest.mark.parametrize("name", ["a=b.sqlite", "a b.sqlite"])
def test_file_of_any_name(name: str, database: str, run_on: Run):
    with SqliteSaver.from_conn_string(name) as saver:
        steps_graph(saver).invoke({"log": ["start"]}, config_of("liam"))
    done = run_on(database, "import", f"./{name}")
    assert (done.code, "1 new" in done.out) == (0, True)


def test_dry_run_does_not_say_that_it_copied(database: str, run_on: Run):
    with SqliteSaver.from_conn_string("a.sqlite") as saver:
        steps_graph(saver).invoke({"log": ["start"]}, config_of("liam"))
    done = run_on(database, "import", "a.sqlite", "--dry-run")
    assert "would be 1 new" in done.out
    assert done.out.endswith("to copy\n")


@pytest.mark.parametrize("arguments", [(), ("empty.sqlite",), PLAIN])
def test_source_that_can_not_be_read_makes_no_tables(
    arguments: tuple[str, ...], database: str, run_on: Run
):
    Path("empty.sqlite").touch()
    assert run_on(database, "import", *arguments).code == 1
    assert run_on(database, "check", "--json").json["version"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["f.sqlite", "--kind", "plain"], "--kind plain is about a database"),
        (["f.sqlite", "--source-schema", "s"], "--source-schema says nothing about a file"),
        (["f.sqlite", "--source-table", "t"], "--source-table says nothing about a file"),
        (["--source-table", "t"], "--source-table says nothing about a source of --kind official"),
        (["--to-state", "builtins:dict"], "--to-state says nothing about a source of --kind off"),
        ([*PLAIN, "--source-serde", "a:b"], "--source-serde says nothing about a source of --kind"),
        ([*PLAIN, "--to-state", "dict"], "--to-state is of the form MODULE:NAME, not 'dict'"),
        ([*PLAIN, "--to-state", "no_such_module:f"], "--to-state no_such_module:f: ModuleNotFound"),
        ([*PLAIN, "--to-state", "transfer_app:number"], "transfer_app:number: it is a int"),
        (["--serde", "transfer_app:nobody"], "--serde transfer_app:nobody: AttributeError"),
        (
            ["--serde", "transfer_app:refusing"],
            "transfer_app:refusing: LookupError: no key",
        ),
        (["--source-serde", "builtins:dict"], "a dict is no serializer"),
        (["x" * 5_000], "there is no file"),
    ],
)
def test_misuse_is_named(database: str, run_on: Run, arguments: list[str], said: str):
    Path("f.sqlite").touch()
    done = run_on(database, "import", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err

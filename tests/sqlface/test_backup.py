"""A dump that is restored into an empty database gives threads that go on where they were."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command
from talks import DeltaChat, chat_graph

from graphs import plain
from helpers import SERDES, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver
from servers import Server, available_bindirs

PAGE = (Path(__file__).parents[2] / "docs/sql.md").read_text(encoding="utf-8")
ANSWER = Command(resume="yes, you may")


@pytest.fixture
def restored(any_server: Server) -> Iterator[str]:
    """The conninfo of another empty database on the same server."""
    with any_server.clone(any_server.template("empty")) as dsn:
        yield dsn


def run(version: int, program: str, *arguments: str | Path) -> None:
    """Run one of a version's programs; what it complains about is an error."""
    done = subprocess.run(
        [available_bindirs()[version] / program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def fill(saver: PostgresSnapshotSaver) -> None:
    """A list, a DeltaChannel between two snapshots, a question that is open, who they belong to."""
    for thread_id, graph in graphs(saver).items():
        config = config_of(thread_id) | {"metadata": {"user_id": "ada"}}
        for text in ("hello", "look_up 17", "ask may I?"):
            graph.invoke({"messages": [HumanMessage(text, id=text)]}, config)


def graphs(saver):
    return {"list": chat_graph(saver), "delta": chat_graph(saver, DeltaChat)}


def seen(saver: PostgresSnapshotSaver) -> list[object]:
    """All checkpoints, and what the graphs make of their threads."""
    states = [graph.get_state(config_of(name)) for name, graph in graphs(saver).items()]
    assert all(state.interrupts for state in states)
    return [
        list(saver.list(None)),
        [state.values for state in states],
        [state.interrupts for state in states],
        saver.list_threads(),
    ]


def rows_of_views(dsn: str, schema: str) -> list[object]:
    with psycopg.connect(dsn, options=f"-c search_path={schema}") as conn:
        return [
            conn.execute(f"SELECT * FROM {view} ORDER BY 1, 2, 3").fetchall()  # noqa: S608
            for view in ("agent_checkpoints_messages", "agent_checkpoints_steps")
        ]


def goes_on(saver: PostgresSnapshotSaver) -> list[object]:
    """Answer what was asked, and go on: both graphs' results, and a new thread's."""
    said = []
    for thread_id, graph in graphs(saver).items():
        said.append(plain(graph.invoke(ANSWER, config_of(thread_id))))
        graph.invoke({"messages": [HumanMessage("hello again")]}, config_of(thread_id))
        said.append(len(graph.get_state(config_of(thread_id)).values["messages"]))
    saver.copy_thread("list", "copy")
    saver.prune(["copy"])
    chat_graph(saver).invoke({"messages": [HumanMessage("new")]}, config_of("new"))
    said.append(sorted(thread.thread_id for thread in saver.list_threads()))
    return said


@pytest.mark.parametrize(
    "how", [("plain", None), ("custom", None), ("plain", "agents"), ("custom", "agents")], ids=str
)
def test_dump_and_restore(any_server, any_database, restored, tmp_path, how):
    form, schema = how
    with PostgresSnapshotSaver(any_database, schema=schema) as saver:
        fill(saver)
        before = seen(saver)
        views = rows_of_views(any_database, schema or "public")
        dump = tmp_path / "dump"
        chosen = ["--schema", schema] if schema else []
        run(any_server.version, "pg_dump", any_database, f"--format={form}", "-f", dump, *chosen)
        expected = goes_on(saver)
    restoring = {
        "plain": ("psql", "--quiet", "--set=ON_ERROR_STOP=1", "-f", dump, "-o", "/dev/null"),
        "custom": ("pg_restore", "--exit-on-error", dump),
    }
    run(any_server.version, *restoring[form], "-d", restored)
    with PostgresSnapshotSaver(restored, schema=schema) as saver:
        assert seen(saver) == before
        assert rows_of_views(restored, schema or "public") == views
        assert [saver.check(name) for name in graphs(saver)] == [[], []]
        assert goes_on(saver) == expected


@pytest.mark.parametrize("serde", ["snapshot", "jsonplus"])
def test_data_alone_is_restored_into_tables_that_are_there(
    any_server, any_database, restored, tmp_path, serde
):
    """With the command of the page."""
    dump = tmp_path / "dump"
    command = re.search(r'^pg_dump (--data-only .*) "\$SOURCE"', PAGE, re.MULTILINE)
    assert command is not None
    options = shlex.split(command[1])
    with PostgresSnapshotSaver(any_database, serde=SERDES[serde]()) as saver:
        fill(saver)
        before = seen(saver)
        run(
            any_server.version,
            *("pg_dump", *options, any_database, "-f", dump),
        )
        expected = goes_on(saver)
    with PostgresSnapshotSaver(restored, serde=SERDES[serde]()) as saver:
        saver.setup()
        run(
            any_server.version,
            *("psql", "--quiet", "--set=ON_ERROR_STOP=1", "-o", "/dev/null", "-f", dump),
            *("-d", restored),
        )
        assert seen(saver) == before
        assert goes_on(saver) == expected

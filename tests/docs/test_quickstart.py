"""The quickstart runs from an empty directory, and what it says is true."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.embedded import EmbeddedServer

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


def quickstart(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, QUICKSTART, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def servers_on(data: Path) -> list[int]:
    """The processes that work in this directory, as a PostgreSQL server does in its data's."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:  # gone, or another user's
            continue
        if where.is_relative_to(data.resolve()):
            found.append(int(process.name))
    return found


def has_write(checkpoint: CheckpointTuple, channel: str) -> bool:
    return channel in {written for _, written, _ in checkpoint.pending_writes or ()}


@dataclass
class Run:
    """A finished run in a directory of its own."""

    directory: Path
    status: int
    output: str
    errors: str
    servers_afterwards: Sequence[int]

    @property
    def data(self) -> Path:
        return self.directory / ".demo"

    def process_of(self, act: str) -> int:
        return int(re.search(rf"^== Act {act}: process (\d+)", self.output, re.MULTILINE)[1])

    @property
    def thread(self) -> str:
        return re.search(r"^ +(liam-\w+)  ", self.output, re.MULTILINE)[1]

    def table_under(self, heading: str) -> list[list[str]]:
        """The cells of the table that is printed under a heading; columns are two spaces apart."""
        section = self.output.partition(f"{heading}\n")[2].partition("\n== ")[0]
        return [
            re.split(r" {2,}", line) for line in section.strip().rpartition("\n\n")[2].split("\n")
        ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("quickstart")
    done = quickstart(directory)
    left = servers_on(directory)
    return Run(directory, done.returncode, done.stdout, done.stderr, left)


@pytest.fixture(scope="module")
def history(finished: Run) -> dict[str, CheckpointTuple]:
    """The checkpoints of the thread that was interrupted, as a third process reads them."""
    with PostgresSnapshotSaver.embedded(finished.data) as saver:
        config = {"configurable": {"thread_id": finished.thread, "checkpoint_ns": ""}}
        return {c.checkpoint["id"]: c for c in saver.list(config)}


def ends(history: dict[str, CheckpointTuple]) -> list[CheckpointTuple]:
    """The checkpoints without children, oldest first."""
    parents = {
        c.parent_config["configurable"]["checkpoint_id"]
        for c in history.values()
        if c.parent_config
    }
    return [history[each] for each in sorted(history.keys() - parents)]


def lineage(
    history: dict[str, CheckpointTuple], end: CheckpointTuple | None
) -> list[CheckpointTuple]:
    """A checkpoint and its ancestors, newest first."""
    found = []
    while end is not None:
        found.append(end)
        parent = end.parent_config
        end = history[parent["configurable"]["checkpoint_id"]] if parent else None
    return found


def test_it_ends_well_and_has_nothing_to_complain_about(finished: Run):
    assert (finished.status, finished.errors) == (0, "")


def test_no_server_is_left(finished: Run):
    assert finished.servers_afterwards == []
    with EmbeddedServer.start(finished.data) as server:  # this is how one would be seen
        assert server.pid in servers_on(finished.directory)


def test_two_processes_take_part_and_the_first_is_gone(finished: Run):
    first, second = finished.process_of("one"), finished.process_of("two")
    assert first != second
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_first_process_is_killed_while_the_thread_waits(tmp_path: Path):
    done = quickstart(tmp_path, "data", "--act-one", "run")
    assert done.returncode == -signal.SIGKILL
    with PostgresSnapshotSaver.embedded(tmp_path / "data") as saver:
        newest = saver.get_tuple({"configurable": {"thread_id": "liam-run"}})
        other = saver.get_tuple({"configurable": {"thread_id": "rosa-run"}})
    assert has_write(newest, "__interrupt__")
    assert not has_write(newest, "__resume__")
    # The look-up ran at the same time, and is not lost.
    assert has_write(newest, "messages")
    assert newest.checkpoint["channel_values"].get("refunded", 0) == 0
    assert not has_write(other, "__interrupt__")
    assert "1042" in other.checkpoint["channel_values"]["messages"][-1].content


def test_second_process_did_only_what_was_left(finished: Run):
    resumed = finished.output.partition("== Act two")[2].partition("\n== ")[0]
    assert "refund_order('1017')" in resumed
    assert "look_up_order" not in resumed


def test_both_decisions_are_in_the_history(history: dict[str, CheckpointTuple]):
    approved, declined = ends(history)
    assert approved.checkpoint["channel_values"]["refunded"] == Decimal("59.70")
    assert "Kim approved" in approved.checkpoint["channel_values"]["messages"][-1].content
    assert declined.checkpoint["channel_values"]["refunded"] == Decimal(0)
    assert "Noa declined" in declined.checkpoint["channel_values"]["messages"][-1].content


def test_fork_starts_at_the_interrupt(history: dict[str, CheckpointTuple]):
    approved, declined = ends(history)
    shared = [c for c in lineage(history, declined) if c in lineage(history, approved)]
    assert has_write(shared[0], "__interrupt__")
    assert shared[0].checkpoint["channel_values"].get("refunded", 0) == 0
    assert len(shared) < min(len(lineage(history, each)) for each in (approved, declined))


def test_histories_are_printed(finished: Run, history: dict[str, CheckpointTuple]):
    before = finished.table_under("== The thread's history, newest first")
    after = finished.table_under("== Both ends are kept; the newest one is the thread's state")
    ids = sorted(history, reverse=True)
    assert [row[0] for row in after[1:]] == [each[4:23] for each in ids]
    approved, _ = ends(history)
    assert [row[0] for row in before[1:]] == [
        c.checkpoint["id"][4:23] for c in lineage(history, approved)
    ]


def test_sql_rows_are_printed(finished: Run, history: dict[str, CheckpointTuple]):
    newest = history[max(history)].checkpoint["channel_values"]
    answers = finished.table_under("== SQL: Who talked to us last, and where does it stand?")
    assert [row[0].partition("-")[0] for row in answers[1:]] == ["liam", "rosa"]
    assert newest["messages"][-1].content.startswith(answers[1][1].rstrip("…"))

    messages = finished.table_under("== SQL: One conversation, a row a message")
    assert [row[0] for row in messages[1:]] == [message.type for message in newest["messages"]]

    (counted,) = finished.table_under(
        "== SQL: Each checkpoint has the whole conversation, and each message is stored once"
    )[1:]
    with (
        EmbeddedServer.start(finished.data) as server,
        psycopg.connect(server.dsn) as connection,
    ):
        stored = connection.execute(
            "SELECT count(*) FROM agent_checkpoints_items WHERE thread_id = %s", [finished.thread]
        ).fetchone()[0]
    assert int(counted[0]) == len(history)
    assert int(counted[2]) == stored < int(counted[1])


def test_it_can_run_again_in_the_same_place(finished: Run):
    again = quickstart(finished.directory)
    assert (again.returncode, again.stderr) == (0, "")
    with PostgresSnapshotSaver.embedded(finished.data) as saver:
        assert len(saver.list_threads()) == 4

"""sweep and erase: they say what goes, ask, and do it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from shop_threads import Run

from helpers import SERDES, Chain
from langgraph_pg_snapshot import PostgresSnapshotSaver

REPORT = {
    *("threads", "shortened", "checkpoints", "items", "writes", "bytes", "skipped", "dry_run"),
}


def checkpoints(run: Run) -> dict[str, int]:
    """How many each thread has."""
    listed: Any = run("threads", "--json").json["threads"]
    return {each["thread_id"]: each["checkpoints"] for each in listed}


CASES = [
    (["sweep", "--keep-last", "2"], {"liam": 2, "rosa": 2}),
    (["sweep", "--max-age", "0s"], {"liam": 1, "rosa": 1}),
    (["sweep", "--max-age", "1w", "--max-idle", "90d"], {"liam": 9, "rosa": 3}),
    (["erase", "rosa"], {"liam": 9}),
    (["erase", "rosa", "liam", "nobody"], {}),
    (["erase", "--filter", "user_id=u-17"], {"rosa": 3}),
    (["erase", "--filter", "user_id=u-17", "--filter", "team=blue"], {"liam": 9, "rosa": 3}),
]


@pytest.mark.parametrize(("arguments", "left"), CASES, ids=" ".join)
def test_what_is_said_before_is_what_goes(run: Run, arguments: list[str], left: dict[str, int]):
    before = checkpoints(run)
    planned = run(*arguments, "--dry-run", "--json")
    assert (planned.code, set(planned.json), planned.json["dry_run"]) == (0, REPORT, True)
    assert checkpoints(run) == before

    done = run(*arguments, "--yes", "--json")
    assert done.code == 0
    assert done.json == {**planned.json, "dry_run": False}
    assert checkpoints(run) == left
    assert done.json["checkpoints"] == sum(before.values()) - sum(left.values())


@pytest.mark.parametrize("arguments", [["sweep", "--keep-last", "1"], ["erase", "rosa"]])
def test_it_asks(run: Run, arguments: list[str]):
    before = checkpoints(run)
    for answer in ("n\n", ""):
        refused = run(*arguments, answer=answer)
        assert refused.code == 1
        assert refused.out.startswith("would remove ")
        assert "Remove this?" in refused.out
        assert refused.err.splitlines()[-1] == "langgraph-pg-snapshot: nothing was done"
        assert checkpoints(run) == before
    done = run(*arguments, answer="y\n")
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("removed ")
    assert checkpoints(run) != before
    # There is nothing left to ask about.
    again = run(*arguments)
    assert (again.code, again.out.count("\n")) == (0, 1)


def test_threads_in_use_are_counted(threads: str, run_on: Run):
    with psycopg.connect(threads) as holder:
        holder.execute(
            "SELECT 1 FROM agent_checkpoints_threads WHERE thread_id = 'liam' FOR UPDATE"
        )
        done = run_on(threads, "sweep", "--keep-last", "1", "--yes")
    assert "; left 1 thread that others held" in done.out


def test_sealed_metadata_is_not_taken_for_none(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database, serde=SERDES["encrypted"]()) as saver:
        Chain(saver, "liam").put({"a": 1}, metadata={"user_id": "u-17"})
    refused = run_on(ready_database, "erase", "--filter", "user_id=u-17", "--yes")
    assert (refused.code, refused.out) == (1, "")
    assert "sealed by a serializer that encrypts" in refused.err
    assert run_on(ready_database, "erase", "liam", "--yes", "--json").json["threads"] == 1

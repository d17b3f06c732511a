"""threads, copy and stats: what they do, and the JSON that they print."""

from __future__ import annotations

import shlex
from datetime import datetime

import pytest
from shop_threads import Run

from langgraph_pg_snapshot import PostgresSnapshotSaver


def test_threads_lists_and_searches(run: Run):
    found = run("threads", "--json").json
    assert [each["thread_id"] for each in found["threads"]] == ["liam", "rosa"]
    assert found["next"] is None
    first = found["threads"][0]
    assert set(first) == {"thread_id", "created_at", "updated_at", "checkpoints", "metadata"}
    assert (first["checkpoints"], first["metadata"]["user_id"]) == (9, "u-17")
    assert datetime.fromisoformat(first["updated_at"]).tzinfo is not None

    def ids(*options: str) -> list[str]:
        return [t["thread_id"] for t in run("threads", "--json", *options).json["threads"]]

    assert ids("--order", "oldest") == ["rosa", "liam"]
    assert ids("--filter", "user_id=u-4") == ["rosa"]
    assert ids("--filter", 'user_id="u-4"') == ["rosa"]
    assert ids("--filter", "user_id=u-4", "--filter", "team=blue") == []
    lines = run("threads").out.splitlines()
    assert lines[0].split() == ["thread", "checkpoints", "updated", "metadata"]
    assert lines[2].split()[:2] == ["liam", "9"]
    assert "user_id=u-17" in lines[2]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_threads_goes_on_after_a_page(threads: str, run_on: Run, order: str):
    with PostgresSnapshotSaver(threads) as saver:
        for number in range(5):
            saver.save_state(f"a thread/{number}", {"n": number})
        whole = [each.thread_id for each in saver.list_threads(order=order)]
    listed, cursor = [], None
    while True:
        after = ["--after", cursor] if cursor else []
        page = run_on(threads, "threads", "--limit", "2", "--order", order, "--json", *after).json
        listed += [each["thread_id"] for each in page["threads"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert listed == whole
    assert len(listed) == 7


HOSTILE_IDS = [
    "it's $(touch pwned) `touch pwned` $HOME",
    "back\\slash \"quotes\" and 'quotes'",
    "line\nbreak\ttab; rm -rf . #",
    "\x1b[2Jcleared\x07",
    "日本 e\u0301 \u202eturned",
    "user:me@example.com/?a=b&c=%2F 100% ~ * {x,y} !!",
    "-dash",
]


def test_hint_for_the_next_page_survives_a_shell(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        for thread_id in (*HOSTILE_IDS, "the last"):
            saver.save_state(thread_id, {"n": 1})
    options = ("threads", "--limit", "1", "--order", "oldest")
    after: list[str] = []
    for thread_id in HOSTILE_IDS:
        page = run_on(ready_database, *options, *after, "--json").json
        assert [each["thread_id"] for each in page["threads"]] == [thread_id]
        hint = run_on(ready_database, *options, *after).err
        assert hint.startswith("more: --after ")
        assert (hint.count("\n"), hint.rstrip("\n").isprintable()) == (1, True)
        after = shlex.split(hint.removeprefix("more: "))
        assert after == ["--after", page["next"]]
    assert run_on(ready_database, *options, *after, "--json").json["next"] is None


def test_copy_copies_all_or_the_head(run: Run):
    done = run("copy", "liam", "kim", "--json")
    assert (done.code, done.json) == (
        0,
        {"source": "liam", "target": "kim", "head_only": False, "checkpoints": 9},
    )
    assert run("copy", "liam", "lee", "--head-only").out == (
        "copied 'liam' to 'lee', which has 1 checkpoint\n"
    )
    assert run("show", "lee", "--json").json["state"] == run("show", "liam", "--json").json["state"]
    same = run("copy", "liam", "liam")
    assert (same.code, same.out) == (2, "")
    assert "SOURCE and TARGET are both 'liam'" in same.err
    refused = run("copy", "rosa", "kim")
    assert refused.code == 1
    assert "kim" in refused.err


def test_stats_counts(run: Run):
    found = run("stats", "--json").json
    assert set(found) == {
        *("threads", "checkpoints", "items", "writes", "tables", "largest_threads")
    }
    assert (found["threads"], found["checkpoints"]) == (2, 12)
    assert [each["thread_id"] for each in found["largest_threads"]] == ["liam", "rosa"]
    names = {each["name"] for each in found["tables"]}
    assert "agent_checkpoints_items" in names
    assert "agent_checkpoints_messages" not in names  # a view takes no place
    assert "2 threads, 12 checkpoints" in run("stats").out

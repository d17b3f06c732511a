"""Threads whose values another serializer stored are listed and told of, not read."""

from __future__ import annotations

import pytest
from shop_threads import LIAM, Run, build

from helpers import SERDES
from langgraph_pg_snapshot import PostgresSnapshotSaver


@pytest.fixture(params=["jsonplus", "encrypted"])
def opaque(request: pytest.FixtureRequest, ready_database: str, shop) -> str:
    """A database with a thread that another serializer stored."""
    with PostgresSnapshotSaver(ready_database, serde=SERDES[request.param]()) as saver:
        graph = build(saver, shop)
        graph.invoke({"messages": [("user", "I would like tea " * 30)]}, LIAM)
        graph.invoke({"messages": [("user", "Please send it")]}, LIAM)
        saver.save_state("dict", {"settings": {f"key {n}": "a long value " * 9 for n in range(9)}})
    return ready_database


def test_show_says_so(opaque: str, run_on: Run):
    found = run_on(opaque, "show", "liam", "--json")
    assert (found.code, found.json["opaque"]) == (0, ["messages", "order", "settings"])
    assert found.json["step"] == 4
    assert all("$opaque" in str(value) for value in found.json["state"].values())
    said = run_on(opaque, "show", "liam").out
    assert "messages: stored by another serializer; only the application can read it" in said
    assert "waits for an answer" in said
    one = run_on(opaque, "show", "liam", "--channel", "order", "--json").json
    assert one["opaque"] == ["order"]
    whole = run_on(opaque, "show", "dict", "--json").json
    assert (list(whole["state"]["settings"]), whole["opaque"]) == (["$opaque"], ["settings"])


def test_history_and_threads_need_no_values(opaque: str, run_on: Run):
    lines = run_on(opaque, "history", "liam").out.splitlines()
    assert "ran clerk  changed messages, order, settings" in lines[-1]
    assert [t["thread_id"] for t in run_on(opaque, "threads", "--json").json["threads"]] == [
        *("dict", "liam")
    ]


def test_diff_and_check_do_what_they_can(opaque: str, run_on: Run):
    done = run_on(opaque, "diff", "liam", "oldest", "--json")
    assert done.code == 0
    assert {each["change"] for each in done.json["channels"].values()} == {"added"}
    checked = run_on(opaque, "check", "--thread", "liam", "--import", "shop_models", "--json")
    assert checked.code == 1
    assert "by another serializer" in checked.json["unloadable"][0]["reason"]


def test_copy_needs_no_values_either(opaque: str, run_on: Run):
    assert run_on(opaque, "copy", "liam", "kim").code == 0


def test_stored_form_of_all_kinds_of_places(ready_database: str, run_on: Run):
    """Values in the row, as an item, by element and by entry come as the view has them."""
    long = "a long value " * 30
    state = {
        "small": {"a": (1, 2)},
        "item": (long, long),
        "list": [{"text": long, "n": n} for n in range(3)],
        "dict": {f"key {n}": {"text": long, "at": (n,)} for n in range(3)},
    }
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", state)
    import psycopg

    with psycopg.connect(ready_database) as connection:
        [(viewed,)] = connection.execute("SELECT state FROM agent_checkpoints").fetchall()
    assert run_on(ready_database, "show", "t", "--json").json["state"] == viewed

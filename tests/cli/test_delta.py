"""DeltaChannels: a checkpoint between two snapshots does not store them, and commands say so."""

from __future__ import annotations

import pytest
from shop_threads import LIAM, Done, Run

from graphs import delta_graph
from helpers import SERDES
from langgraph_pg_snapshot import PostgresSnapshotSaver


@pytest.fixture(params=["snapshot", "encrypted"])
def fill(request: pytest.FixtureRequest, ready_database: str, run_on: Run):
    """Run a graph twice whose messages lie in a DeltaChannel; then commands on its thread."""

    def filled(*, every: int) -> Run:
        serde = SERDES[request.param]()
        with PostgresSnapshotSaver(ready_database, serde=serde) as saver:
            graph = delta_graph(saver, every=every)
            for word in ("one", "two"):
                graph.invoke({"messages": [word], "note": word}, LIAM)

        def run(*args: str) -> Done:
            return run_on(ready_database, *args)

        return run

    return filled


def test_show_names_channels_that_are_not_stored(fill):
    run = fill(every=1000)
    found = run("show", "liam", "--json").json
    assert found["not_stored"] == ["messages"]
    assert set(found["state"]) == {"note"}
    [line] = [each for each in run("show", "liam").out.splitlines() if "messages" in each]
    assert line.startswith("messages: a DeltaChannel, not stored in this checkpoint: ")
    assert "graph.get_state(config)" in line
    one = run("show", "liam", "--channel", "note", "--json").json
    assert one["not_stored"] == []
    refused = run("show", "liam", "--channel", "messages")
    assert refused.code == 1
    assert "DeltaChannel" in refused.err


def test_threads_does_not_list_the_counters(fill):
    run = fill(every=1000)
    assert "counters" in run("show", "liam", "--json").out
    assert "counters" not in run("threads").out


def test_show_of_a_snapshot_has_nothing_to_add(fill):
    run = fill(every=1)
    found = run("show", "liam", "--json").json
    assert (set(found["state"]), found["not_stored"]) == ({"messages", "note"}, [])
    assert "DeltaChannel" not in run("show", "liam").out


def test_diff_tells_of_no_change_that_it_can_not_see(fill):
    run = fill(every=1000)
    ids = [each["checkpoint_id"] for each in run("history", "liam", "--json").json["checkpoints"]]
    found = run("diff", "liam", "oldest", "--json").json
    assert (set(found["channels"]), found["not_stored"]) == ({"note"}, ["messages"])
    lines = run("diff", "liam", "oldest").out.splitlines()
    assert lines[0].startswith("+ note: ")
    assert lines[1].startswith("? messages: a DeltaChannel, which one of these")
    quiet = run("diff", "liam", ids[1]).out.splitlines()
    assert quiet[0] == "nothing that is stored changed"
    assert run("diff", "liam", ids[0]).out == "nothing changed\n"


def test_diff_does_not_take_what_is_not_stored_for_removed(fill):
    """With a snapshot at every third update some checkpoints have the value and others have not."""
    run = fill(every=3)
    ids = [each["checkpoint_id"] for each in run("history", "liam", "--json").json["checkpoints"]]
    shown = [run("show", "liam", "--checkpoint", each, "--json").json for each in ids]
    stores = {"messages" in each["state"] for each in shown if not each["not_stored"]}
    assert True in stores
    assert any(each["not_stored"] for each in shown)
    for before, after in zip(shown[1:], shown, strict=False):
        named = (before["checkpoint_id"], after["checkpoint_id"])
        found = run("diff", "liam", *named, "--json").json
        unknown = {*before["not_stored"], *after["not_stored"]}
        assert found["not_stored"] == sorted(unknown)
        assert unknown.isdisjoint(found["channels"])

"""show, history and diff: what they tell, and the JSON that they print."""

from __future__ import annotations

import sys

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, StateGraph
from shop_threads import LIAM, Run, State, execute

from graphs import nested_graph
from langgraph_pg_snapshot import PostgresSnapshotSaver


def test_show_tells_the_state_without_its_classes(run: Run):
    assert "shop_models" not in sys.modules
    found = run("show", "liam", "--json").json
    assert set(found) == {
        *("thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "created_at"),
        *("step", "source", "metadata", "state", "interrupts", "opaque", "not_stored"),
        "namespaces",
    }
    order = {"$type": "shop_models:Order", "number": 1042, "goods": ["tea"] * 3}
    assert found["state"]["order"] == order
    assert [each["$type"] for each in found["state"]["messages"]] == ["human", "ai"] * 2
    assert found["interrupts"] == ["Send order 1042?"]
    assert found["opaque"] == []
    lines = run("show", "liam").out.splitlines()
    assert lines[0] == "liam"
    assert lines[lines.index("messages (4)") + 1 :][:2] == [
        "  human: I would like tea",
        "  ai: Noted, that makes 1.",
    ]
    assert 'order: Order(goods=["tea", "tea", "tea"], number=1042)' in lines
    assert lines[-1] == "waits for an answer: Send order 1042?"


def test_show_tells_a_channel_and_the_end_of_lists(run: Run):
    one = run("show", "liam", "--channel", "messages", "--last", "1", "--json").json["state"]
    assert [each["content"] for each in one["messages"]] == ["Noted, that makes 3."]
    every = run("show", "liam", "--last", "1", "--json").json["state"]
    assert every["messages"] == one["messages"]
    assert every["order"]["number"] == 1042
    missing = run("show", "liam", "--channel", "nothing")
    assert missing.code == 1
    assert "has no channel 'nothing'" in missing.err


@pytest.mark.parametrize(
    ("value", "end"),
    [
        (["a", "b"], ["b"]),
        (["long text " * 9 + str(n) for n in range(5)], ["long text " * 9 + "4"]),
        (("a", "b"), {"$type": "tuple", "items": ["b"]}),
        ({"k": [1, 2]}, {"k": [1, 2]}),
        (7, 7),
    ],
)
def test_last_elements_of_what_can_be_in_a_channel(ready_database: str, run_on: Run, value, end):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {"c": value})
    for options in ((), ("--channel", "c")):
        done = run_on(ready_database, "show", "t", "--last", "1", "--json", *options)
        assert done.json["state"] == {"c": end}


def test_show_tells_earlier_states(run: Run):
    ids = [c["checkpoint_id"] for c in run("history", "liam", "--json").json["checkpoints"]]
    found = run("show", "liam", "--checkpoint", ids[3], "--json").json
    assert found["checkpoint_id"] == ids[3]
    assert found["state"]["messages"][-1]["content"] == "Noted, that makes 3."
    assert found["interrupts"] == []
    assert run("show", "liam", "--checkpoint", ids[3][-12:], "--json").json == found
    assert run("show", "liam", "--checkpoint", "oldest", "--json").json["state"] == {}
    common = ids[0][:5]
    refused = run("show", "liam", "--checkpoint", common)
    assert refused.code == 1
    assert f"has 9 checkpoints like '{common}'" in refused.err


def test_history_is_a_tree_with_forks(run: Run):
    found = run("history", "liam", "--json").json
    assert set(found) == {"thread_id", "checkpoint_ns", "namespaces", "checkpoints"}
    assert set(found["checkpoints"][0]) == {
        *("checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "created_at", "step"),
        *("source", "nodes", "changed_channels", "interrupts", "error", "run_id"),
    }
    newest = found["checkpoints"][0]
    assert newest["nodes"] == ["clerk"]
    assert newest["changed_channels"] == ["messages", "order", "settings"]
    assert newest["interrupts"] == ["Send order 1042?"]

    lines = run("history", "liam").out.splitlines()
    assert lines[0] == "liam"
    assert [line.partition("● ")[0] for line in lines[1:]] == [""] * 3 + ["│ "] * 3 + [""] * 3
    ids = [each["checkpoint_id"] for each in reversed(found["checkpoints"])]
    assert [line.partition("● ")[2].split()[0] for line in lines[1:]] == ids
    assert "step 4  ran clerk  changed messages, order, settings  asks: Send order" in lines[-1]
    cut = run("history", "liam", "--limit", "2")
    assert len(cut.out.splitlines()) == 3
    assert cut.err == "7 older checkpoints not shown\n"


def test_history_is_also_a_picture(run: Run, threads: str):
    with PostgresSnapshotSaver(threads) as saver:
        whole = saver.history_graph("liam")
        part = saver.history_graph("liam", limit=2)
    assert run("history", "liam", "--as", "mermaid").out == whole.mermaid + "\n"
    assert run("history", "liam", "--as", "svg").out == whole.svg + "\n"
    assert run("history", "liam", "--as", "svg", "--limit", "2").out == part.svg + "\n"
    refused = run("history", "liam", "--as", "svg", "--json")
    assert refused.code == 2
    assert "pass one of them" in refused.err


def test_pictures_keep_to_what_can_be_drawn(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        for number in range(160):
            saver.save_state("liam", {"#" * 90: number})
    assert len(run_on(ready_database, "history", "liam", "--json").json["checkpoints"]) == 160
    assert len(run_on(ready_database, "history", "liam").out.splitlines()) == 161
    for form, mark in (("mermaid", '["step '), ("svg", "<circle")):
        done = run_on(ready_database, "history", "liam", "--as", form)
        assert done.out.count(mark) == 100
        assert done.err == "60 older checkpoints not shown\n"
    large = run_on(ready_database, "history", "liam", "--as", "mermaid", "--limit", "160")
    assert large.out.count('["step ') == 160
    assert large.err.startswith("Mermaid draws no more than 500 arrows and 50,000 characters")


def test_history_tells_of_errors(ready_database: str, run_on: Run):
    def fail(_state: State) -> State:
        raise ValueError("no such order")

    builder = StateGraph(State)
    builder.add_node("fail", fail)
    builder.add_edge(START, "fail")
    with (
        PostgresSnapshotSaver(ready_database) as saver,
        pytest.raises(ValueError, match="no such order"),
    ):
        builder.compile(checkpointer=saver).invoke({"log": ["begin"]}, LIAM)
    [_, newest] = run_on(ready_database, "history", "liam").out.splitlines()[1:]
    assert "failed: " in newest
    assert "no such order" in newest


def test_diff_tells_what_changed(run: Run):
    steps = run("history", "liam", "--json").json["checkpoints"]
    first_end = steps[-3]["checkpoint_id"]
    found = run("diff", "liam", first_end, "--json").json
    assert set(found) == {"thread_id", "checkpoint_ns", "from", "to", "channels", "not_stored"}
    assert (found["from"], found["to"]) == (first_end, steps[0]["checkpoint_id"])
    added = found["channels"]["messages"]["items"]
    assert [(each["change"], each["position"]) for each in added] == [("added", 2), ("added", 3)]
    goods = found["channels"]["order"]["entries"]["goods"]["items"]
    assert [(each["change"], each["after"]) for each in goods] == [("added", "tea")] * 2
    assert found["channels"]["settings"]["entries"] == {
        "turn-1": {"change": "removed", "before": "seen"},
        "turn-3": {"change": "added", "after": "seen"},
    }
    lines = run("diff", "liam", first_end).out.splitlines()
    assert lines[:3] == [
        "~ messages",
        "  + [2]: human: Please send it",
        "  + [3]: ai: Noted, that makes 3.",
    ]
    assert run("diff", "liam", first_end, first_end).out == "nothing changed\n"


@pytest.mark.parametrize("command", [["show"], ["history"], ["diff"]])
def test_thread_that_is_not_there(run: Run, command: list[str]):
    arguments = [*command, "nobody", *(["oldest"] if command == ["diff"] else [])]
    for options, said in (
        ([], "there is no thread 'nobody'"),
        (["--namespace", "sub:1"], "there is no thread 'nobody' in namespace 'sub:1'"),
    ):
        done = run(*arguments, *options)
        assert (done.code, done.out, done.err) == (1, "", f"langgraph-pg-snapshot: {said}\n")


def test_namespaces_of_subgraphs(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        nested_graph(saver).invoke({"log": ["begin"]}, LIAM)
        [inner] = {
            each.config["configurable"]["checkpoint_ns"]
            for each in saver.list({"configurable": {"thread_id": "liam"}})
            if "|" in each.config["configurable"]["checkpoint_ns"]
        }
    middle = inner.partition("|")[0]
    for command in ("show", "history"):
        root = run_on(ready_database, command, "liam", "--json").json
        assert sorted(root["namespaces"]) == [middle, inner]
        lines = run_on(ready_database, command, "liam").out.splitlines()
        at = lines.index("subgraphs (2), each of a --namespace:")
        assert lines[at + 1 :] == [f"  {each}" for each in root["namespaces"]]
        below = run_on(ready_database, command, "liam", "--namespace", middle, "--json").json
        assert (below["checkpoint_ns"], below["namespaces"]) == (middle, [inner])
        # Beginnings, level by level.
        for part in ("middle|inner", "mid|i", f"{middle}|inner", inner[:-3]):
            found = run_on(ready_database, command, "liam", "--namespace", part, "--json").json
            assert (found["checkpoint_ns"], found["namespaces"]) == (inner, [])
        head = run_on(ready_database, command, "liam", "--namespace", "middle").out.splitlines()[0]
        assert head == f"liam in {middle!r}"
        refused = run_on(ready_database, command, "liam", "--namespace", "end")
        assert (refused.code, refused.out) == (1, "")
        assert "thread 'liam' has no namespace like 'end': there is " in refused.err
        assert middle in refused.err
    place = ("--namespace", "middle|inner", "--json")
    found = run_on(ready_database, "show", "liam", *place).json
    assert (found["checkpoint_ns"], found["interrupts"]) == (inner, ["inside?"])
    assert [each[:12] for each in found["state"]["log"]] == ["begin", "start", "inner before"]
    steps = run_on(ready_database, "history", "liam", *place).json["checkpoints"]
    assert {each["checkpoint_ns"] for each in steps} == {inner}
    assert steps[0]["nodes"] == ["before"]
    changed = run_on(ready_database, "diff", "liam", steps[1]["checkpoint_id"], *place).json
    assert [each["change"] for each in changed["channels"]["log"]["items"]] == ["added"]


def test_namespaces_of_many_calls(ready_database: str, run_on: Run):
    """Each call of a subgraph has its own: people are shown the newest ones."""
    with PostgresSnapshotSaver(ready_database) as saver:
        for number in range(12):
            config = {"configurable": {"thread_id": "liam", "checkpoint_ns": f"sub:{number:02}"}}
            saver.put(config, {**empty_checkpoint(), "id": f"{number}"}, {}, {})
        found = run_on(ready_database, "show", "liam", "--namespace", "sub:03", "--json").json
        assert (found["checkpoint_ns"], found["namespaces"]) == ("sub:03", [])
        several = run_on(ready_database, "show", "liam", "--namespace", "sub:0")
        assert "thread 'liam' has 10 namespaces like 'sub:0': there is 'sub:09', " in several.err
        rootless = run_on(ready_database, "history", "liam")
        assert "thread 'liam' has no namespace like '': there is 'sub:11', " in rootless.err
        saver.save_state("liam", {"n": 1})
    names = run_on(ready_database, "history", "liam", "--json").json["namespaces"]
    assert names == [f"sub:{number:02}" for number in reversed(range(12))]
    lines = run_on(ready_database, "history", "liam").out.splitlines()
    assert lines[2:] == [
        "subgraphs (12), each of a --namespace:",
        *(f"  {each}" for each in names[:10]),
        "  … and 2 older ones, which --json lists",
    ]


def test_damaged_thread_is_told_of(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("liam", {"text": "long " * 90, "n": 1})
    execute(ready_database, "DELETE FROM agent_checkpoints_items")
    done = run_on(ready_database, "show", "liam")
    assert (done.code, done.out) == (1, "")
    assert "item 1 of its log is missing" in done.err
    assert done.err.count("\n") == 1
    # What is not damaged can be looked at all the same.
    assert run_on(ready_database, "show", "liam", "--channel", "n").code == 0
    assert run_on(ready_database, "history", "liam").code == 0
    assert "is missing" in run_on(ready_database, "check", "--thread", "liam").out

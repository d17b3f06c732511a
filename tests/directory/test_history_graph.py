"""What a picture of a thread tells is what the graph says of it."""

from __future__ import annotations

import logging
from xml.etree import ElementTree as ET

import pytest
from langgraph.types import Command, Interrupt

from directory.plans import watched
from graphs import agent_turn_graph, approve, asking_graph, fan_out_graph, nested_graph, steps_graph
from helpers import Chain, config_of, id_of
from langgraph_pg_snapshot import HistoryGraph, HistoryStep
from langgraph_pg_snapshot.pictures.words import clean, shortened
from pictures.hostile import HOSTILE

LONG = [{"text": f"{n} " * 100} for n in range(30)]


def forked(saver, thread_id="thread"):
    """A thread with an update of an earlier checkpoint, and a question on either branch."""
    graph = agent_turn_graph(saver.saver)
    config = config_of(thread_id)
    saver.call(graph, "invoke", {"log": ["go"]}, config)
    earlier = saver.collect(graph, "get_state_history", config)[1]
    saver.call(graph, "invoke", approve(), config)
    updated = saver.call(
        graph, "update_state", earlier.config, {"log": ["by hand"]}, as_node="agent"
    )
    saver.call(graph, "invoke", None, updated)
    return graph, earlier


def test_it_tells_what_the_graph_says(any_saver):
    graph, earlier = forked(any_saver)
    picture = any_saver.history_graph("thread")
    assert isinstance(picture, HistoryGraph)
    assert (picture.thread_id, picture.checkpoint_ns, picture.left_out) == ("thread", "", 0)
    states = any_saver.collect(graph, "get_state_history", config_of("thread"))
    assert [each.checkpoint_id for each in picture.steps] == [id_of(s.config) for s in states]
    for step, state in zip(picture.steps, states, strict=True):
        assert isinstance(step, HistoryStep)
        assert step.parent_checkpoint_id == id_of(state.parent_config)
        assert (step.step, step.source) == (state.metadata["step"], state.metadata["source"])
        assert step.is_interrupted == any(task.interrupts for task in state.tasks)
        assert step.is_newest == (state is states[0])
        assert step.created_at.tzinfo is not None
        assert step.error is None
    parents = [each.parent_checkpoint_id for each in picture.steps]
    assert parents.count(id_of(earlier.config)) == 2
    # The first question was answered; the one of the branch that was made by hand is open.
    questions = [each for each in picture.steps if each.is_interrupted]
    assert [each.is_waiting for each in questions] == [True, False]
    assert questions[0].is_newest
    ran = [each.nodes for each in picture.steps if each.source == "loop"]
    assert ["tool_one", "tool_two"] in ran
    readable = any_saver.saver.serde.__class__.__name__ == "SnapshotSerializer"
    assert {tuple(each.interrupts) for each in questions} == ({("approve?",)} if readable else {()})
    verb = "asks: approve?" if readable else "asks something"
    assert picture.text.count(verb) == 1
    assert picture.svg.count(verb) == 2  # once in the tooltip
    assert "update" in picture.text


def test_answered_questions_ask_no_longer(saver):
    graph = asking_graph(saver.saver)
    waiting = saver.call(graph, "invoke", {"log": ["go"]}, config_of("thread"))["__interrupt__"]
    assert saver.history_graph("thread").steps[0].is_waiting
    for each in waiting:
        saver.call(graph, "invoke", Command(resume={each.id: "a"}), config_of("thread"))
    assert saver.history_graph("thread").steps[0].is_waiting
    saver.call(graph, "invoke", Command(resume="b"), config_of("thread"))
    picture = saver.history_graph("thread")
    assert [each.is_interrupted for each in picture.steps].count(True) == 1
    assert not any(each.is_waiting for each in picture.steps)
    assert "asked" in picture.text
    assert "asks" not in picture.text


def test_errors_are_told(saver):
    def fail(name):
        if name == "b":
            raise ValueError("b can't <go> on")

    graph = steps_graph(saver.saver, fail=fail)
    with pytest.raises(ValueError, match="can't"):
        saver.call(graph, "invoke", {"log": ["hi"]}, config_of("thread"))
    newest, *others = saver.history_graph("thread").steps
    readable = saver.saver.serde.__class__.__name__ == "SnapshotSerializer"
    assert newest.error == "b can't <go> on" if readable else newest.error is not None
    assert newest.nodes == ["a"]
    assert [each.error for each in others] == [None, None]


def test_subgraphs_have_pictures_of_their_own(saver):
    graph = nested_graph(saver.saver, stateful=True)
    saver.call(graph, "invoke", {"log": ["hi"]}, config_of("thread"))
    spaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(None)}
    assert len(spaces) == 3
    for ns in spaces:
        picture = saver.history_graph("thread", checkpoint_ns=ns)
        listed = saver.history("thread", checkpoint_ns=ns)
        assert [s.checkpoint_id for s in picture.steps] == [c.checkpoint_id for c in listed]
        assert picture.checkpoint_ns == ns
        assert picture.steps[0].is_waiting
        assert ns in picture.text


def test_fan_out_shows_its_node(saver):
    graph = fan_out_graph(saver.saver)
    saver.call(graph, "invoke", {"items": [1, 2, 3]}, config_of("thread"))
    ran = [each.nodes for each in saver.history_graph("thread").steps]
    # (Under another serializer SQL can't see what was sent.)
    readable = saver.saver.serde.__class__.__name__ == "SnapshotSerializer"
    assert ran == [["end"], ["work"] if readable else [], ["plan"], [], None]


def test_the_newest_are_shown_and_the_others_counted(any_saver):
    chain = Chain(any_saver, "thread")
    ids = [id_of(chain.put({"n": n})) for n in range(120)][::-1]
    Chain(any_saver, "thread", "sub").put({"n": 1})
    for options, shown in (({}, 100), ({"limit": 5}, 5), ({"limit": 0}, 0), ({"limit": None}, 120)):
        picture = any_saver.history_graph("thread", **options)
        assert [each.checkpoint_id for each in picture.steps] == ids[:shown]
        assert picture.left_out == 120 - shown
        note = f"{120 - shown} older checkpoints not shown"
        assert all((note in form) == (shown < 120) for form in (picture.text, picture.svg))
        assert ('older(["' in picture.mermaid) == (shown < 120)
    nobody = any_saver.history_graph("nobody")
    assert (nobody.steps, nobody.left_out) == ([], 0)
    assert "0 checkpoints" in nobody.svg


def test_one_statement_that_reads_no_item_and_only_the_writes_of_what_it_shows(ready_database):
    with watched(ready_database) as (saver, explain):
        chain = Chain(saver, "thread")
        for n in range(60):
            config = chain.put({"messages": LONG[: n // 3 + 5]})
            saver.put_writes(config, [("__interrupt__", ["q"]), ("messages", LONG)], f"task {n}")
        plans = {n: explain(lambda n=n: saver.history_graph("thread", limit=n)) for n in (5, 10)}
    for limit, plan in plans.items():
        assert plan.scanned.get("items", 0) == 0
        # Of each that is shown: what it asked, and whether its task went on.
        assert plan.scanned["writes"] <= 4 * limit
        # The count, the page, and each with its parent (and a newer one).
        assert plan.scanned["history"] <= 60 + 4 * limit


def test_it_is_one_operation(saver, caplog):
    Chain(saver, "thread").put({"n": 1})
    with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
        saver.history_graph("thread")
    [record] = [each for each in caplog.records if hasattr(each, "operation")]
    assert (record.operation, record.statements, record.thread_id) == ("history_graph", 1, "thread")


def test_hostile_text_comes_through_the_database_as_text(any_saver):
    for number, text in enumerate(HOSTILE):
        thread_id = f"{number} {text[:200]}"
        chain = Chain(any_saver, thread_id)
        chain.put({text: 1})
        config = chain.put(
            {text: 2}, metadata={"source": text, "run_id": text, "step": text, "who": text}
        )
        any_saver.put_writes(config, [("__interrupt__", (Interrupt(text, id="1"),))], "asks")
        any_saver.put_writes(config, [("__error__", ValueError(text))], "fails")
        picture = any_saver.history_graph(thread_id)
        assert picture.steps[0].is_waiting
        assert picture.steps[0].error is not None
        assert picture.steps[0].run_id == text
        root = ET.fromstring(picture.svg)  # noqa: S314 -- our own
        assert root[0].text == clean(shortened(f"{thread_id}: 2 checkpoints", 1000))
        assert len(picture.mermaid.split("\n")) == 4 + 2 * 3 + 1
    assert len(any_saver.list_threads()) == len(HOSTILE)
    shown = any_saver.list_threads()._repr_html_()
    assert "<script" not in shown
    assert shown.count("<tr>") == 1 + len(HOSTILE)

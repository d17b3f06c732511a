"""A thread's history without values."""

from __future__ import annotations

import pytest

from directory.plans import watched
from graphs import agent_turn_graph, steps_graph
from helpers import Chain, checkpoint_of, config_of, id_of, next_version
from langgraph_pg_snapshot import CheckpointInfo

LONG = [{"text": f"{n} " * 100} for n in range(30)]


def test_it_says_of_each_checkpoint_what_list_says(any_saver):
    graph = agent_turn_graph(any_saver.saver)
    config = {**config_of("thread"), "metadata": {"user_id": "ada", "at": 1.5}}
    any_saver.call(graph, "invoke", {"messages": ["go"]}, config)
    listed = any_saver.list(config_of("thread"))
    found = any_saver.history("thread")
    assert len(found) == len(listed) >= 4
    for info, full in zip(found, listed, strict=True):
        assert isinstance(info, CheckpointInfo)
        assert info.checkpoint_id == id_of(full.config)
        assert info.parent_checkpoint_id == id_of(full.parent_config)
        assert info.metadata == full.metadata
        assert info.metadata["user_id"] == "ada"
        assert (info.step, info.source) == (full.metadata["step"], full.metadata["source"])
        assert info.checkpoint_ns == ""
        assert info.created_at.tzinfo is not None
    assert [each.created_at for each in found] == sorted(
        (e.created_at for e in found), reverse=True
    )
    assert (found[-1].step, found[-1].source) == (-1, "input")
    # LangGraph's own channels (inputs, edges) are no part of the state.
    assert {channel for each in found for channel in each.updated_channels} == {"log"}
    assert found[-1].updated_channels == []


def test_pages_and_namespaces(any_saver):
    root, sub = Chain(any_saver, "thread"), Chain(any_saver, "thread", "sub")
    ids = [id_of(root.put({"n": n})) for n in range(5)][::-1]
    in_sub = [id_of(sub.put({"n": n})) for n in range(2)][::-1]
    assert [each.checkpoint_id for each in any_saver.history("thread")] == ids
    found = any_saver.history("thread", checkpoint_ns="sub")
    assert [(each.checkpoint_ns, each.checkpoint_id) for each in found] == [
        ("sub", each) for each in in_sub
    ]
    paged, before = [], None
    while page := any_saver.history("thread", limit=2, before=before):
        paged += [each.checkpoint_id for each in page]
        before = paged[-1]
    assert paged == ids
    assert any_saver.history("thread", limit=0) == []
    assert any_saver.history("nobody") == []


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({}, (None, None)), ({"step": "3", "source": 7}, (None, None)), ({"step": 3}, (3, None))],
)
def test_what_is_not_langgraphs_is_none(any_saver, metadata, expected):
    version = next_version(None)
    checkpoint = checkpoint_of({"n": 1}, {"n": version})
    checkpoint["updated_channels"] = None
    any_saver.put(config_of("thread"), checkpoint, metadata, {"n": version})
    [found] = any_saver.history("thread")
    assert (found.step, found.source) == expected
    assert found.updated_channels is None
    assert found.metadata == metadata


def test_no_item_and_no_write_is_read(ready_database):
    with watched(ready_database) as (saver, explain):
        chain = Chain(saver, "thread")
        for n in range(5):
            config = chain.put({"messages": LONG[: 20 + n]})
            saver.put_writes(config, [("messages", LONG)], "task")
        plan = explain(lambda: saver.history("thread"))
        assert plan.scanned == {"history": 5}


def test_graph_that_is_forked_shows_its_parents(saver):
    graph = steps_graph(saver.saver)
    saver.call(graph, "invoke", {"log": ["hi"]}, config_of("thread"))
    middle = saver.history("thread")[2]
    saver.call(graph, "invoke", None, config_of("thread", middle.checkpoint_id))
    parents = [each.parent_checkpoint_id for each in saver.history("thread")]
    assert parents.count(middle.checkpoint_id) == 2

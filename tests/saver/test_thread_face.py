"""The thread-keyed face: a thread's whole state as one dict, shared with graphs."""

from __future__ import annotations

import pytest

from graphs import LONG, human, steps_graph, tool_agent
from helpers import Variant, config_of

VARIANTS = [
    Variant("sync", "conninfo", "snapshot"),
    Variant("async", "plain", "snapshot"),
    Variant("async", "conninfo", "encrypted"),
]


@pytest.fixture(params=VARIANTS, ids=str)
def saver(request, ready_database):
    with request.param.open(ready_database) as driven:
        yield driven


def test_save_and_load(saver):
    assert saver.load_state("thread") is None
    ids = []
    for state in ({"a": 1, "b": [LONG]}, {"a": None}, {}, {"messages": [human("hi")], "": LONG}):
        ids.append(saver.save_state("thread", state))
        assert saver.load_state("thread") == state
    assert ids == sorted(ids)
    # What the thread held before stays in its history.
    found = saver.list(config_of("thread"))
    assert [each.config["configurable"]["checkpoint_id"] for each in found] == ids[::-1]
    assert found[-1].checkpoint["channel_values"] == {"a": 1, "b": [LONG]}


def test_directory_is_newest_first_and_paged(saver):
    names = [f"t{n}" for n in range(7)]
    for name in (*names, "t2", "t0"):
        saver.save_state(name, {"n": name})
    saver.put(config_of("t1", ns="sub"), {**saver.get_tuple(config_of("t0")).checkpoint}, {}, {})
    order = ["t0", "t2", "t6", "t5", "t4", "t3", "t1"]
    everyone = saver.list_threads()
    assert [each.thread_id for each in everyone] == order
    assert all(each.created_at <= each.updated_at for each in everyone)
    paged, last = [], None
    while page := saver.list_threads(limit=3, before=last):
        paged += page
        last = page[-1]
    assert paged == list(everyone)
    saver.delete_thread("t2")
    order.remove("t2")
    assert [each.thread_id for each in saver.list_threads()] == order


def test_graph_picks_up_a_saved_state_and_the_other_way_round(saver):
    saver.save_state("thread", {"log": ["saved"], "note": "n"})
    graph = steps_graph(saver.saver)
    assert saver.call(graph, "get_state", config_of("thread")).values["log"] == ["saved"]
    result = saver.call(graph, "invoke", {"log": ["input"]}, config_of("thread"))
    assert result["log"] == ["saved", "input", "a2", "b3", "c4"]
    assert saver.load_state("thread") == result
    saver.save_state("thread", {"log": ["edited"]})
    result = saver.call(graph, "invoke", {"log": ["again"]}, config_of("thread"))
    assert result["log"][:3] == ["edited", "again", "a2"]


def test_agent_goes_on_from_saved_messages(saver):
    saver.save_state("thread", {"messages": [human("before")]})
    graph = tool_agent(saver.saver)
    result = saver.call(graph, "invoke", {"messages": [human("now")]}, config_of("thread"))
    assert [m.type for m in result["messages"]] == ["human", "human", "ai", "tool", "tool", "ai"]
    assert saver.load_state("thread") == result

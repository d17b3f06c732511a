"""The thread-keyed face: a thread's whole state as one dict, shared with graphs."""

from __future__ import annotations

import psycopg
import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from graphs import LONG, asking_graph, delta_graph, human, steps_graph, tool_agent
from helpers import Variant, checkpoint_of, config_of, next_version
from langgraph_pg_snapshot._plans.state import is_state

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


FUTURE = "ffffffff-0000-6000-8000-ffffffffffff"
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@pytest.mark.parametrize(
    "head",
    ["9", "1", "ab-cd", "zzz", "\u00e9", "\U0010ffff", FUTURE, LAST, FUTURE.upper(), f"z-{LAST}"],
)
def test_saved_state_is_the_newest_whatever_the_head_is_called(saver, head):
    version = next_version(None)
    saver.put(config_of("thread"), checkpoint_of({"n": -1}, {"n": version}, head), {}, {"n": 1})
    ids = [head]
    for n in range(20):
        ids.append(saver.save_state("thread", {"n": n}))
        assert saver.load_state("thread") == {"n": n}
    assert ids == sorted(set(ids))
    assert len(ids[-1]) <= len(head) + 36


@pytest.mark.parametrize("step", [None, "3", 1.5, [], {"$type": "x"}, 2**70, -1, 7])
def test_any_step_in_the_metadata_will_do(saver, step):
    version = next_version(None)
    saver.put(
        config_of("thread"), checkpoint_of({"n": 1}, {"n": version}), {"step": step}, {"n": version}
    )
    saver.save_state("thread", {"n": 2})
    assert saver.load_state("thread") == {"n": 2}
    assert saver.get_tuple(config_of("thread")).metadata["step"] == (8 if step == 7 else 0)


def test_version_after_that_of_another_saver_is_the_largest(saver):
    versions = {"a": 9, "b": 10}
    saver.put(config_of("thread"), checkpoint_of({"a": 1, "b": 2}, versions), {}, versions)
    saver.save_state("thread", {"a": 3})
    found = saver.get_tuple(config_of("thread")).checkpoint
    assert found["channel_versions"]["a"].startswith(f"{11:032}.")


@pytest.mark.parametrize("every", [1, 4, 100])
def test_state_without_a_delta_channel_leaves_nothing_of_it(saver, every):
    graph, config = delta_graph(saver.saver, every=every), config_of("thread")
    for turn in range(2):
        saver.call(graph, "invoke", {"messages": [f"turn {turn}"]}, config)
    saver.save_state("thread", {"note": "x"})
    for _ in range(2):
        state = saver.call(graph, "get_state", config)
        assert not state.values.get("messages")
        assert state.values["note"] == "x"
        assert (state.next, state.tasks) == ((), ())
    result = saver.call(graph, "invoke", {"messages": ["anew"]}, config)
    assert [text.split()[0] for text in result["messages"]] == ["anew", "left1", "right1", "end3"]
    assert saver.call(graph, "get_state", config).values == result


@pytest.mark.parametrize("every", [1, 4, 100])
def test_graph_with_a_delta_channel_goes_on_from_exactly_what_was_saved(saver, every):
    graph, config = delta_graph(saver.saver, every=every), config_of("thread")
    saver.call(graph, "invoke", {"messages": ["before"]}, config)
    for turn in range(2):
        saver.save_state("thread", {"messages": [f"saved {turn}"], "note": "x"})
        saved = saver.call(graph, "get_state", config)
        assert saved.values == {"messages": [f"saved {turn}"], "note": "x"}
        result = saver.call(graph, "invoke", {"messages": ["now"]}, config)
        assert [text.split()[0] for text in result["messages"]] == [
            "saved",
            "now",
            "left2",
            "right2",
            "end4",
        ]
        assert saver.call(graph, "get_state", config).values == result
    saver.save_state("thread", {"messages": []})
    assert saver.call(graph, "get_state", config).values == {"messages": []}


def test_writes_of_a_step_that_never_ended_do_not_come_back(saver):
    """The head may have them, for a DeltaChannel that has no version yet."""
    graph, config = delta_graph(saver.saver, every=100), config_of("thread")
    given = saver.put(config, checkpoint_of({}, {}), {"step": -1}, {})
    saver.put_writes(given, [("messages", ["half done"])], "task")
    saver.save_state("thread", {"note": "x"})
    result = saver.call(graph, "invoke", {"messages": ["anew"]}, config)
    assert len(result["messages"]) == 4
    assert saver.call(graph, "get_state", config).values == result


def test_saved_state_shares_the_items_of_the_one_before(ready_database):
    messages = [human(f"{number} {LONG}") for number in range(50)]
    for turn in range(3):  # each time in a process that knows nothing yet
        with VARIANTS[0].open(ready_database) as saver:
            saver.save_state("thread", {"messages": [*messages, human(f"turn {turn} {LONG}")]})
    with psycopg.connect(ready_database) as conn:
        [found] = conn.execute("SELECT count(*) FROM agent_checkpoints_items").fetchall()
    assert found == (53,)


def test_empty_state_is_gone_on_from(saver):
    for graph, channel in (
        (delta_graph(saver.saver, every=100), "messages"),
        (steps_graph(saver.saver), "log"),
    ):
        config = config_of(channel)
        for _ in range(2):
            result = saver.call(graph, "invoke", {channel: ["input"]}, config)
            assert len(result[channel]) == 4
            saver.save_state(channel, {})
            assert not saver.call(graph, "get_state", config).values.get(channel)


@pytest.mark.parametrize("messages", [["few"], ["many", LONG]], ids=["inline", "item"])
def test_snapshot_of_a_delta_channel_is_its_value(saver, ready_database, messages):
    version = next_version(None)
    versions = {"messages": version, "other": version}
    config = saver.put(
        config_of("thread"),
        checkpoint_of({"messages": _DeltaSnapshot(messages), "other": {"a": 1}}, versions),
        {},
        versions,
    )
    state = {"messages": messages, "other": {"a": 1}}
    assert saver.load_state("thread") == state
    assert type(saver.load_state("thread")["messages"]) is list
    if saver.saver.serde.__class__.__name__ == "SnapshotSerializer":
        assert view_of(ready_database, "thread") == state
    # LangGraph itself is handed what it stored.
    stored = saver.get_tuple(config).checkpoint["channel_values"]["messages"]
    assert type(stored) is _DeltaSnapshot
    saver.save_state("thread", saver.load_state("thread"))
    assert saver.load_state("thread") == state


def test_delta_channel_without_a_snapshot_is_not_in_the_state(saver, ready_database):
    graph = delta_graph(saver.saver, every=100)
    saver.call(graph, "invoke", {"messages": ["turn"]}, config_of("thread"))
    assert saver.load_state("thread") == {}
    assert view_of(ready_database, "thread") == {}


def test_save_state_settles_an_interrupted_thread(saver):
    graph, config = asking_graph(saver.saver), config_of("thread")
    saver.call(graph, "invoke", {"log": ["start"]}, config)
    before = saver.call(graph, "get_state", config)
    assert set(before.next) == {"twice", "once"}
    assert len(before.interrupts) == 2
    saver.save_state("thread", {"log": ["edited"]})
    after = saver.call(graph, "get_state", config)
    assert (after.values, after.next, after.interrupts) == ({"log": ["edited"]}, (), ())
    assert saver.call(graph, "invoke", None, config) == {"log": ["edited"]}
    saver.call(graph, "invoke", {"log": ["again"]}, config)
    again = saver.call(graph, "get_state", config)
    assert again.values["log"] == ["edited", "again"]
    assert len(again.interrupts) == 2


CHANNELS = {
    "a": True,
    "": True,
    "$item": True,
    "__start__": False,
    "__start__x": True,
    "x__start__": True,
    "__START__": True,
    "__pregel_tasks": False,
    "__pregel_tasks:x": True,
    "_-pregel_tasks": True,
    "__end__": True,
    "branch:to:": False,
    "branch:to:node": False,
    "branch:to:two\nlines": False,
    "branch:to": True,
    "branch:tox": True,
    "Branch:to:node": True,
    " branch:to:node": True,
    "join:": False,
    "join:a+b:c": False,
    "join": True,
    "joint": True,
}


def test_view_and_load_state_leave_out_the_same_channels(ready_database):
    with VARIANTS[0].open(ready_database) as saver:
        saver.save_state("thread", CHANNELS)
        expected = {channel: True for channel, is_there in CHANNELS.items() if is_there}
        assert saver.load_state("thread") == expected
        assert view_of(ready_database, "thread") == expected
    assert {channel: is_state(channel) for channel in CHANNELS} == CHANNELS


def view_of(dsn, thread_id):
    with psycopg.connect(dsn) as conn:
        [(state,)] = conn.execute(
            "SELECT state FROM agent_checkpoints WHERE thread_id = %s", [thread_id]
        ).fetchall()
    return state

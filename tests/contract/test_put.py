"""put: what it returns, what it leaves alone, what it stores."""

from __future__ import annotations

import copy

import psycopg
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from helpers import checkpoint_of, config_of, id_of, new_id, next_version


@pytest.mark.every_variant
@pytest.mark.parametrize("ns", ["", "child", "parent|child:1"])
def test_put_returns_exactly_the_three_keys(saver, thread_id, ns):
    config = config_of(thread_id, new_id(), ns)
    config["configurable"] |= {"user": "u", "__pregel_x": object(), "checkpoint_map": {}}
    config |= {"metadata": {"more": 1}, "tags": ["t"], "recursion_limit": 3}
    checkpoint = checkpoint_of({}, {})
    assert saver.put(config, checkpoint, {}, {}) == {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": ns,
            "checkpoint_id": checkpoint["id"],
        }
    }


def test_put_without_namespace_is_the_root(saver, thread_id):
    checkpoint = checkpoint_of({}, {})
    config = saver.put({"configurable": {"thread_id": thread_id}}, checkpoint, {}, {})
    assert config == config_of(thread_id, checkpoint["id"])
    assert saver.get_tuple(config_of(thread_id)).config == config


@pytest.mark.every_variant
def test_whole_checkpoint_comes_back(saver, other, thread_id):
    version = next_version(None)
    checkpoint = checkpoint_of(
        {"messages": [HumanMessage("hi", id="1"), AIMessage("ho", id="2")], "n": 1},
        {"messages": version, "n": version},
    )
    metadata = {"source": "loop", "step": 3, "parents": {"": "x"}, "run_id": "r", "own": {"a": [1]}}
    config = saver.put(
        config_of(thread_id), checkpoint, metadata, {"messages": version, "n": version}
    )
    for reader in (saver, other):
        found = reader.get_tuple(config)
        assert found.config == config
        assert found.checkpoint == checkpoint
        assert found.metadata == metadata
        assert found.parent_config is None
        assert found.pending_writes == []


@pytest.mark.every_variant
def test_arguments_are_not_changed(saver, thread_id):
    version = next_version(None)
    config = {
        **config_of(thread_id, new_id()),
        "metadata": {"a": "with\x00nul", "__hidden": 1},
    }
    checkpoint = checkpoint_of(
        {"messages": [HumanMessage("m" * 300, additional_kwargs={"k": ["v"]})], "d": {"x": [1]}},
        {"messages": version, "d": version},
    )
    metadata = {"source": "loop", "step": 1, "parents": {}, "writes": {"n": 1}, "s": "\x00"}
    new_versions = {"messages": version, "d": version}
    writes = [("messages", [HumanMessage("w")]), ("__interrupt__", [1])]
    arguments = (config, checkpoint, metadata, new_versions, writes)
    before = copy.deepcopy(arguments)
    put = saver.put(config, checkpoint, metadata, new_versions)
    saver.put_writes(put, writes, "task", "path")
    saver.get_tuple(put)
    saver.list(config, filter=metadata, before=put, limit=1)
    assert arguments == before


def test_mutating_what_was_put_or_read_changes_nothing_stored(chain):
    messages = [HumanMessage("first " * 20, id="1")] + [
        HumanMessage("more " * 20) for _ in range(5)
    ]
    config = chain.put({"messages": messages, "d": {"k": [1]}})
    expected = copy.deepcopy(chain.values(config))
    messages[0].content = "edited in place"
    messages.append(HumanMessage("appended"))
    found = chain.saver.get_tuple(config)
    assert found.checkpoint["channel_values"] == expected
    found.checkpoint["channel_values"]["messages"][0].content = "edited after reading"
    found.checkpoint["channel_values"]["d"]["k"].append(2)
    found.metadata["step"] = 99
    again = chain.saver.get_tuple(config)
    assert again.checkpoint["channel_values"] == expected
    assert again.metadata["step"] == -1


def test_message_edited_in_place_is_stored_edited(chain):
    messages = [HumanMessage(f"{n} " * 40, id=str(n)) for n in range(6)]
    first = chain.put({"messages": messages})
    before = copy.deepcopy(messages)
    messages[3].content = "edited " * 40
    second = chain.put({"messages": messages})
    assert chain.saver.get_tuple(first).checkpoint["channel_values"]["messages"] == before
    assert chain.saver.get_tuple(second).checkpoint["channel_values"]["messages"] == messages


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_putting_an_id_again_updates_it(saver, other, thread_id, cold):
    versions = {"a": next_version(None), "b": next_version(None)}
    checkpoint = checkpoint_of({"a": 1, "b": [{"x": "y" * 100}] * 9}, versions)
    saver.put(config_of(thread_id), checkpoint, {"step": 1}, versions)
    saver.put_writes(config_of(thread_id, checkpoint["id"]), [("a", 5)], "task")
    newer = {channel: next_version(version) for channel, version in versions.items()}
    again = {**checkpoint_of({"a": 2, "b": [{"x": "z" * 100}] * 9}, newer), "id": checkpoint["id"]}
    writer = other if cold else saver
    config = writer.put(config_of(thread_id), again, {"step": 2, "new": True}, newer)
    assert config == config_of(thread_id, checkpoint["id"])
    for reader in (saver, other):
        found = reader.get_tuple(config)
        assert found.checkpoint == again
        assert found.metadata == {"step": 2, "new": True}
        assert found.pending_writes == [("task", "a", 5)]
        assert len(reader.list(config_of(thread_id))) == 1


def test_putting_the_same_again_changes_nothing(chain):
    chain.put({"a": 1})
    config = chain.put({"a": [{"x": "y" * 100}] * 9})
    parent = config_of(chain.thread_id, min(chain.states))
    before = chain.saver.get_tuple(config)
    values, versions = chain.states[id_of(config)]
    for given in (parent, config):  # LangGraph's "exit" durability puts a checkpoint over itself
        again = {**before.checkpoint, "channel_values": values}
        chain.saver.put(given, again, before.metadata, {"a": versions["a"]})
        assert chain.saver.get_tuple(config) == before


@pytest.mark.parametrize(
    ("config", "metadata", "expected"),
    [
        ({}, {"source": "input", "step": -1}, {"source": "input", "step": -1}),
        ({"metadata": {"user": "u", "n": 1}}, {"step": 1}, {"user": "u", "n": 1, "step": 1}),
        ({"metadata": {"step": 9}}, {"step": 1}, {"step": 1}),
        (
            {"configurable": {"user": "u", "f": 1.5, "t": True, "no": None, "o": [1], "__h": 1}},
            {},
            {"user": "u", "f": 1.5, "t": True},
        ),
        (
            {"configurable": {"checkpoint_map": "x", "langgraph_step": 1, "langgraph_node": "n"}},
            {},
            {},
        ),
        (
            {"metadata": {"k": "metadata"}, "configurable": {"k": "configurable"}},
            {},
            {"k": "metadata"},
        ),
        ({"metadata": {"nul": "a\x00b"}}, {"own": "c\x00d"}, {"nul": "ab", "own": "cd"}),
        ({}, {"writes": {"node": "old savers had them"}, "step": 1}, {"step": 1}),
        ({"configurable": {"run_id": "run-1"}}, {"step": 1}, {"run_id": "run-1", "step": 1}),
    ],
)
def test_metadata_is_merged_as_langgraph_does_it(saver, thread_id, config, metadata, expected):
    config = {
        **config,
        "configurable": {**config.get("configurable", {}), **config_of(thread_id)["configurable"]},
    }
    put = saver.put(config, checkpoint_of({}, {}), metadata, {})
    assert saver.get_tuple(put).metadata == expected
    assert [found.metadata for found in saver.list(config_of(thread_id))] == [expected]


def test_metadata_that_can_not_be_stored_does_not_fail_a_run(saver, thread_id):
    class Odd:
        def __repr__(self):
            return "<odd>"

    config = saver.put(config_of(thread_id), checkpoint_of({}, {}), {"odd": Odd(), "step": 1}, {})
    assert saver.get_tuple(config).metadata["step"] == 1


@pytest.mark.every_variant
def test_what_is_put_lasts(saver, contract_database, thread_id):
    """Also through a connection with autocommit off: another one sees it at once."""
    config = saver.put(config_of(thread_id), checkpoint_of({}, {}), {}, {})
    saver.put_writes(config, [("a", 1)], "task")
    with psycopg.connect(contract_database) as conn:
        for table in ("history", "threads", "writes"):
            rows = conn.execute(
                f"SELECT count(*) FROM agent_checkpoints_{table} WHERE thread_id = %s",  # noqa: S608
                [thread_id],
            ).fetchone()
            assert rows == (1,), table
    saver.delete_thread(thread_id)
    with psycopg.connect(contract_database) as conn:
        assert conn.execute(
            "SELECT count(*) FROM agent_checkpoints_history WHERE thread_id = %s", [thread_id]
        ).fetchone() == (0,)

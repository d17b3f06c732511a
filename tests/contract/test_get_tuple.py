"""get_tuple: which checkpoint it finds, and what it says of its parent."""

from __future__ import annotations

import pytest

from helpers import Chain, checkpoint_of, config_of, id_of, new_id, next_version


@pytest.mark.every_variant
@pytest.mark.parametrize("without", ["missing", "", None])
def test_without_id_it_is_the_largest(saver, thread_id, without):
    ids = sorted(new_id() for _ in range(3))
    for checkpoint_id in (ids[1], ids[2], ids[0]):  # the largest, not the last one put
        saver.put(config_of(thread_id), checkpoint_of({}, {}, checkpoint_id), {}, {})
    config = config_of(thread_id)
    if without != "missing":
        config["configurable"]["checkpoint_id"] = without
    found = saver.get_tuple(config)
    assert found.config == config_of(thread_id, ids[2])


@pytest.mark.parametrize(
    "ids",
    [("a", "B"), ("é", "z"), ("10", "9"), ("Ab", "aB"), ("1ef-", "1ef_")],
)
def test_largest_is_by_code_point(saver, thread_id, ids):
    for checkpoint_id in ids:
        saver.put(config_of(thread_id), checkpoint_of({}, {}, checkpoint_id), {}, {})
    assert id_of(saver.get_tuple(config_of(thread_id)).config) == max(ids)
    assert [id_of(t.config) for t in saver.list(config_of(thread_id))] == sorted(ids, reverse=True)


def test_what_is_not_there_is_none(chain):
    config = chain.put({"a": 1})
    assert chain.saver.get_tuple(config_of(f"{chain.thread_id}-other")) is None
    assert chain.saver.get_tuple(config_of(chain.thread_id, new_id())) is None
    assert chain.saver.get_tuple(config_of(chain.thread_id, ns="ns")) is None
    assert chain.saver.get_tuple(config_of(chain.thread_id, id_of(config), "ns")) is None


@pytest.mark.every_variant
@pytest.mark.parametrize("ns", ["", "ns", "a|b:c"])
def test_parent_config_has_all_three_keys(saver, thread_id, ns):
    chain = Chain(saver, thread_id, ns)
    first = chain.put({"a": 1})
    second = chain.put({"a": 2})
    assert saver.get_tuple(first).parent_config is None
    assert saver.get_tuple(second).parent_config == first
    assert first == config_of(thread_id, id_of(first), ns)
    assert [t.parent_config for t in saver.list(config_of(thread_id, ns=ns))] == [first, None]


def test_parent_config_is_none_where_the_parent_is_gone(chain):
    chain.put({"a": 1})
    chain.put({"a": 2})
    head = chain.put({"a": 3})
    chain.saver.prune([chain.thread_id])
    assert chain.saver.get_tuple(head).parent_config is None
    assert [t.parent_config for t in chain.saver.list(config_of(chain.thread_id))] == [None]


def test_parent_config_is_none_after_its_run_is_deleted(chain):
    chain.put({"a": 1}, metadata={"run_id": f"{chain.thread_id}-1"})
    head = chain.put({"a": 2}, metadata={"run_id": f"{chain.thread_id}-2"})
    chain.saver.delete_for_runs([f"{chain.thread_id}-1"])
    assert chain.saver.get_tuple(head).parent_config is None


@pytest.mark.parametrize("v", [1, 2, 3])
def test_before_format_4_the_parents_sends_are_the_childs_tasks(saver, thread_id, v):
    chain = Chain(saver, thread_id)
    parent = chain.put({"a": 1}, v=v)
    saver.put_writes(parent, [("__pregel_tasks", "b1"), ("x", 0)], "t-b", "~2")
    saver.put_writes(parent, [("__pregel_tasks", "a1"), ("__pregel_tasks", "a2")], "t-a", "~1")
    child = chain.put({"a": 2}, v=v)
    grandchild = chain.put({"a": 3}, v=v)
    by_get = {id_of(c): saver.get_tuple(c).checkpoint for c in (parent, child, grandchild)}
    by_list = {id_of(t.config): t.checkpoint for t in saver.list(config_of(thread_id))}
    assert by_get == by_list
    found = by_get[id_of(child)]
    assert found["channel_values"] == {"a": 2, "__pregel_tasks": ["a1", "a2", "b1"]}
    assert found["channel_versions"]["__pregel_tasks"] == found["channel_versions"]["a"]
    for config in (parent, grandchild):
        assert "__pregel_tasks" not in by_get[id_of(config)]["channel_values"]


def test_from_format_4_on_sends_stay_where_they_are(chain):
    parent = chain.put({"a": 1}, v=4)
    chain.saver.put_writes(parent, [("__pregel_tasks", "s")], "task")
    child = chain.put({"a": 2}, v=4)
    assert chain.saver.get_tuple(child).checkpoint["channel_values"] == {"a": 2}
    [found, _] = chain.saver.list(config_of(chain.thread_id))
    assert found.checkpoint["channel_values"] == {"a": 2}


def test_old_format_without_any_version_gets_one_for_its_tasks(saver, thread_id):
    parent = saver.put(config_of(thread_id), checkpoint_of({}, {}, v=1), {}, {})
    saver.put_writes(parent, [("__pregel_tasks", "s")], "task")
    child = saver.put(parent, checkpoint_of({}, {}, v=1), {}, {})
    found = saver.get_tuple(child).checkpoint
    assert found["channel_values"] == {"__pregel_tasks": ["s"]}
    assert found["channel_versions"]["__pregel_tasks"].startswith(f"{1:032}.")


def test_items_far_apart_are_found(saver, other, thread_id):
    """A small checkpoint of a thread with a long log: its items are fetched on their own."""
    chain = Chain(saver, thread_id)
    root = chain.put({"m": [{"x": "root " * 20}, {"x": "root " * 30}], "s": "s" * 500})
    for step in range(3):
        chain.put({"m": [{"x": f"{step} {n} " * 20} for n in range(400)]})
    head = chain.put({"m": [{"x": "head " * 20}, *chain.values(root)["m"]]})
    for reader in (saver, other):
        for config in (root, head):
            found = reader.get_tuple(config).checkpoint["channel_values"]
            assert found == chain.values(config)


def test_get_is_get_tuples_checkpoint(chain):
    config = chain.put({"a": 1})
    assert chain.saver.get(config) == chain.saver.get_tuple(config).checkpoint
    assert chain.saver.get(config_of(chain.thread_id, new_id())) is None


def test_versions_seen_and_fields_of_later_formats_survive(saver, thread_id):
    version = next_version(None)
    checkpoint = checkpoint_of({"a": 1}, {"a": version})
    checkpoint |= {"versions_seen": {"n": {"a": version}, "__input__": {}}, "future": {"x": [1]}}
    config = saver.put(config_of(thread_id), checkpoint, {}, {"a": version})
    assert saver.get_tuple(config).checkpoint == checkpoint

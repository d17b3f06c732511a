"""Pending writes: early, in any number at once, retried, and read back in order."""

from __future__ import annotations

import itertools
import random

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP

from helpers import checkpoint_of, config_of, new_id


def pending(saver, config):
    return saver.get_tuple(config).pending_writes


@pytest.mark.every_variant
def test_writes_may_come_before_their_checkpoint(saver, other, thread_id):
    checkpoint = checkpoint_of({}, {})
    config = config_of(thread_id, checkpoint["id"])
    saver.put_writes(config, [("a", 1), ("b", [{"x": 2}])], "task")
    assert saver.get_tuple(config) is None
    assert saver.list(config_of(thread_id)) == []
    saver.put(config_of(thread_id), checkpoint, {}, {})
    for reader in (saver, other):
        assert pending(reader, config) == [("task", "a", 1), ("task", "b", [{"x": 2}])]


def test_no_writes_are_a_list(chain):
    config = chain.put({"a": 1})
    assert pending(chain.saver, config) == []
    chain.saver.put_writes(config, [], "task")
    assert pending(chain.saver, config) == []
    assert [found.pending_writes for found in chain.saver.list(config_of(chain.thread_id))] == [[]]


@pytest.mark.every_variant
def test_six_calls_of_one_thread_at_once(saver, thread_id):
    checkpoint = checkpoint_of({}, {})
    config = config_of(thread_id, checkpoint["id"])
    expected = [
        (f"task-{task}", channel, f"{task} {channel}") for task in range(6) for channel in "abc"
    ]
    saver.gather(
        *(
            lambda s, t=task: s.put_writes(config, [(c, f"{t} {c}") for c in "abc"], f"task-{t}")
            for task in range(6)
        ),
        lambda s: s.put(config_of(thread_id), checkpoint, {}, {}),
    )
    assert pending(saver, config) == expected


@pytest.mark.parametrize("channel", sorted(WRITES_IDX_MAP))
def test_writes_with_an_index_of_their_own_are_replaced(chain, channel):
    config = chain.put({"a": 1})
    chain.saver.put_writes(config, [(channel, "first")], "task")
    chain.saver.put_writes(config, [(channel, "second")], "task")
    chain.saver.put_writes(config, [(channel, "other task's")], "task2")
    assert pending(chain.saver, config) == [
        ("task", channel, "second"),
        ("task2", channel, "other task's"),
    ]


def test_ordinary_writes_keep_their_first_version(chain):
    config = chain.put({"a": 1})
    chain.saver.put_writes(config, [("a", "first"), ("b", 1)], "task")
    chain.saver.put_writes(config, [("a", "retried"), ("b", 2), ("c", 3)], "task")
    assert pending(chain.saver, config) == [
        ("task", "a", "first"),
        ("task", "b", 1),
        ("task", "c", 3),
    ]


def test_special_and_ordinary_writes_do_not_meet(chain):
    config = chain.put({"a": 1})
    chain.saver.put_writes(config, [("__error__", "e"), ("a", 1)], "task")
    chain.saver.put_writes(config, [("a", 0), ("__resume__", ["r"])], "task")
    assert pending(chain.saver, config) == [
        ("task", "__resume__", ["r"]),
        ("task", "__error__", "e"),
        ("task", "a", 0),
        ("task", "a", 1),
    ]


def test_of_two_interrupts_in_one_call_the_last_holds(chain):
    config = chain.put({"a": 1})
    chain.saver.put_writes(
        config, [("__interrupt__", [1]), ("x", 0), ("__interrupt__", [2])], "task"
    )
    assert pending(chain.saver, config) == [("task", "__interrupt__", [2]), ("task", "x", 0)]


# Python's order of these is by code point; a locale's is another one.
ADVERSARIAL = [
    "",
    "B",
    "a",
    "A",
    "b",
    "Z",
    "é",
    "z",
    "É",
    "ß",
    "~",
    "_",
    " ",
    "10",
    "2",
    "\U0001d49c",
    "\uffee",
    "a b",
    "a-b",
    "aB",
]


def test_writes_are_ordered_by_path_task_and_index(chain):
    config = chain.put({"a": 1})
    calls = [
        (path, f"{path}/{task}") for path, task in itertools.product(ADVERSARIAL, ADVERSARIAL[1:6])
    ] + [("", task) for task in ADVERSARIAL[1:]]
    random.Random(4).shuffle(calls)
    for path, task in calls:
        chain.saver.put_writes(config, [("x", path), ("y", path)], task, path)
    expected = [(task, channel, path) for path, task in sorted(calls) for channel in ("x", "y")]
    assert pending(chain.saver, config) == expected
    [found] = chain.saver.list(config_of(chain.thread_id))
    assert found.pending_writes == expected


def test_index_is_a_number_not_text(chain):
    config = chain.put({"a": 1})
    chain.saver.put_writes(config, [(f"c{n}", n) for n in range(25)], "task")
    assert [value for _, _, value in pending(chain.saver, config)] == list(range(25))


def test_writes_belong_to_one_checkpoint_of_one_namespace(saver, thread_id):
    checkpoint = checkpoint_of({}, {})
    for ns in ("", "ns"):
        saver.put(config_of(thread_id, ns=ns), checkpoint, {}, {})
        saver.put_writes(config_of(thread_id, checkpoint["id"], ns), [("a", ns)], "task")
    saver.put_writes(config_of(thread_id, new_id()), [("a", "another checkpoint's")], "task")
    assert pending(saver, config_of(thread_id, checkpoint["id"])) == [("task", "a", "")]
    assert pending(saver, config_of(thread_id, checkpoint["id"], "ns")) == [("task", "a", "ns")]


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, b"", "\x00", float("inf")])
def test_empty_and_odd_values_are_values(chain, value):
    config = chain.put({"a": 1})
    chain.saver.put_writes(config, [("x", value)], "task")
    [(_, _, found)] = pending(chain.saver, config)
    assert found == value

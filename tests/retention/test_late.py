"""What comes late, put by put: in every order, it is there exactly if it should be."""

from __future__ import annotations

import logging
from itertools import permutations

import pytest

from helpers import Chain, checkpoint_of, config_of, id_of, new_id, next_version
from langgraph_pg_snapshot import RetentionPolicy, SnapshotError
from langgraph_pg_snapshot._plans import held

T = "thread"


def put(saver, parent=None, ns="", **metadata):
    """Put a checkpoint with a value; returns its config."""
    version = next_version(None)
    return saver.put(
        config_of(T, parent, ns), checkpoint_of({"a": 1}, {"a": version}), metadata, {"a": version}
    )


def test_a_put_on_a_parent_that_was_erased_is_not_stored(saver, other, rows, caplog):
    chain = Chain(saver, T)
    for _ in range(2):
        chain.put({"a": 1})
    other.delete_thread(T)
    with caplog.at_level(logging.INFO, "langgraph_pg_snapshot"):
        late = chain.put({"a": 2})
        saver.put_writes(late, [("a", 1)], "task")
        chain.put({"a": 3})
    assert saver.get_tuple(late) is None
    assert rows(T) == {}
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [line.split()[0] for line in said] == ["checkpoint", "writes", "checkpoint"]
    assert all(f"checkpoint {id_of(late)!r} of thread 'thread'" in line for line in said[:2])
    assert said[0].endswith("comes too late and is not stored: the thread was erased")


@pytest.mark.parametrize("how", ["prune", "sweep"])
@pytest.mark.parametrize("ns", ["", "sub"])
def test_a_parent_that_was_swept_is_no_parent_that_was_erased(saver, other, how, ns):
    """A run on a thread that was erased and started anew, while its history is shortened."""
    old = put(saver)
    other.delete_thread(T)
    root = put(other)
    parent = root if ns == "" else put(saver, None, ns, parents={"": id_of(root)})
    newer = put(other, id_of(parent), ns, parents={"": id_of(root)})
    put(other, id_of(root))
    if how == "prune":
        other.prune([T])
    else:
        other.sweep(RetentionPolicy(keep_last=1))
    assert saver.get_tuple(parent) is None
    put(saver, id_of(parent), ns, parents={"": id_of(root)})
    assert id_of(other.get_tuple(config_of(T, None, ns)).config) > id_of(newer)
    late = put(saver, id_of(old), parents={})
    assert saver.get_tuple(late) is None


@pytest.mark.parametrize("knows", [True, False])
def test_starting_anew_works_and_keeps_late_ones_out(saver, other, rows, knows):
    old = Chain(saver, T)
    erased = old.put({"a": 1}, metadata={"user_id": "old"})
    other.delete_thread(T)
    anew = Chain(saver if knows else other, T)
    for n in range(3):
        head = anew.put({"a": n})
        old.put({"a": "old"}, metadata={"user_id": "old"})
        old.put({"a": "old"}, parent=erased, metadata={"user_id": "old"})
        for late in (old.head, erased, config_of(T, new_id())):
            saver.put_writes(late, [("a", "old")], "task")
    for reader in (saver, other):
        assert reader.get_tuple(config_of(T)).config == head
        assert len(reader.list(config_of(T))) == 3
    assert rows(T) == {"threads": 1, "history": 3}


def test_a_run_that_was_erased_stores_nothing_anywhere(saver, other, rows):
    """Neither where it left checkpoints nor in namespaces and threads where it left none."""
    kept = put(saver, run_id="other")
    memory = put(saver, None, "memory", run_id="other", parents={"": id_of(kept)})
    first = put(saver, id_of(kept), run_id="run")
    other.delete_for_runs(["run"])
    before = rows(T)
    saver.get_tuple(memory)  # it knows the newest state of this one
    for parent, ns in ((first, ""), (kept, ""), (memory, "memory"), (None, "new")):
        late = put(saver, parent and id_of(parent), ns, run_id="run", parents={"": id_of(first)})
        saver.put_writes({**late, "metadata": {"run_id": "run"}}, [("a", 1)], "task")
        saver.put_writes(late, [("a", 1)], "task")
    assert rows(T) == before == {"threads": 2, "history": 2}
    at = {**config_of("elsewhere"), "metadata": {"run_id": "run"}}
    late = saver.put(at, checkpoint_of({}, {}), {}, {})
    saver.put_writes({**at, **late}, [("a", 1)], "task")
    assert rows("elsewhere") == {}
    put(saver, id_of(kept), run_id="next")
    assert rows(T) == {"threads": 2, "history": 3}


def test_writes_that_came_before_a_put_that_is_refused_go_with_it(saver, other, rows):
    kept = put(saver, run_id="other")
    put(saver, id_of(kept), run_id="run")
    version, id_ = next_version(None), new_id()
    saver.put_writes(config_of(T, id_, "sub:1"), [("a", 1)], "task")
    other.delete_for_runs(["run"])
    checkpoint = checkpoint_of({"a": 1}, {"a": version}, id_)
    saver.put(config_of(T, None, "sub:1"), checkpoint, {"run_id": "run"}, {"a": version})
    assert rows(T) == {"threads": 1, "history": 1}


@pytest.mark.parametrize("order", list(permutations(range(5))), ids=str)
def test_every_order_of_a_first_superstep_is_stored(saver, other, order):
    """On a thread that was erased: the root, a subgraph, its child, and writes of both."""
    put(saver)
    other.delete_thread(T)
    version = next_version(None)
    root, sub, child = new_id(), new_id(), new_id()

    def stored(ns, parent, id_, metadata):
        checkpoint = checkpoint_of({"a": id_}, {"a": version}, id_)
        saver.put(config_of(T, parent, ns), checkpoint, metadata, {"a": version})

    parents = {"parents": {"": root}}
    steps = [
        lambda: stored("", None, root, {}),
        lambda: stored("sub:1", None, sub, parents),
        lambda: stored("sub:1", sub, child, parents),
        lambda: saver.put_writes(config_of(T, root), [("a", "root")], "task"),
        lambda: saver.put_writes(config_of(T, child, "sub:1"), [("a", "child")], "task"),
    ]
    # LangGraph puts the checkpoints of one namespace one after the other.
    if order.index(1) > order.index(2):
        order = [{1: 2, 2: 1}.get(place, place) for place in order]
    for place in order:
        steps[place]()
    for ns, id_, parent, written in (
        ("", root, None, "root"),
        ("sub:1", sub, None, None),
        ("sub:1", child, sub, "child"),
    ):
        found = other.get_tuple(config_of(T, id_, ns))
        assert found.checkpoint["channel_values"] == {"a": id_}
        assert id_of(found.parent_config) == parent
        assert found.pending_writes == ([("task", "a", written)] if written else [])
    assert not saver.saver._store.held._held


def test_what_waits_is_what_was_put_not_what_became_of_it(saver, other):
    put(saver)
    other.delete_thread(T)
    value, root, version = [{"text": "as put " * 20}] * 3, new_id(), next_version(None)
    late = checkpoint_of({"a": value}, {"a": version})
    saver.put(config_of(T, None, "sub"), late, {"parents": {"": root}}, {"a": version})
    written = [{"text": "as written"}]
    saver.put_writes(config_of(T, root), [("a", written)], "task")
    for each in (value, written):
        each[0]["text"] = "changed"
        each.append("added")
    saver.put(config_of(T), checkpoint_of({}, {}, root), {}, {})
    assert other.get_tuple(config_of(T, None, "sub")).checkpoint["channel_values"] == {
        "a": [{"text": "as put " * 20}] * 3
    }
    assert other.get_tuple(config_of(T)).pending_writes == [("task", "a", [{"text": "as written"}])]


def test_only_so_much_waits(saver, other, monkeypatch, caplog):
    monkeypatch.setattr(held, "MAX_HELD_BYTES", 3_500)
    put(saver)
    other.delete_thread(T)
    ids = [new_id() for _ in range(5)]
    for id_ in ids:
        saver.put_writes(config_of(T, id_), [("a", id_)], "task")
    parent = None
    for n, id_ in enumerate(ids):
        version = next_version(None)
        saver.put(config_of(T, parent), checkpoint_of({"a": 1}, {"a": version}, id_), {}, {})
        parent = id_
        found = other.get_tuple(config_of(T)).pending_writes
        assert found == ([] if n < 2 else [("task", "a", id_)])
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == 2
    assert all("too much waits" in line for line in said)


def test_what_waits_for_what_was_refused_waits_no_longer(saver, other, rows):
    """Writes, calls of subgraphs and their writes, before and after it."""
    chain = Chain(saver, T)
    chain.put({"a": 1})
    other.delete_thread(T)
    refused = new_id()
    held_back = saver.saver._store.held

    def come_late(task):
        call = put(saver, None, f"call:{task}", parents={"": refused})
        saver.put_writes(call, [("a", 1)], task)
        saver.put_writes(config_of(T, refused), [("a", 1)], task)

    come_late("before")
    assert len(held_back._held) == 3
    chain.put({"a": 2}, checkpoint_id=refused)
    assert not held_back._held
    come_late("after")
    assert not held_back._held
    assert not held_back._checkpoints
    assert (held_back._size, held_back._by_key) == (0, {})
    assert rows(T) == {}


def test_one_that_fails_leaves_the_others_stored(saver, other, monkeypatch):
    put(saver)
    other.delete_thread(T)
    root = new_id()
    for task in ("1", "2", "3"):
        saver.put_writes(config_of(T, root), [("a", task)], task)
    [_, second, _] = saver.saver._store.held._held.values()

    def fail():
        raise SnapshotError("the second fails")
        yield

    object.__setattr__(second, "attempt", fail)
    with pytest.raises(SnapshotError, match="the second fails"):
        saver.put(config_of(T), checkpoint_of({}, {}, root), {}, {})
    found = other.get_tuple(config_of(T)).pending_writes
    assert found == [("1", "a", "1"), ("3", "a", "3")]
    assert not saver.saver._store.held._held


def test_late_writes_of_what_was_pruned_are_not_stored(saver, other, rows):
    chain = Chain(saver, T)
    first = chain.put({"a": 1})
    chain.put({"a": 2})
    other.prune([T])
    saver.put_writes(first, [("a", "late")], "task")
    saver.put_writes(chain.head, [("a", "pending")], "task")
    assert rows(T) == {"threads": 1, "history": 1, "writes": 1}
    assert saver.get_tuple(chain.head).pending_writes == [("task", "a", "pending")]


def test_saving_a_state_starts_an_erased_thread_anew(saver, other):
    saver.save_state(T, {"a": 1})
    other.delete_thread(T)
    saver.save_state(T, {"a": 2})
    saver.save_state(T, {"b": 3})
    assert other.load_state(T) == {"b": 3}


def test_what_is_stored_just_before_it_is_waited_for(other, monkeypatch):
    """Nobody else would come for it any more."""
    put(other)
    other.delete_thread(T)
    root, add = new_id(), held.HeldBack.add

    def put_and_add(waiting, what):
        monkeypatch.setattr(held.HeldBack, "add", add)
        other.put(config_of(T), checkpoint_of({}, {}, root), {}, {})
        add(waiting, what)

    monkeypatch.setattr(held.HeldBack, "add", put_and_add)
    other.put_writes(config_of(T, root), [("a", 1)], "task")
    assert other.get_tuple(config_of(T)).pending_writes == [("task", "a", 1)]


@pytest.mark.parametrize("ns", ["call:1", "memory"])
@pytest.mark.parametrize("at_exit", [False, True])
def test_what_waited_and_is_late_when_its_turn_comes_is_refused(
    saver, other, *, rows, monkeypatch, ns, at_exit
):
    """The thread is erased again just after the root checkpoint that it waited for was stored."""
    put(saver)
    other.delete_thread(T)
    root, waiting_for = new_id(), held.HeldBack.waiting_for

    def go_on(parent):
        at = config_of(T, parent, ns)
        at["configurable"]["__pregel_durability"] = "exit" if at_exit else "async"
        return saver.put(at, checkpoint_of({}, {}), {"parents": {"": root}}, {})

    def erase_first(waiting, *stored):
        monkeypatch.setattr(held.HeldBack, "waiting_for", waiting_for)
        assert rows(T)
        other.delete_thread(T)
        return waiting_for(waiting, *stored)

    first = go_on(None)
    second = go_on(id_of(first))
    monkeypatch.setattr(held.HeldBack, "waiting_for", erase_first)
    saver.put(config_of(T), checkpoint_of({}, {}, root), {}, {})
    assert rows(T) == {}
    for parent in (first, second):
        late = go_on(id_of(parent))
        saver.put_writes(late, [("a", 1)], "task")
        saver.put_writes(parent, [("a", 1)], "task")
    assert rows(T) == {}
    assert not saver.saver._store.held._held

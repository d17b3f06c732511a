"""Random histories: whatever is put, forked, put again, removed or copied, by two processes with
warm and cold caches, is what InMemorySaver would give back."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from helpers import (
    SERDES,
    Driven,
    checkpoint_of,
    config_of,
    event_loop,
    new_id,
    next_version,
)
from invariants import violations
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy
from langgraph_pg_snapshot.serializer import sight

NAMESPACES = ("", "sub")
CHANNELS = ("messages", "files", "rows", "n")
SPECIAL = ("__error__", "__interrupt__", "__resume__")
_examples = itertools.count()


class Model(InMemorySaver):
    """InMemorySaver with the operations that it lacks."""

    def delete_for_runs(self, run_ids):
        for thread_id, spaces in self.storage.items():
            for ns, stored in spaces.items():
                doomed = {
                    id_
                    for id_, (_, metadata, _) in stored.items()
                    if self.serde.loads_typed(metadata).get("run_id") in run_ids
                }
                self._drop(thread_id, ns, doomed)

    def prune(self, thread_ids, keep_last=1):
        for thread_id in thread_ids:
            for ns, stored in self.storage[thread_id].items():
                self._drop(thread_id, ns, set(sorted(stored)[:-keep_last]))

    def _drop(self, thread_id, ns, doomed):
        stored = self.storage[thread_id][ns]
        for id_ in doomed:
            del stored[id_]
            self.writes.pop((thread_id, ns, id_), None)
        for id_, (checkpoint, metadata, parent) in stored.items():
            stored[id_] = (checkpoint, metadata, None if parent in doomed else parent)
        if doomed and not stored:  # pending writes of a checkpoint to come go with the namespace
            for key in [key for key in self.writes if key[:2] == (thread_id, ns)]:
                del self.writes[key]

    def copy_thread(self, source, target):
        self.storage[target] = copy.deepcopy(self.storage[source])
        stored = {ns for ns, checkpoints in self.storage[source].items() if checkpoints}
        for table in (self.writes, self.blobs):
            for key, value in list(table.items()):
                if key[0] == source and key[1] in stored:
                    table[(target, *key[1:])] = copy.deepcopy(value)


def text(number: int, length: int) -> str:
    return (f"{number} " * 60)[:length]


def element(channel: str, number: int, length: int) -> Any:
    if channel == "messages":
        return (HumanMessage, AIMessage)[number % 2](text(number, length), id=str(number))
    return {"number": number, "text": text(number, length)}


@st.composite
def edits(draw, channel: str):
    """A function that makes a channel's next value from the one before."""
    kind = draw(st.sampled_from(["append", "append", "edit", "trim", "move", "none", "few", "big"]))
    # Few different ones: values that were removed come back.
    number, length = draw(st.integers(0, 8)), draw(st.sampled_from([30, 90, 300]))
    count, place = draw(st.integers(1, 12)), draw(st.integers(0, 30))
    new = [element(channel, number + i, length) for i in range(count)]

    def edit(before: Any) -> Any:
        if channel == "n" or kind == "none":
            return {"none": None, "big": text(number, 300) * 9}.get(kind, number)
        if channel == "files":
            files = dict(before) if isinstance(before, dict) else {}
            if kind == "trim":
                return dict(list(files.items())[place % 5 :])
            if kind == "few":
                return {f"f{number}": new[0], "": None}
            return files | {f"f{(place + i) % 40}": each for i, each in enumerate(new)}
        rows = list(before) if isinstance(before, list) else []
        if kind == "edit" and rows:
            rows[place % len(rows)] = new[0]
        elif kind == "trim":
            rows = rows[place % 7 :]
        elif kind == "move" and rows:
            rows = [*rows[place % len(rows) :], *rows[: place % len(rows)], rows[0]]
        elif kind == "few":
            rows = new[:1]
        else:
            rows = [*rows, *new, *(new if kind == "big" else [])]
        return rows

    return edit


changes = st.fixed_dictionaries(
    {},
    optional={
        channel: st.one_of(
            edits(channel), edits(channel), st.sampled_from(["absent", "valueless", "dropped"])
        )
        for channel in CHANNELS
    },
)
who = st.integers(0, 1)
places = st.tuples(st.integers(0, 1), st.sampled_from([*NAMESPACES, ""]))
index = st.integers(0, 50)
steps = st.lists(st.tuples(who, changes), min_size=1, max_size=6)


class Histories(RuleBasedStateMachine):
    """Plays the same with the model and with two savers on one database."""

    def __init__(self, dsn: str, make: Any) -> None:
        super().__init__()
        self.dsn, self.make = dsn, make

    @initialize()
    def begin(self):
        self.model = Model()
        self.savers = [self.make(), self.make()]
        self.prefix = f"e{next(_examples)}"
        self.threads = [f"{self.prefix}-0", f"{self.prefix}-1"]
        # (thread, ns) → id → (values, versions, parent's id)
        self.states: dict[tuple[str, str], dict[str, Any]] = {}
        self.early: dict[tuple[str, str], list[str]] = {}
        self.owners = {thread_id: thread_id for thread_id in self.threads}
        # What was erased: threads (or a part of them), and runs; runs are called otherwise then.
        self.erased: set[str] = set()
        self.run_names = list(range(4))
        # Where runs that don't know of it would go on: (thread, ns), parent's id, erased run.
        self.dead: list[tuple[tuple[str, str], str, str | None]] = []
        # Writes that came early to a thread of which something was erased, by saver.
        self.held: list[list[tuple[Any, ...]]] = [[], []]
        self.touched = None

    def both(self, who: int, name: str, *args: Any, **kwargs: Any) -> None:
        given = copy.deepcopy((args, kwargs))
        expected = getattr(self.model, name)(*args, **kwargs)
        assert getattr(self.savers[who], name)(*args, **kwargs) == expected
        assert (args, kwargs) == given

    def place(self, place):
        thread, ns = place
        return self.threads[thread % len(self.threads)], ns

    def checkpoint(self, place, index):
        ids = sorted(self.states.get(self.place(place), {}), reverse=True)
        # The newest ones are picked most often, as in real life.
        return ids[min(index // 5, len(ids) - 1) if index % 5 else 0] if ids else None

    def put_values(self, who, key, id_, parent, changed, run):  # noqa: PLR0917
        values, versions, _ = self.states.get(key, {}).get(parent, ({}, {}, None))
        values, versions, new_versions, absent = dict(values), dict(versions), {}, set()
        for channel, change in changed.items():
            if change == "dropped":
                values.pop(channel, None)
                versions.pop(channel, None)
            elif change == "absent":
                absent.add(channel)
            else:
                new_versions[channel] = versions[channel] = next_version(versions.get(channel))
                if change == "valueless":
                    values.pop(channel, None)
                else:
                    values[channel] = change(values.get(channel))
        given = {channel: value for channel, value in values.items() if channel not in absent}
        step = len(self.states.get(key, {}))
        metadata = {
            "step": step,
            "run_id": self.run_id(run),
            "user_id": f"of {run}",
            "owner": self.owners[key[0]],
        }
        self.both(
            who,
            "put",
            config_of(key[0], parent, key[1]),
            checkpoint_of(given, versions, id_),
            metadata,
            new_versions,
        )
        known = self.states.setdefault(key, {})
        known[id_] = (values, versions, known[id_][2] if id_ in known else parent)
        self.touched = config_of(key[0], id_, key[1])
        for held in [each for each in self.held[who] if each[0] == self.touched]:
            self.held[who].remove(held)
            self.model.put_writes(*held)

    def run_id(self, run):
        return f"{self.prefix}-{self.run_names[run] if isinstance(run, int) else run}"

    def run(self, place, index, steps, run):
        """Some puts in a row, on the newest checkpoint or on an older one (a fork)."""
        key = self.place(place)
        parent = self.checkpoint(place, index)
        for who, changed in steps:
            early = self.early.get(key)
            id_ = early.pop() if early and index % 2 else new_id()
            self.put_values(who, key, id_, parent, changed, run)
            parent = id_

    # Twice, as hypothesis takes each rule as often as any other.
    run_first = rule(place=places, index=index, steps=steps, run=st.integers(0, 3))(run)
    run_then = rule(place=places, index=index, steps=steps, run=st.integers(0, 3))(run)

    @precondition(lambda self: self.states)
    @rule(who=who, place=places, index=index, changed=changes)
    def put_again(self, who, place, index, changed):
        key, id_ = self.place(place), self.checkpoint(place, index)
        if id_ is not None:
            _, _, parent = self.states[key][id_]
            if parent is None or parent in self.states[key]:
                self.put_values(who, key, id_, parent, changed, "again")

    @rule(
        who=who,
        place=places,
        index=index,
        task=st.sampled_from(["t", "T", "é", "10", "9"]),
        path=st.sampled_from(["", "~a", "~B"]),
        channels=st.lists(st.sampled_from([*CHANNELS, *SPECIAL]), max_size=4),
        number=st.integers(0, 99),
        is_early=st.booleans(),
    )
    def put_writes(self, who, place, index, task, path, channels, number, is_early):  # noqa: PLR0917
        key = self.place(place)
        id_ = self.checkpoint(place, index)
        if is_early or id_ is None:
            id_ = new_id()
            self.early.setdefault(key, []).append(id_)
        writes = [
            (channel, element("messages" if i % 2 else "rows", number + i, 90))
            for i, channel in enumerate(channels)
        ]
        config = config_of(key[0], id_, key[1])
        if id_ not in self.states.get(key, {}) and key[0] in self.erased:
            # They may be late ones: only the saver that puts their checkpoint will store them.
            self.savers[who].put_writes(config, writes, task, path)
            self.held[who].append((config, writes, task, path))
        else:
            self.both(who, "put_writes", config, writes, task, path)
        self.touched = config_of(key[0], id_, key[1])

    @rule(who=who)
    def restart(self, who):
        """Another process takes over: it knows nothing."""
        self.savers[who] = self.make()
        self.held[who].clear()

    @precondition(lambda self: self.dead)
    @rule(who=who, index=index, changed=changes, special=st.booleans())
    def go_on_with_what_was_erased(self, who, index, changed, special):
        """A run that was under way: what it puts now is not there, nor what it writes."""
        key, parent, run = self.dead[index % len(self.dead)]
        id_, version = new_id(), next_version(None)
        values = {channel: [element("rows", index, 90)] for channel in changed}
        metadata = {"owner": self.owners[key[0]], **({"run_id": run} if run else {})}
        put = self.savers[who].put(
            config_of(key[0], parent, key[1]),
            checkpoint_of(values, dict.fromkeys(values, version), id_),
            metadata,
            dict.fromkeys(values, version),
        )
        assert put == config_of(key[0], id_, key[1])
        for written in (parent, id_):
            writes = [(SPECIAL[index % 3] if special else "rows", index)]
            self.savers[who].put_writes(config_of(key[0], written, key[1]), writes, "late")
        self.touched = put

    @rule(
        who=who,
        place=places,
        index=index,
        options=st.fixed_dictionaries(
            {},
            optional={
                "limit": st.integers(0, 5),
                "filter": st.sampled_from([{"step": 1}, {"none": None}, {"step": 2, "none": None}]),
            },
        ),
    )
    def look(self, who, place, index, options):
        thread_id, ns = self.place(place)
        config, saver = config_of(thread_id, ns=ns), self.savers[who]
        assert saver.get_tuple(config) == self.model.get_tuple(config)
        id_ = self.checkpoint(place, index)
        if id_ and index % 2:
            options = {**options, "before": config_of(thread_id, id_, ns)}
        assert saver.list(config, **options) == list(self.model.list(config, **options))
        if id_:
            config = config_of(thread_id, id_, ns)
            history = {"config": config, "channels": [*CHANNELS]}
            assert saver.get_delta_channel_history(
                **history
            ) == self.model.get_delta_channel_history(**history)
        if not ns:
            newest = self.model.get_tuple(config_of(thread_id))
            state = newest and newest.checkpoint["channel_values"]
            assert saver.load_state(thread_id) == state

    @rule(
        who=who,
        place=places,
        run=st.integers(0, 3),
        how=st.sampled_from(["delete_thread", "delete_for_runs", "prune", "copy_thread", "sweep"]),
    )
    def maintain(self, who, place, run, how):
        thread_id, _ = self.place(place)
        keys = [(thread_id, ns) for ns in NAMESPACES]
        if how == "delete_thread":
            self.both(who, how, thread_id)
            self.forget_thread(thread_id)
        elif how == "delete_for_runs":
            erased = self.run_id(run)
            self.both(who, how, [erased])
            self.forget_what_is_gone(erased)
            self.run_names[run] += len(self.run_names)
        elif how == "prune":
            self.both(who, how, [thread_id])
            self.forget_what_is_gone()
        elif how == "sweep":
            policy = RetentionPolicy(keep_last=run + 1)
            expected = self.savers[who].sweep(policy, dry_run=True, batch=2)
            assert self.savers[who].sweep(policy, batch=3) == replace(expected, dry_run=False)
            self.model.prune(self.threads, run + 1)
            self.forget_what_is_gone()
        elif len(self.threads) < 4 and any(self.states.get(key) for key in keys):
            target = f"{self.prefix}-{len(self.threads)}"
            self.threads.append(target)
            self.owners[target] = self.owners[thread_id]
            self.both(who, how, thread_id, target)
            for key in keys:
                self.states[target, key[1]] = dict(self.states.get(key, {}))

    @precondition(lambda self: self.states)
    @rule(who=who, place=places)
    def erase(self, who, place):
        """A thread and its copies have one owner."""
        owner = self.owners[self.place(place)[0]]
        doomed = {
            thread_id
            for (thread_id, _), known in self.states.items()
            if known and self.owners[thread_id] == owner
        }
        expected = self.savers[who].erase(filter={"owner": owner}, dry_run=True)
        assert expected.threads == len(doomed)
        report = self.savers[who].erase(filter={"owner": owner})
        assert report == replace(expected, dry_run=False)
        for thread_id in doomed:
            self.model.delete_thread(thread_id)
            self.forget_thread(thread_id)

    def forget_thread(self, thread_id):
        for ns in NAMESPACES:
            for id_ in self.states.pop((thread_id, ns), {}):
                self.dead.append(((thread_id, ns), id_, None))
            self.early.pop((thread_id, ns), None)
        self.erased.add(thread_id)

    def forget_what_is_gone(self, run=None):
        for (thread_id, ns), known in list(self.states.items()):
            left = self.model.storage[thread_id][ns]
            if run is not None and (gone := known.keys() - left):
                self.dead += [((thread_id, ns), id_, run) for id_ in gone]
                self.erased.add(thread_id)
            self.states[thread_id, ns] = {
                id_: (values, versions, parent if parent in left else None)
                for id_, (values, versions, parent) in known.items()
                if id_ in left
            }

    @invariant()
    def what_was_touched_is_stored(self):
        """Read by a third party: the two savers know only what they did themselves."""
        if getattr(self, "touched", None) is not None:
            assert self.make().get_tuple(self.touched) == self.model.get_tuple(self.touched)
            self.touched = None

    def teardown(self):
        if not hasattr(self, "threads"):
            return
        reader = self.make()
        for thread_id in self.threads:
            everywhere = {"configurable": {"thread_id": thread_id}}
            found = reader.list(everywhere)
            assert len(found) == len({repr(each.config) for each in found})
            expected = {repr(each.config): each for each in self.model.list(everywhere)}
            assert {repr(each.config): each for each in found} == expected
        assert violations(self.dsn, reader, self.threads, early=True) == {}
        with psycopg.connect(self.dsn) as conn:
            stored = conn.execute(
                "SELECT thread_id, checkpoint_ns, checkpoint_id, task_id, idx "
                "FROM agent_checkpoints_writes WHERE thread_id = ANY (%s)",
                [self.threads],
            ).fetchall()
        assert set(stored) == {
            (*key, *write)
            for key, writes in self.model.writes.items()
            if key[0] in self.threads
            for write in writes
        }


@contextmanager
def sync_savers(dsn: str, serde: str) -> Iterator[Any]:
    with ConnectionPool(dsn, min_size=1, kwargs={"autocommit": True}) as pool:
        yield lambda: Driven(
            PostgresSnapshotSaver(pool=pool, serde=SERDES[serde](), auto_setup=False), None
        )


@contextmanager
def async_savers(dsn: str, serde: str) -> Iterator[Any]:
    with event_loop() as loop:
        pool = AsyncConnectionPool(dsn, min_size=1, kwargs={"autocommit": True}, open=False)
        loop.run_until_complete(pool.open())
        yield lambda: Driven(
            PostgresSnapshotSaver(async_pool=pool, serde=SERDES[serde](), auto_setup=False), loop
        )
        loop.run_until_complete(pool.close())


@pytest.mark.timeout(600)  # hypothesis may take minutes to make a failure small
@pytest.mark.parametrize(
    ("savers", "serde", "examples"),
    [
        (sync_savers, "snapshot", 60),
        (async_savers, "snapshot", 20),
        (sync_savers, "jsonplus", 20),
        (async_savers, "encrypted", 20),
    ],
    ids=["sync-snapshot", "async-snapshot", "sync-jsonplus", "async-encrypted"],
)
def test_histories(ready_database, monkeypatch, savers, serde, examples):
    if (
        savers is sync_savers
    ):  # lists are short here: have them recognised in stretches all the same
        monkeypatch.setattr(sight, "_STRETCH", 3)
        monkeypatch.setattr(sight, "_NEW", 1)
        monkeypatch.setattr(sight, "_MOST_MISSES", 0)
    with savers(ready_database, serde) as make:
        run_state_machine_as_test(
            lambda: Histories(ready_database, make),
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )

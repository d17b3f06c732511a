"""sweep(policy): what stays, what goes, and what it says of that."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import product

import psycopg
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graphs import delta_graph, nested_graph, steps_graph, tool_agent
from helpers import Chain, config_of, id_of, new_id, unreferenced_items
from langgraph_pg_snapshot import RetentionPolicy
from langgraph_pg_snapshot._plans import retention

LARGE = [{"text": f"{number} " * 80} for number in range(20)]
DAY = timedelta(days=1)


def age(dsn, thread_id, days, checkpoint_ids=None):
    """Have a thread, or only checkpoints of it, be so old."""
    by = timedelta(days=days)
    with psycopg.connect(dsn, autocommit=True) as conn:
        if checkpoint_ids is None:
            conn.execute(
                "UPDATE agent_checkpoints_threads SET updated_at = updated_at - %s "
                "WHERE thread_id = %s",
                [by, thread_id],
            )
        conn.execute(
            "UPDATE agent_checkpoints_history SET created_at = created_at - %s "
            "WHERE thread_id = %s AND coalesce(checkpoint_id = ANY (%s), true)",
            [by, thread_id, checkpoint_ids],
        )


def size(dsn):
    """The bytes of all values, and how many rows there are."""
    with psycopg.connect(dsn) as conn:
        return conn.execute("""
            SELECT
                (SELECT count(*) FROM agent_checkpoints_history),
                (SELECT count(*) FROM agent_checkpoints_items),
                (SELECT count(*) FROM agent_checkpoints_writes),
                (SELECT coalesce(sum(pg_column_size(header) + pg_column_size(metadata)
                    + pg_column_size(channel_values) + pg_column_size(items)), 0)
                 FROM agent_checkpoints_history)
                + (SELECT coalesce(sum(pg_column_size(item)), 0) FROM agent_checkpoints_items)
                + (SELECT coalesce(sum(pg_column_size(value)), 0) FROM agent_checkpoints_writes)
        """).fetchone()


def swept(saver, dsn, policy, **options):
    """Sweep; what is said is what a dry run said, and what was removed."""
    before = size(dsn)
    expected = saver.sweep(policy, dry_run=True, **options)
    assert size(dsn) == before
    report = saver.sweep(policy, **options)
    assert replace(expected, dry_run=False) == report
    removed = (report.checkpoints, report.items, report.writes, report.bytes)
    assert removed == tuple(was - now for was, now in zip(before, size(dsn), strict=True))
    assert unreferenced_items(dsn) == []
    assert saver.sweep(policy, **options) == replace(
        report, threads=0, shortened=0, checkpoints=0, items=0, writes=0, bytes=0
    )
    return report


def stored(saver, thread_id):
    found = saver.list({"configurable": {"thread_id": thread_id}})
    return {(e.config["configurable"]["checkpoint_ns"], id_of(e.config)) for e in found}


def fill(saver, thread_id, count=5, ns=""):
    chain = Chain(saver, thread_id, ns)
    ids = []
    for n in range(count):
        config = chain.put({"m": LARGE[: 2 * n + 2], "n": n}, metadata={"user_id": thread_id})
        saver.put_writes(config, [("m", LARGE[n])], "task")
        ids.append(id_of(config))
    return ids


@pytest.mark.parametrize("batch", [1, 2, 100])
@pytest.mark.parametrize("keep", [1, 2, 4])
def test_keep_last(saver, ready_database, keep, batch):
    ids = {(thread, ns): fill(saver, thread, ns=ns) for thread in "abc" for ns in ("", "sub")}
    fill(saver, "short", 1)
    report = swept(saver, ready_database, RetentionPolicy(keep_last=keep), batch=batch)
    assert (report.threads, report.shortened, report.skipped) == (0, 3, 0)
    assert report.checkpoints == report.writes == 6 * (5 - keep)
    for thread in "abc":
        assert stored(saver, thread) == {
            (ns, id_) for ns in ("", "sub") for id_ in ids[thread, ns][-keep:]
        }
        head = saver.get_tuple(config_of(thread))
        assert head.checkpoint["channel_values"] == {"m": LARGE[:10], "n": 4}
        assert head.pending_writes == [("task", "m", LARGE[4])]
    assert len(stored(saver, "short")) == 1


def test_max_age_keeps_the_newest_however_old(saver, ready_database):
    ids = fill(saver, "t")
    old = fill(saver, "old")
    age(ready_database, "t", 10, ids[:3])
    age(ready_database, "old", 20)
    report = swept(saver, ready_database, RetentionPolicy(max_age=9 * DAY))
    assert (report.threads, report.shortened, report.checkpoints) == (0, 2, 7)
    assert stored(saver, "t") == {("", id_) for id_ in ids[3:]}
    assert stored(saver, "old") == {("", old[-1])}


@pytest.mark.parametrize("batch", [1, 100])
def test_max_idle_erases_threads(saver, ready_database, rows, batch):
    for thread_id in ("old", "older", "new", "in use"):
        fill(saver, thread_id)
    age(ready_database, "old", 10)
    age(ready_database, "older", 20)
    age(ready_database, "in use", 10)
    fill(saver, "in use", 1, "sub")  # a subgraph's checkpoint is an update, too
    saver.put_writes(config_of("old", new_id()), [("a", 1)], "early")
    report = swept(saver, ready_database, RetentionPolicy(max_idle=9 * DAY), batch=batch)
    assert (report.threads, report.shortened, report.checkpoints, report.writes) == (2, 0, 10, 11)
    assert rows("old") == rows("older") == {}
    assert len(stored(saver, "new")) == 5
    assert len(stored(saver, "in use")) == 6


def test_all_three_at_once(saver, ready_database, rows):
    """A thread that goes as a whole is not shortened as well; the other limits add up."""
    ids = {thread_id: fill(saver, thread_id) for thread_id in ("idle", "long", "aged")}
    age(ready_database, "idle", 10)
    age(ready_database, "aged", 2, ids["aged"][:4])
    policy = RetentionPolicy(keep_last=3, max_age=DAY, max_idle=9 * DAY)
    report = swept(saver, ready_database, policy)
    assert (report.threads, report.shortened, report.checkpoints) == (1, 2, 5 + 2 + 4)
    assert rows("idle") == {}
    assert stored(saver, "long") == {("", id_) for id_ in ids["long"][-3:]}
    assert stored(saver, "aged") == {("", ids["aged"][-1])}


@pytest.mark.parametrize(
    "policy",
    [
        RetentionPolicy(keep_last=0, allow_all=True),
        RetentionPolicy(max_idle=0 * DAY, allow_all=True),
    ],
)
def test_allow_all_means_all(saver, ready_database, policy):
    fill(saver, "a")
    fill(saver, "b", 1)
    assert swept(saver, ready_database, policy).threads == 2
    assert size(ready_database)[:3] == (0, 0, 0)
    fill(saver, "a")


def test_ages_beyond_all_time_keep_everything(saver, ready_database):
    fill(saver, "t")
    policy = RetentionPolicy(max_age=timedelta.max, max_idle=timedelta.max)
    assert swept(saver, ready_database, policy).checkpoints == 0


def test_writes_without_a_checkpoint_go_after_a_day(saver, ready_database, monkeypatch):
    monkeypatch.setattr(retention, "WRITES_PAGE", 3)
    fill(saver, "t")
    fill(saver, "u")
    for thread_id in ("t", "nobody", "u"):
        for n in range(5):
            saver.put_writes(config_of(thread_id, new_id()), [("a", 1), ("b", 2)], f"old {n}")
    with psycopg.connect(ready_database, autocommit=True) as conn:
        conn.execute(
            "UPDATE agent_checkpoints_writes SET created_at = created_at - interval '25 hours'"
        )
    saver.put_writes(config_of("t", new_id()), [("a", 1)], "just now")
    report = swept(saver, ready_database, RetentionPolicy(keep_last=100))
    assert (report.checkpoints, report.writes) == (0, 30)
    assert size(ready_database)[2] == 11


def test_what_was_erased_is_forgotten_after_a_week(saver, ready_database):
    saver.delete_thread("last week")
    saver.delete_for_runs(["run"])
    with psycopg.connect(ready_database, autocommit=True) as conn:
        conn.execute(
            "UPDATE agent_checkpoints_erased SET erased_at = erased_at - interval '8 days'"
        )
        saver.delete_thread("now")
        saver.sweep(RetentionPolicy(keep_last=1), dry_run=True)
        assert conn.execute("SELECT count(*) FROM agent_checkpoints_erased").fetchone() == (3,)
        saver.sweep(RetentionPolicy(keep_last=1))
        left = conn.execute("SELECT thread_id FROM agent_checkpoints_erased").fetchall()
    assert left == [("now",)]


def test_calls_of_subgraphs_go_with_their_root_checkpoint(saver, ready_database):
    root = Chain(saver, "t")
    roots = [root.put({"a": n}) for n in range(4)]
    for n, parent in enumerate(roots):
        for ns in (f"call:{n}", f"call:{n}|inner:{n}"):
            sub = Chain(saver, "t", ns)
            for step in range(3):
                sub.put({"s": step}, metadata={"parents": {"": id_of(parent)}})
    swept(saver, ready_database, RetentionPolicy(keep_last=2))
    namespaces = [ns for ns, _ in stored(saver, "t")]
    assert sorted(namespaces) == sorted(
        ["", "call:2", "call:2|inner:2", "call:3", "call:3|inner:3"] * 2
    )


def test_ages_leave_the_memories_of_what_they_leave(other, ready_database):
    root, memory = Chain(other, "t"), Chain(other, "t", "sub")
    ids = []
    for n in range(4):
        ids.append(id_of(memory.put({"s": n})))
        ids.append(id_of(root.put({"a": n})))
    roots = ids[1::2]
    age(ready_database, "t", 10, [*roots[:2], *ids[0::2]])
    other.sweep(RetentionPolicy(max_age=9 * DAY))
    assert stored(other, "t") == {("", roots[2]), ("", roots[3]), ("sub", ids[4]), ("sub", ids[6])}


@pytest.mark.parametrize(
    "policy",
    [RetentionPolicy(keep_last=0, allow_all=True), RetentionPolicy(max_idle=9 * DAY)],
)
def test_threads_without_a_root_namespace_go_as_well(saver, ready_database, rows, policy):
    for thread_id in ("a", "b", "c"):
        fill(saver, thread_id, ns="sub")
        fill(saver, thread_id, 1, ns="call:1")
        age(ready_database, thread_id, 10)
    assert swept(saver, ready_database, policy, batch=1).threads == 3
    assert rows("a") == rows("b") == rows("c") == {}


def test_calls_whose_root_checkpoint_is_gone_go_after_a_day(saver, ready_database):
    root = Chain(saver, "t")
    gone, kept, late = new_id(), root.put({"a": 1}), new_id()
    for ns, parent in (("call:1", gone), ("call:2", id_of(kept)), ("call:3", late)):
        Chain(saver, "t", ns).put({"s": 1}, metadata={"parents": {"": parent}})
    policy = RetentionPolicy(keep_last=1)
    assert swept(saver, ready_database, policy).checkpoints == 0
    age(ready_database, "t", 2)
    assert swept(saver, ready_database, policy).checkpoints == 1
    assert {ns for ns, _ in stored(saver, "t")} == {"", "call:2", "call:3"}


def test_orphaned_writes_of_what_goes_are_counted_once(saver, ready_database):
    fill(saver, "idle")
    root = Chain(saver, "t")
    Chain(saver, "t", "call:1").put({"s": 1}, metadata={"parents": {"": id_of(root.put({"a": 1}))}})
    root.put({"a": 2})
    for thread_id, ns in (("idle", ""), ("t", "call:1"), ("t", "")):
        saver.put_writes(config_of(thread_id, new_id(), ns), [("a", "orphan")], "task")
    with psycopg.connect(ready_database, autocommit=True) as conn:
        conn.execute("UPDATE agent_checkpoints_writes SET created_at = now() - interval '3 days'")
    age(ready_database, "idle", 10)
    report = swept(saver, ready_database, RetentionPolicy(keep_last=1, max_idle=9 * DAY))
    assert report.writes == 5 + 3


# -- real graphs ------------------------------------------------------------------------------


def values_of(driven, graph, config):
    return driven.call(graph, "get_state", config).values


def history(driven, graph, config):
    return driven.collect(graph, "get_state_history", config)


def told(snapshot):
    return (
        snapshot.values,
        snapshot.next,
        snapshot.metadata["step"],
        [task.interrupts for task in snapshot.tasks],
    )


GRAPHS = {
    "steps": lambda saver: (steps_graph(saver), {"log": ["go"]}),
    "tools": lambda saver: (tool_agent(saver), {"messages": [("user", "where is it?")]}),
    "delta": lambda saver: (delta_graph(saver, every=1000), {"messages": ["go"]}),
    "delta-snapshots": lambda saver: (delta_graph(saver, every=3), {"messages": ["go"]}),
}


CASES = list(product(GRAPHS, [1, 3], ["sync", "async", "exit"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_what_is_kept_loads_and_goes_on(saver, other, ready_database, case):
    kind, keep, durability = case
    graph, given = GRAPHS[kind](saver.saver)
    config = config_of("t")
    for _ in range(4):
        saver.call(graph, "invoke", given, config, durability=durability)
    before = {id_of(each.config): told(each) for each in history(saver, graph, config)}
    saver.copy_thread("t", "untouched")
    report = swept(saver, ready_database, RetentionPolicy(keep_last=keep))
    readers = [(saver, graph), (other, GRAPHS[kind](other.saver)[0])]
    for reader, its_graph in readers:
        after = history(reader, its_graph, config)
        newest = sorted(before, reverse=True)[:keep]
        assert newest == [id_of(each.config) for each in after][:keep]
        for each in after[:keep]:
            assert told(each) == before[id_of(each.config)]
            assert told(reader.call(its_graph, "get_state", each.config)) == told(each)
    if kind in ("steps", "tools"):
        assert report.checkpoints > 0
        assert len(after) == keep
    # Goes on from the head and from what is kept, as the thread does that was not swept.
    for past in ({}, {"checkpoint_id": min(newest)}):
        results = []
        for thread_id in ("t", "untouched"):
            at = config_of(thread_id)
            at["configurable"] |= past
            results.append(len(str(saver.call(graph, "invoke", given, at))))
        assert results[0] == results[1]
    fork = saver.call(graph, "update_state", config_of("t", newest[0]), given)
    assert values_of(saver, graph, fork) == values_of(other, readers[1][1], fork)


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_interrupts_inside_of_subgraphs_are_kept(saver, ready_database, stateful, durability):
    """And are answered as if nothing had been removed."""
    graph = nested_graph(saver.saver, stateful=stateful)
    config = config_of("t")
    reference = nested_graph(InMemorySaver(), stateful=stateful)
    for turn in range(3):
        for driven_graph, call in ((graph, saver.call), (reference, None)):
            arguments = ({"log": [f"turn {turn}"]}, config)
            if call is None:
                reference.invoke(*arguments)
            else:
                call(driven_graph, "invoke", *arguments, durability=durability)
        seen = saver.call(graph, "get_state", config, subgraphs=True)
        swept(saver, ready_database, RetentionPolicy(keep_last=1))
        again = saver.call(graph, "get_state", config, subgraphs=True)
        # The head has no parent any more; all else is as it was.
        assert re.sub(r"parent_config=.*?tasks=", "", repr(again)) == re.sub(
            r"parent_config=.*?tasks=", "", repr(seen)
        )
        answer = Command(resume=f"yes {turn}")
        result = saver.call(graph, "invoke", answer, config, durability=durability)
        assert result == reference.invoke(answer, config)
        assert f"yes {turn} of" in str(result)

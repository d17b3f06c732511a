"""The directory of threads: what an entry says, paging, filters."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

import psycopg
import pytest

from graphs import human, steps_graph
from helpers import Chain, Variant, config_of
from langgraph_pg_snapshot import InvalidArgumentError, ThreadInfo
from langgraph_pg_snapshot.sql import STEP_METADATA


def ids(threads):
    return [each.thread_id for each in threads]


def said(saver, thread_id, **metadata):
    """A thread of one checkpoint, with this metadata."""
    Chain(saver, thread_id).put({"n": 1}, metadata=metadata)


def test_entry_has_counts_and_the_newest_value_of_each_key(any_saver):
    chain = Chain(any_saver, "thread")
    chain.put({"n": 0}, metadata={"user_id": "ada", "at": (1, 2)})
    Chain(any_saver, "thread", "sub").put({"n": 0}, metadata={"user_id": "of the call"})
    chain.put({"n": 1}, metadata={"user_id": "bob", "run_id": "run", "who": human("hi")})
    [found] = any_saver.list_threads()
    assert found.thread_id == "thread"
    assert found.checkpoints == 2
    assert found.created_at < found.updated_at
    assert found.updated_at.tzinfo is not None
    expected = {"source": "loop", "step": 0, "parents": {}, "run_id": "run", "user_id": "bob"}
    if any_saver.saver.serde.__class__.__name__ != "EncryptedSerializer":
        expected["at"] = (
            1,
            2,
        )  # what an earlier checkpoint said is kept in the open, or not at all
    assert found.metadata == {**expected, "who": human("hi")}


def test_entry_of_a_graphs_thread(saver):
    config = {**config_of("thread"), "metadata": {"user_id": "ada"}}
    saver.call(steps_graph(saver.saver), "invoke", {"log": ["hi"]}, config)
    [found] = saver.list_threads(filter={"user_id": "ada"})
    assert found.checkpoints == len(saver.list(config_of("thread")))
    newest = saver.get_tuple(config_of("thread")).metadata
    assert found.metadata == newest
    assert newest["user_id"] == "ada"


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("limit", [1, 3, 7, 8])
def test_pages_follow_one_another(any_saver, order, limit):
    names = [f"t{n}" for n in range(7)]
    for name in (*names, "t2", "t0"):
        any_saver.save_state(name, {"n": name})
    expected = ["t1", "t3", "t4", "t5", "t6", "t2", "t0"]
    if order == "newest":
        expected.reverse()
    paged, last = [], None
    while page := any_saver.list_threads(limit=limit, before=last, order=order):
        assert len(page) <= limit
        paged += page
        last = page[-1]
    assert ids(paged) == expected
    assert paged == any_saver.list_threads(order=order)
    assert any_saver.list_threads(limit=0, order=order) == []


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
def test_many_threads_updated_at_one_moment(ready_database, order, sealed):
    """As after an import: the thread's id decides; and a listing of many takes several pages."""
    names = [f"thread-{n:04}" for n in range(2500)]
    with psycopg.connect(ready_database) as conn:
        conn.execute(
            "INSERT INTO agent_checkpoints_threads SELECT id, '', now(), now(), 0, '{}', 0"
            " FROM unnest(%s::text[]) AS id",
            [names],
        )
    variant = Variant("sync", "conninfo", "encrypted" if sealed else "snapshot")
    options = {"order": order} | ({"filter": {"user_id": None}} if sealed else {})
    expected = names[::-1] if order == "newest" else names
    with variant.open(ready_database) as saver:
        assert ids(saver.list_threads(**options)) == expected
        for limit in (999, 1000, 1001, 2000, 2400):
            assert ids(saver.list_threads(limit=limit, **options)) == expected[:limit]
        [before] = saver.list_threads(limit=1, before=ThreadInfo(expected[2], *moment(saver)))
        assert before.thread_id == (expected[3] if order == "newest" else expected[1])


def moment(saver):
    [found] = saver.list_threads(limit=1)
    return found.created_at, found.updated_at


def test_thread_that_is_updated_while_all_are_listed_is_not_missed(ready_database, monkeypatch):
    """It would move in front of what was read already."""
    from langgraph_pg_snapshot._drivers import sync

    variant = Variant("sync", "conninfo", "snapshot")
    with variant.open(ready_database) as saver, variant.open(ready_database) as other:
        with psycopg.connect(ready_database) as conn:
            conn.execute(
                "INSERT INTO agent_checkpoints_threads"
                " SELECT n::text, '', now(), now() - n * interval '1 second', 0, '{}', 0"
                " FROM generate_series(1, 1500) AS n"
            )
        saver.list_threads(limit=1)
        execute, pages = sync._execute, []

        def hooked(conn, stmt, *rest):
            rows = execute(conn, stmt, *rest)
            if not pages:
                pages.append(len(rows))
                other.save_state("1400", {})
            return rows

        with monkeypatch.context() as patch:
            patch.setattr(sync, "_execute", hooked)
            found = saver.list_threads()
        assert pages == [1000]
        assert ids(found) == [str(n) for n in range(1, 1501)]
        assert ids(saver.list_threads(limit=1)) == ["1400"]


FILTERS = {
    "one key": ({"user_id": "ada"}, ["a", "b", "e"]),
    "several": ({"user_id": "ada", "plan": "paid"}, ["b"]),
    "no such value": ({"user_id": "eve"}, []),
    "no such key": ({"nobody": "x"}, []),
    "none": ({}, ["a", "b", "c", "d", "e", "f"]),
    "missing or null": ({"user_id": None}, ["d", "f"]),
    "value and missing": ({"user_id": "ada", "plan": None}, ["a", "e"]),
    "all of a dict": ({"where": {"city": "Rome"}}, ["c"]),
    "no part of a dict": ({"where": {"city": "Rome", "zip": "1"}}, ["e"]),
    "all of a list": ({"tags": ["x"]}, ["f"]),
    "order of a list": ({"tags": ["x", "y"]}, ["c"]),
    "a number": ({"n": 1}, ["a"]),
    "a text that looks like one": ({"n": "1"}, ["b"]),
    "a truth value": ({"n": True}, ["c"]),
    "odd name": ({"$type": "x' OR true --", "%s {which}": "%(limit)s"}, ["d"]),
}


@pytest.mark.parametrize("case", FILTERS)
def test_filter_finds_what_was_said(any_saver, case):
    said(any_saver, "a", user_id="ada", n=1)
    said(any_saver, "b", user_id="ada", plan="paid", n="1")
    said(any_saver, "c", user_id="bob", where={"city": "Rome"}, tags=["x", "y"], n=True)
    said(any_saver, "d", **{"user_id": None, "$type": "x' OR true --", "%s {which}": "%(limit)s"})
    said(any_saver, "e", user_id="ada", where={"city": "Rome", "zip": "1"}, tags=["y", "x"])
    said(any_saver, "f", tags=["x"])
    wanted, expected = FILTERS[case]
    assert sorted(ids(any_saver.list_threads(filter=wanted))) == expected
    newest = expected[::-1]
    paged, last = [], None
    while page := any_saver.list_threads(filter=wanted, limit=2, before=last):
        assert len(page) == min(2, len(newest) - len(paged))
        paged += page
        last = page[-1]
    assert ids(paged) == newest


def test_filter_goes_by_the_newest_value(saver):
    chain = Chain(saver, "thread")
    chain.put({"n": 0}, metadata={"user_id": "ada", "plan": "free"})
    chain.put({"n": 1}, metadata={"user_id": "bob"})
    assert saver.list_threads(filter={"user_id": "ada"}) == []
    assert ids(saver.list_threads(filter={"user_id": "bob", "plan": "free"})) == ["thread"]
    chain.put({"n": 2}, metadata={"user_id": None})
    assert saver.list_threads(filter={"user_id": "bob"}) == []
    assert ids(saver.list_threads(filter={"user_id": None})) == ["thread"]


@pytest.mark.parametrize("key", STEP_METADATA)
def test_filter_by_what_is_said_of_a_checkpoint_names_the_way(saver, key):
    with pytest.raises(InvalidArgumentError, match=rf"'{key}'.*list\(config, filter="):
        saver.list_threads(filter={"user_id": "ada", key: 1})


def test_place_may_be_made_by_hand(saver):
    """As from a link to the next page."""
    for name in "abc":
        said(saver, name)
    b = saver.list_threads()[1]
    before = ThreadInfo("b", updated_at=b.updated_at, created_at=datetime.now(timezone.utc))
    assert ids(saver.list_threads(before=before)) == ["a"]
    assert (before.checkpoints, dict(before.metadata)) == (0, {})


def test_statements_of_a_page(any_saver, caplog):
    """One; in the open, a filter takes another, to see how many match."""
    for name in "abc":
        said(any_saver, name, user_id="ada")
    is_open = any_saver.saver.serde.__class__.__name__ != "EncryptedSerializer"
    for options, statements in (({}, 1), ({"filter": {"user_id": "ada"}}, 1 + is_open)):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
            assert len(any_saver.list_threads(limit=2, **options)) == 2
        assert [r.statements for r in caplog.records if hasattr(r, "operation")] == [statements]

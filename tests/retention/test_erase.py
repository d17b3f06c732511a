"""erase(filter=): every thread that ever said it, and no other."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from helpers import Chain, Variant
from langgraph_pg_snapshot import RetentionPolicy
from langgraph_pg_snapshot._plans import erase


@pytest.fixture(
    params=[
        Variant("sync", "conninfo", "snapshot"),
        Variant("async", "conninfo", "jsonplus"),
        Variant("async", "conninfo", "encrypted"),
    ],
    ids=str,
)
def saver(request, ready_database):
    with request.param.open(ready_database) as driven:
        yield driven


def fill(saver, thread_id, *said, ns=""):
    chain = Chain(saver, thread_id, ns)
    for metadata in said:
        chain.put({"a": 1}, metadata=metadata)
        saver.put_writes(chain.head, [("a", 1)], "task")


def left(saver):
    return {each.config["configurable"]["thread_id"] for each in saver.list(None)}


@pytest.fixture
def threads(saver):
    """Who says what of themselves, and when."""
    fill(saver, "now", {"user_id": "ada", "org": {"id": 1, "name": "x"}, "vip": True, "n": 1})
    fill(saver, "long ago", {"user_id": "ada"}, {"user_id": "bob"}, {})
    fill(saver, "by and by", {"user_id": "ada"}, {"tenant": "t"})
    fill(saver, "bob", {"user_id": "bob", "org": {"id": 1}, "vip": 1, "n": True})
    fill(saver, "nobody", {})
    fill(saver, "in a subgraph", {})
    fill(saver, "in a subgraph", {"user_id": "ada"}, ns="sub")
    return {"now", "long ago", "by and by", "bob", "nobody", "in a subgraph"}


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({"user_id": "ada"}, {"now", "long ago", "by and by", "in a subgraph"}),
        ({"user_id": "bob"}, {"long ago", "bob"}),
        ({"user_id": "ada", "tenant": "t"}, {"by and by"}),
        ({"tenant": "t", "user_id": "bob"}, set()),
        ({"user_id": "Ada"}, set()),
        ({"user": "ada"}, set()),
        ({"org": {"id": 1}}, {"bob"}),
        ({"vip": True}, {"now"}),
        ({"n": 1}, {"now"}),
        ({"user_id": ["ada"]}, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_who_ever_said_it_goes(saver, threads, monkeypatch, wanted, gone):
    monkeypatch.setattr(erase, "PAGE", 2)
    expected = saver.erase(filter=wanted, dry_run=True)
    assert left(saver) == threads
    report = saver.erase(filter=wanted)
    assert left(saver) == threads - gone
    assert (report.threads, report.dry_run, expected.dry_run) == (len(gone), False, True)
    assert report.checkpoints == report.writes == expected.checkpoints == expected.writes
    assert report.bytes == expected.bytes
    assert saver.erase(filter=wanted).threads == 0


@pytest.mark.parametrize("names", [[], ["now", "bob", "never was", "nobody"], ["in a subgraph"]])
def test_threads_go_by_their_ids(saver, threads, monkeypatch, names):
    monkeypatch.setattr(erase, "PAGE", 2)
    expected = saver.erase(thread_ids=names, dry_run=True)
    assert left(saver) == threads
    report = saver.erase(thread_ids=tuple(names))
    assert left(saver) == threads - set(names)
    assert report == replace(expected, dry_run=False)
    assert report.threads == len(threads & set(names))


def test_everything_goes_if_that_is_meant(saver, threads, ready_database):
    assert saver.erase(filter={}, allow_all=True).threads == len(threads)
    with psycopg.connect(ready_database) as conn:
        for table in ("threads", "history", "items", "writes", "metadata"):
            found = conn.execute(f"SELECT count(*) FROM agent_checkpoints_{table}")  # noqa: S608
            assert found.fetchone() == (0,)


def test_what_was_swept_away_but_is_still_said_counts(saver):
    """The checkpoint that said it is gone; the thread's metadata still has it."""
    fill(saver, "t", {"user_id": "ada"}, {}, {})
    saver.sweep(RetentionPolicy(keep_last=1))
    sealed = saver.saver._store.codec.sealing  # then it is said nowhere else
    assert saver.erase(filter={"user_id": "ada"}).threads == (0 if sealed else 1)


@pytest.mark.parametrize(
    ("serde", "said", "is_found"),
    [
        ("snapshot", [{"user_id": "ada"}, {}], True),
        ("snapshot", [{"user_id": "ada"}, {"user_id": "bob"}], False),
        ("encrypted", [{"user_id": "ada"}, {}], False),
    ],
)
def test_of_removed_checkpoints_the_newest_value_of_a_key_is_found(
    ready_database, serde, said, is_found
):
    with Variant("sync", "conninfo", serde).open(ready_database) as saver:
        chain = Chain(saver, "thread")
        for metadata in said:
            chain.put({"a": 1}, metadata=metadata)
        assert saver.erase(filter={"user_id": "ada"}, dry_run=True).threads == 1
        saver.prune(["thread"])
        assert saver.erase(filter={"user_id": "ada"}).threads == int(is_found)

"""Tables and schemas of any legal name, hostile ones too: quoted everywhere, or refused."""

from __future__ import annotations

import psycopg
import pytest
from corpus import BAD_TEXTS, OBJECTS, TEXTS

from helpers import Chain, config_of
from langgraph_pg_snapshot import InvalidArgumentError, PostgresSnapshotSaver, RetentionPolicy

LEGAL = [text for text in TEXTS if text]
# With these a whole life of threads is gone through; with the others, one is stored and read.
SAMPLE = LEGAL[1:16:2]


@pytest.mark.parametrize("name", SAMPLE, ids=ascii)
def test_any_name(harmless, name):
    saver = harmless(table_name=name, schema=f"s{name}"[:63])
    chain = Chain(saver, "t")
    head = chain.put({"a": [{"n": "x" * 60}] * 9}, metadata={"user": "u"})
    saver.put_writes(head, [("a", 1)], "task")
    saver.save_state("u", {"a": 1})
    assert saver.get_tuple(head).pending_writes == [("task", "a", 1)]
    assert len(list(saver.list(None, filter={"user": "u"}))) == 1
    assert [each.thread_id for each in saver.list_threads(filter={"user": "u"})] == ["t"]
    assert len(saver.history("t")) == 1
    assert saver.stats().threads == 2
    assert saver.check("t") == []
    assert saver.check_schema().ok
    saver.copy_thread("t", "copy")
    saver.prune(["t"])
    saver.sweep(RetentionPolicy(keep_last=1))
    saver.delete_for_runs(["r"])
    assert saver.erase(filter={"user": "u"}).threads == 2
    saver.delete_thread("u")
    assert saver.stats().threads == 0


def test_all_names(harmless):
    for name in LEGAL:
        saver = harmless(table_name=name[:63], min_size=0, max_size=1)
        head = Chain(saver, "t").put({"a": name})
        assert saver.get_tuple(head).checkpoint["channel_values"] == {"a": name}
        saver.close()


@pytest.mark.parametrize("argument", ["table_name", "schema"])
def test_what_is_no_name(argument):
    objects = [make for key, make in OBJECTS.items() if not isinstance(make(), str)]
    bad = [*(lambda text=text: text for text in ["", *BAD_TEXTS]), *objects]
    for make in bad:
        if argument == "schema" and make() is None:
            continue
        with pytest.raises(InvalidArgumentError, match=argument):
            PostgresSnapshotSaver("host=nowhere", **{argument: make()})


def test_names_are_told_apart(canary):
    """Two tables' names that PostgreSQL would cut short to one."""
    long = "x" * 62
    with (
        PostgresSnapshotSaver(canary, table_name=f"{long}a") as one,
        PostgresSnapshotSaver(canary, table_name=f"{long}b") as other,
    ):
        Chain(one, "t").put({"a": 1})
        assert other.get_tuple(config_of("t")) is None
    with psycopg.connect(canary) as conn:
        assert conn.execute("SELECT count(*) FROM pg_views WHERE viewname LIKE 'xxx%'").fetchone()

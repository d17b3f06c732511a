"""What a process keeps of the items that it read is never taken for what the database has."""

from __future__ import annotations

import psycopg
import pytest
from langchain_core.messages import HumanMessage

from helpers import Chain, config_of
from langgraph_pg_snapshot import InvalidArgumentError, PostgresSnapshotSaver
from langgraph_pg_snapshot._plans.cache import ItemCache
from langgraph_pg_snapshot._plans.runs import numbers_of
from langgraph_pg_snapshot.models import NamespaceKey
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.stored import StoredForm

ALICE, BOB = "Alice " * 60, "Bob   " * 60


@pytest.fixture
def saver(ready_database):
    with PostgresSnapshotSaver(ready_database, auto_setup=False) as saver:
        yield saver


@pytest.fixture
def other(ready_database):
    """Another process's."""
    with PostgresSnapshotSaver(ready_database, auto_setup=False) as other:
        yield other


@pytest.fixture
def sql(ready_database):
    with psycopg.connect(ready_database, autocommit=True) as connection:
        yield connection.execute


def contents(saver):
    found = saver.get_tuple(config_of("t"))
    return [message.content for message in found.checkpoint["channel_values"]["messages"]]


def messages(*texts):
    return {"messages": [HumanMessage(text, id=str(n)) for n, text in enumerate(texts)]}


def test_item_that_was_edited_by_hand(saver, sql):
    Chain(saver, "t").put(messages(ALICE, ALICE))
    assert contents(saver) == contents(saver) == [ALICE, ALICE]
    sql(
        "UPDATE agent_checkpoints_items SET item = jsonb_set(item, '{content}', to_jsonb(%s::text))"
        " WHERE item ->> 'id' = '1'",
        [BOB],
    )
    for _ in range(3):
        assert contents(saver) == [ALICE, BOB]


def test_thread_that_was_deleted_and_made_anew_elsewhere(saver, other):
    Chain(saver, "t").put(messages(ALICE, ALICE))
    assert contents(saver) == [ALICE, ALICE]
    other.delete_thread("t")
    Chain(other, "t").put(messages(ALICE, BOB))
    for _ in range(3):
        assert contents(saver) == [ALICE, BOB]


def test_restored_backup_with_other_items_under_the_same_numbers(saver, other, sql):
    """As after a point-in-time restore: epoch and numbers say that nothing has happened."""
    chain = Chain(saver, "t")
    chain.put(messages(ALICE, ALICE))
    chain.put(messages(ALICE, ALICE, ALICE))
    assert contents(saver) == [ALICE, ALICE, ALICE]
    sql("DELETE FROM agent_checkpoints_items WHERE item ->> 'id' = '2'")
    sql(
        "INSERT INTO agent_checkpoints_items (thread_id, checkpoint_ns, item_id, digest, item)"
        " SELECT thread_id, checkpoint_ns, item_id + 1, '\\x00112233445566778899aabbccddeeff',"
        "     jsonb_set(item, '{content}', to_jsonb(%s::text))"
        " FROM agent_checkpoints_items WHERE item ->> 'id' = '1'",
        [BOB],
    )
    assert contents(other) == [ALICE, ALICE, BOB]
    assert contents(saver) == [ALICE, ALICE, BOB]


def test_two_reads_share_nothing(saver):
    Chain(saver, "t").put(messages(ALICE, BOB))
    for _ in range(3):
        found = saver.get_tuple(config_of("t")).checkpoint["channel_values"]["messages"]
        assert [message.content for message in found] == [ALICE, BOB]
        assert found[0].additional_kwargs == {}
        found[0].content = "changed in place"
        found[0].additional_kwargs["changed"] = True
        found.clear()


class Stripping(SnapshotSerializer):
    """One of the application's, which changes what it is given."""

    def decode(self, tree):
        for each in tree if isinstance(tree, list) else ():
            each["content"] = each["content"][1:]
        return super().decode(tree)


@pytest.mark.parametrize("serde", [StoredForm(), Stripping()], ids=type)
def test_serializers_that_derive_from_ours_share_nothing(ready_database, saver, serde):
    chain = Chain(saver, "t")
    chain.put(messages(ALICE, BOB))
    chain.put(messages(ALICE, BOB, ALICE))

    def shown(reader):
        for found in (reader.get_tuple(config_of("t")), *reader.list(config_of("t"))):
            read = found.checkpoint["channel_values"]["messages"]
            yield repr(read)
            for message in read:
                dict.clear(message if isinstance(message, dict) else vars(message))

    with PostgresSnapshotSaver(ready_database, serde=serde) as reader:
        newest, listed, older = shown(reader)
        assert listed == newest
        assert newest.startswith(older[:-1] + ", ")
        assert [*shown(reader)] == [newest, listed, older]


@pytest.mark.parametrize("cache_bytes", [0, 1_000, 32 * 2**20])
def test_any_size_gives_the_same(ready_database, cache_bytes):
    with PostgresSnapshotSaver(ready_database, cache_bytes=cache_bytes) as saver:
        chain = Chain(saver, "t")
        texts = []
        for n in range(5):
            texts.append(f"{n} {ALICE}")
            chain.put(messages(*texts))
            assert contents(saver) == texts
        for old in saver.list(config_of("t")):
            assert saver.get_tuple(old.config).checkpoint == old.checkpoint


def test_reads_of_all_kinds_have_what_was_read_before_and_look_whether_it_is_so(saver, sql):
    chain = Chain(saver, "t")
    chain.put(messages(ALICE, ALICE))
    chain.put({"other": BOB})

    def all_reads():
        """The second message's text, as each kind of read has it."""
        config = config_of("t")
        yield from (each.checkpoint["channel_values"]["messages"] for each in saver.list(config))
        yield saver.load_state("t")["messages"]
        yield saver.get_channel("t", "messages")
        yield saver.get_channel("t", "messages", last=1)
        yield saver.get_tuple(config).checkpoint["channel_values"]["messages"]

    for text in (ALICE, BOB, ALICE):
        sql(
            "UPDATE agent_checkpoints_items SET item = jsonb_set(item, '{content}',"
            " to_jsonb(%s::text)) WHERE item ->> 'id' = '1'",
            [text],
        )
        assert [found[-1].content for found in all_reads()] == 6 * [text]
        saver._cache.forget(NamespaceKey("t", ""))
        assert [found[-1].content for found in reversed([*all_reads()])] == 6 * [text]


def test_who_goes_through_everything_leaves_what_was_kept(saver):
    for thread_id in ("t", "another"):
        Chain(saver, thread_id).put(messages(ALICE, BOB))
    saver.get_tuple(config_of("t"))
    keys = [NamespaceKey("t", ""), NamespaceKey("another", "")]
    before = [saver._cache.items_of(key) for key in keys]
    assert [len(kept.trees) for kept in before] == [2, 0]
    assert len(list(saver.list(None))) == 2
    assert saver.check("another") == []
    assert [saver._cache.items_of(key) for key in keys] == before


@pytest.mark.parametrize("cache_bytes", [-1, 1.5, "1 MB", True, None])
def test_size_is_checked(cache_bytes):
    with pytest.raises(InvalidArgumentError, match="cache_bytes"):
        PostgresSnapshotSaver("", cache_bytes=cache_bytes)


def test_least_recently_read_threads_go_first():
    cache = ItemCache(10_000)
    keys = [NamespaceKey(f"thread-{n}", "") for n in range(3)]

    def keep(key, number, characters=3_500):
        cache.keep(key, {number: "x" * characters}, {number: b"stamp"})

    keep(keys[0], 1)
    keep(keys[1], 1)
    assert cache.items_of(keys[0]).trees  # it is the newer one now
    keep(keys[2], 1)
    assert [bool(cache.items_of(key).trees) for key in keys] == [True, False, True]
    # What is too large is not kept, nor does it drive out others or stay in the books.
    keep(keys[2], 2, 20_000)
    keep(keys[1], 1, 20_000)
    assert [len(cache.items_of(key).trees) for key in (keys[0], keys[1], keys[2])] == [1, 0, 1]
    keep(keys[1], 1)
    keep(keys[0], 1)
    assert [bool(cache.items_of(key).trees) for key in keys] == [True, True, False]
    cache.forget(keys[0])
    assert not cache.items_of(keys[0]).trees


def test_a_log_that_no_longer_fits_begins_anew_with_what_is_read_now():
    cache, key = ItemCache(10_000), NamespaceKey("thread", "")
    for number in range(20):
        cache.keep(key, {number: "x" * 3_500}, {number: b"stamp"})
        kept = cache.items_of(key)
        assert number in kept.trees
        assert kept.trees.keys() == kept.stamps.keys() == {*numbers_of(kept.runs)}
        assert len(kept.trees) <= 2

"""list: order, namespaces, filters, pages."""

from __future__ import annotations

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from helpers import Chain, checkpoint_of, config_of, id_of, new_id
from langgraph_pg_snapshot import PostgresSnapshotSaver


def ids(found):
    return [id_of(each.config) for each in found]


@pytest.fixture
def history(saver, thread_id):
    """Five checkpoints of the root and two of a subgraph, put in turns; ids oldest first."""
    root, sub = Chain(saver, thread_id), Chain(saver, thread_id, "sub")
    for step in range(5):
        root.put(
            {"n": step, "m": [{"x": f"{n} " * 40} for n in range(step)]},
            metadata={"own": thread_id, "even": step % 2 == 0, "deep": {"a": [step], "b": None}},
        )
        if step in (1, 3):
            sub.put({"s": step}, metadata={"own": thread_id})
    return root, sub


@pytest.mark.every_variant
def test_newest_first_each_with_its_values_and_writes(saver, other, history, thread_id):
    root, _ = history
    for checkpoint_id in root.states:
        saver.put_writes(config_of(thread_id, checkpoint_id), [("w", checkpoint_id)], "task")
    for reader in (saver, other):
        found = reader.list(config_of(thread_id))
        assert ids(found) == sorted(root.states, reverse=True)
        for each in found:
            checkpoint_id = id_of(each.config)
            assert each.checkpoint["channel_values"] == root.states[checkpoint_id][0]
            assert each.pending_writes == [("task", "w", checkpoint_id)]
            assert each == reader.get_tuple(each.config)


def test_order_is_by_id_not_by_time(saver, thread_id):
    given = [new_id() for _ in range(4)]
    for place in (2, 0, 3, 1):
        saver.put(config_of(thread_id), checkpoint_of({}, {}, given[place]), {}, {})
    assert ids(saver.list(config_of(thread_id))) == given[::-1]


def test_empty_namespace_is_the_root_and_none_given_is_every_one(saver, history, thread_id):
    root, sub = history
    assert set(ids(saver.list(config_of(thread_id)))) == set(root.states)
    assert set(ids(saver.list(config_of(thread_id, ns="sub")))) == set(sub.states)
    found = saver.list({"configurable": {"thread_id": thread_id}})
    assert ids(found) == sorted([*root.states, *sub.states], reverse=True)
    assert {each.config["configurable"]["checkpoint_ns"] for each in found} == {"", "sub"}


def test_checkpoint_id_in_config_is_honoured(saver, history, thread_id):
    root, sub = history
    for checkpoint_id in root.states:
        assert ids(saver.list(config_of(thread_id, checkpoint_id))) == [checkpoint_id]
    [one] = sub.states.keys() - list(sub.states)[1:]
    assert ids(saver.list({"configurable": {"thread_id": thread_id, "checkpoint_id": one}})) == [
        one
    ]
    assert saver.list(config_of(thread_id, one)) == []
    assert len(saver.list(config_of(thread_id, ""))) == 5


def test_before_is_exclusive(saver, history, thread_id):
    root, _ = history
    ordered = sorted(root.states)
    for place, checkpoint_id in enumerate(ordered):
        before = config_of(thread_id, checkpoint_id)
        assert ids(saver.list(config_of(thread_id), before=before)) == ordered[:place][::-1]
    assert len(saver.list(config_of(thread_id), before=config_of(thread_id))) == 5


@pytest.mark.parametrize("limit", [None, 0, 1, 3, 5, 99])
def test_limit(saver, history, thread_id, limit):
    root, _ = history
    assert ids(saver.list(config_of(thread_id), limit=limit)) == sorted(root.states)[::-1][:limit]


@pytest.mark.every_variant
@pytest.mark.parametrize(
    ("wanted", "steps"),
    [
        ({}, [3, 2, 1, 0, -1]),
        ({"step": 2}, [2]),
        ({"source": "loop"}, [3, 2, 1, 0, -1]),
        ({"source": "input"}, []),
        ({"even": True}, [3, 1, -1]),
        ({"even": False, "step": 0}, [0]),
        ({"deep": {"a": [3], "b": None}}, [2]),
        ({"deep": {"b": None, "a": [3]}}, [2]),
        ({"deep": {"a": [3]}}, []),
        ({"deep": None}, []),
        ({"missing": None}, [3, 2, 1, 0, -1]),
        ({"missing": None, "step": 1}, [1]),
        ({"parents": {}}, [3, 2, 1, 0, -1]),
        ({"step": "2"}, []),
        ({"deep": {"a": []}}, []),
    ],
)
def test_filter_compares_whole_values(saver, history, thread_id, wanted, steps):
    found = saver.list(config_of(thread_id), filter=wanted)
    assert [each.metadata["step"] for each in found] == steps


def test_filter_limit_and_before_together(saver, history, thread_id):
    root, _ = history
    ordered = sorted(root.states)
    before = config_of(thread_id, ordered[4])
    assert ids(saver.list(config_of(thread_id), filter={"even": True}, limit=1, before=before)) == [
        ordered[2]
    ]


def test_filter_on_none_finds_a_stored_none(saver, thread_id):
    for value in (None, 0, ""):
        saver.put(config_of(thread_id), checkpoint_of({}, {}), {"k": value}, {})
    assert [t.metadata for t in saver.list(config_of(thread_id), filter={"k": None})] == [
        {"k": None}
    ]


@pytest.mark.every_variant
def test_no_config_spans_threads(lone_saver, thread_id):
    chains = [Chain(lone_saver, f"{thread_id}-{n}", ns) for n in range(3) for ns in ("", "ns")]
    for _ in range(2):
        for chain in chains:
            chain.put({"m": [{"x": f"{chain.thread_id} " * 20}] * 3}, metadata={"own": thread_id})
    found = lone_saver.list(None, filter={"own": thread_id, "step": 0})
    assert {
        (t.config["configurable"]["thread_id"], t.config["configurable"]["checkpoint_ns"])
        for t in found
    } == {(c.thread_id, c.ns) for c in chains}
    assert ids(found) == sorted(ids(found), reverse=True)
    for each in found:
        [chain] = [c for c in chains if id_of(each.config) in c.states]
        assert each.checkpoint["channel_values"] == chain.values(each.config)
    assert (
        ids(lone_saver.list(None, filter={"own": thread_id}, limit=5))
        == sorted((checkpoint_id for c in chains for checkpoint_id in c.states), reverse=True)[:5]
    )


def test_long_listing_comes_in_pages(saver, thread_id):
    chain = Chain(saver, thread_id)
    for step in range(230):
        chain.put({"n": step}, metadata={"third": step % 3 == 0})
    everything = sorted(chain.states, reverse=True)
    assert ids(saver.list(config_of(thread_id))) == everything
    assert ids(saver.list(config_of(thread_id), limit=150)) == everything[:150]
    assert ids(saver.list(config_of(thread_id), filter={"third": True})) == sorted(
        list(chain.states)[::3], reverse=True
    )


def test_same_id_in_many_threads_is_paged_without_loss(lone_saver, thread_id):
    """A copied thread has its source's ids."""
    same = new_id()
    threads = {f"{thread_id}-{n}" for n in range(130)}
    for each in threads:
        lone_saver.put(config_of(each), checkpoint_of({}, {}, same), {"own": thread_id}, {})
    found = lone_saver.list(None, filter={"own": thread_id})
    assert sorted(t.config["configurable"]["thread_id"] for t in found) == sorted(threads)


@pytest.mark.parametrize("through", ["pool", "connection"])
def test_get_tuple_while_iterating_sync(contract_database, thread_id, through):
    with (
        ConnectionPool(contract_database, min_size=1, max_size=1, timeout=5) as pool,
        psycopg.connect(contract_database) as conn,
    ):
        saver = PostgresSnapshotSaver(conn if through == "connection" else pool)
        for step in range(120):
            saver.put(config_of(thread_id), checkpoint_of({}, {}), {"step": step}, {})
        seen = []
        for each in saver.list(config_of(thread_id)):
            assert saver.get_tuple(each.config) == each
            saver.put_writes(each.config, [("w", 1)], "task")
            seen.append(each.metadata["step"])
        assert seen == list(range(120))[::-1]


@pytest.mark.parametrize("through", ["pool", "connection"])
async def test_get_tuple_while_iterating_async(contract_database, thread_id, through):
    async with (
        AsyncConnectionPool(contract_database, min_size=1, max_size=1, timeout=5) as pool,
        await psycopg.AsyncConnection.connect(contract_database) as conn,
    ):
        saver = (
            PostgresSnapshotSaver(conn)
            if through == "connection"
            else PostgresSnapshotSaver(async_pool=pool)
        )
        for step in range(120):
            await saver.aput(config_of(thread_id), checkpoint_of({}, {}), {"step": step}, {})
        seen = []
        async for each in saver.alist(config_of(thread_id)):
            assert await saver.aget_tuple(each.config) == each
            await saver.aput_writes(each.config, [("w", 1)], "task")
            seen.append(each.metadata["step"])
        assert seen == list(range(120))[::-1]


def test_listing_left_in_the_middle_holds_nothing(contract_database, thread_id):
    with ConnectionPool(contract_database, min_size=1, max_size=1, timeout=5) as pool:
        saver = PostgresSnapshotSaver(pool=pool)
        chain = Chain(saver, thread_id)
        for step in range(3):
            chain.put({"n": step})
        listings = [saver.list(config_of(thread_id)) for _ in range(5)]
        assert [next(listing).checkpoint["channel_values"]["n"] for listing in listings] == [2] * 5
        assert pool.get_stats()["pool_available"] == 1


def test_listed_checkpoints_share_no_object(saver, thread_id):
    chain = Chain(saver, thread_id)
    chain.put({"m": [{"x": "y" * 100}] * 4})
    chain.put({"n": 1})
    newest, oldest = saver.list(config_of(thread_id))
    newest.checkpoint["channel_values"]["m"][0]["x"] = "edited"
    assert oldest.checkpoint["channel_values"]["m"][0]["x"] == "y" * 100
    assert newest.checkpoint["channel_values"]["m"][1]["x"] == "y" * 100

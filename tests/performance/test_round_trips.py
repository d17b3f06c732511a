"""Statements and round trips of each operation, counted on the wire.

"Warm" is a saver that put or read the thread before, "cold" one that did not. Connections are warm:
each statement was prepared at its first use, which is a round trip more.
"""

from __future__ import annotations

import operator
import secrets
from functools import reduce
from typing import Annotated

import psycopg
import pytest
from langchain_core.messages import AIMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from psycopg.conninfo import make_conninfo
from typing_extensions import TypedDict
from wire import wire

from graphs import LONG, steps_graph
from helpers import Chain, Driven, config_of
from langgraph_pg_snapshot import rights_sql, schema_sql

COLOURS = ("sync", "async")


def filled(driven: Driven, thread_id: str = "thread", puts: int = 30) -> Chain:
    """A thread of some checkpoints, each with a message more, and a pending write."""
    chain = Chain(driven, thread_id)
    for n in range(puts):
        chain.put({"messages": [AIMessage(LONG, id=f"m-{k}") for k in range(n + 1)]})
    driven.put_writes(chain.head, [("messages", [AIMessage(LONG)])], "task")
    return chain


def put(driven: Driven, chain: Chain) -> None:
    values, _ = chain.states[chain.head["configurable"]["checkpoint_id"]]
    chain.saver = driven
    chain.put({"messages": [*values["messages"], AIMessage(LONG, id=f"new-{len(chain.states)}")]})


def put_writes(driven: Driven, chain: Chain) -> None:
    driven.put_writes(
        chain.head, [("messages", [AIMessage(LONG)]), ("branch", None), ("note", "n")], "task-2"
    )


def get_tuple(driven: Driven, chain: Chain) -> None:
    assert driven.get_tuple(config_of("thread")).config == chain.head


def get_old_tuple(driven: Driven, chain: Chain) -> None:
    first = next(iter(chain.states))
    assert driven.get_tuple(config_of("thread", first)) is not None


def list_page(driven: Driven, chain: Chain) -> None:
    assert len(driven.list(config_of("thread"), limit=20)) == 20


def list_all(driven: Driven, chain: Chain) -> None:
    """The page, and its items; that it is the last one is known from its size."""
    assert len(driven.list(config_of("thread"))) == len(chain.states)


def delta_history(driven: Driven, chain: Chain) -> None:
    config = chain.head
    found = driven.get_delta_channel_history(config=config, channels=["messages"])
    assert "seed" in found["messages"]


# By operation: (statements, round trips) of a saver that is warm, and of one that is cold.
OPERATIONS = {
    put: ((1, 1), (2, 2)),
    put_writes: ((1, 1), (1, 1)),
    get_tuple: ((1, 1), (1, 1)),
    get_old_tuple: ((1, 1), (1, 1)),
    list_page: ((2, 2), (2, 2)),
    list_all: ((2, 2), (2, 2)),
    delta_history: ((2, 2), (2, 2)),
}


@pytest.mark.parametrize("on_conflict", ["fork", "raise"])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("work", OPERATIONS, ids=lambda work: work.__name__)
def test_operation(ready_database, colour, work, on_conflict):
    with wire(ready_database, colour, auto_setup=False, on_conflict=on_conflict) as listened:
        chain = filled(listened.driven)
        found = []
        for driven in (listened.driven, listened.stranger()):
            if driven is listened.driven:
                # every statement of either has been prepared
                work(listened.driven, chain)
                work(listened.stranger(), chain)
                listened.driven.get_tuple(config_of("thread"))
            traffic = listened.traffic(lambda d=driven: work(d, chain))
            found.append((traffic.statements, traffic.round_trips))
    assert tuple(found) == OPERATIONS[work]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("work", OPERATIONS, ids=lambda work: work.__name__)
def test_tenant_costs_no_round_trip(database, colour, work):
    """Each statement has one before it that says whose turn it is, in the same round trip."""
    role = f"app_{secrets.token_hex(4)}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        try:
            admin.execute(schema_sql(tenants=True) + rights_sql(runtime=role, tenants=True))
            dsn = make_conninfo(database, user=role)
            with wire(dsn, colour, auto_setup=False, tenant="acme") as listened:
                chain = filled(listened.driven)
                work(listened.driven, chain)
                listened.driven.get_tuple(config_of("thread"))
                traffic = listened.traffic(lambda: work(listened.driven, chain))
        finally:
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    (statements, round_trips), _ = OPERATIONS[work]
    assert (traffic.statements, traffic.round_trips) == (2 * statements, round_trips)


def save(driven: Driven) -> None:
    driven.save_state("thread", {"note": "n"})


def save_in_a_block(driven: Driven) -> None:
    """It ends long before it is renewed."""
    saver = driven.saver

    async def turn() -> None:
        async with saver.exclusive("thread", ttl=1000):
            await saver.asave_state("thread", {"note": "n"})

    if driven.loop is not None:
        driven.loop.run_until_complete(turn())
    else:
        with saver.exclusive("thread", ttl=1000):
            saver.save_state("thread", {"note": "n"})


@pytest.mark.parametrize("colour", COLOURS)
def test_exclusive_is_two_statements_a_turn(ready_database, colour):
    with wire(ready_database, colour, auto_setup=False) as listened:
        found = []
        for work in (save, save_in_a_block):
            work(listened.driven)
            work(listened.driven)
            traffic = listened.traffic(lambda work=work: work(listened.driven))
            found.append((traffic.statements, traffic.round_trips))
    assert found[1] == tuple(count + 2 for count in found[0])


@pytest.mark.parametrize("on_conflict", ["fork", "raise"])
@pytest.mark.parametrize("colour", COLOURS)
def test_first_put_of_a_thread_reads_nothing(ready_database, colour, on_conflict):
    with wire(ready_database, colour, auto_setup=False, on_conflict=on_conflict) as listened:
        filled(listened.driven, "before", 2)
        chain = Chain(listened.driven, "thread")
        traffic = listened.traffic(lambda: chain.put({"messages": [AIMessage(LONG)]}))
    assert (traffic.statements, traffic.round_trips) == (1, 1)


@pytest.mark.parametrize("colour", COLOURS)
def test_setup_when_current_is_two_small_reads(ready_database, colour):
    with wire(ready_database, colour) as listened:
        listened.driven.setup()
        stranger = listened.stranger()
        traffic = listened.traffic(stranger.setup)
        assert (traffic.statements, traffic.round_trips) == (2, 2)
        # The first operation of a process does the same, and none after it.
        listened.driven.get_tuple(config_of("thread"))
        stranger = listened.stranger()
        counts = [
            listened.traffic(lambda: stranger.get_tuple(config_of("thread"))).statements
            for _ in range(2)
        ]
    assert counts == [3, 1]


@pytest.mark.parametrize("colour", COLOURS)
def test_statement_is_prepared_once(ready_database, colour):
    """A connection that meets a statement for the first time waits once more, and never again;
    before its very first it asks once whether there is a pooler between."""
    with wire(ready_database, colour, auto_setup=False) as listened:
        trips = [
            listened.traffic(lambda: listened.driven.get_tuple(config_of("thread"))).round_trips
            for _ in range(3)
        ]
    assert trips == [3, 1, 1]


# What is different about puts that psycopg would prepare anew, if it went by the values.
OTHER_PUTS = {
    "no new item": ({"note": "n"}, {}),
    "a number above 2^31": ({"files": [LONG, LONG], "others": [LONG, LONG + "!"]}, {}),
    "a run": ({"messages": [AIMessage(LONG)]}, {"run_id": "run"}),
}


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("other", OTHER_PUTS)
def test_statement_is_prepared_once_whatever_its_values(ready_database, colour, other):
    changed, metadata = OTHER_PUTS[other]
    with wire(ready_database, colour, auto_setup=False) as listened:
        chain = filled(listened.driven, puts=2)
        put = listened.traffic(lambda: chain.put(changed, metadata=metadata))
        config = {**chain.head, "metadata": metadata}
        write = listened.traffic(
            lambda: listened.driven.put_writes(config, [("note", None)] * 3, "task")
        )
    assert (put.round_trips, write.round_trips) == (1, 1)


@pytest.mark.parametrize("colour", COLOURS)
def test_state_history_of_a_graph(ready_database, colour):
    """However many checkpoints a page has: one statement for them, one for their items."""
    with wire(ready_database, colour, auto_setup=False) as listened:
        driven = listened.driven
        graph = steps_graph(driven.saver)
        for _ in range(6):
            driven.call(graph, "invoke", {"log": ["go"]}, config_of("thread"))
        driven.collect(graph, "get_state_history", config_of("thread"), limit=20)
        traffic = listened.traffic(
            lambda: driven.collect(graph, "get_state_history", config_of("thread"), limit=20)
        )
    assert (traffic.statements, traffic.round_trips) == (2, 2)


class Deltas(TypedDict, total=False):
    messages: Annotated[list, DeltaChannel(lambda old, new: reduce(operator.add, new, old))]


@pytest.mark.parametrize("colour", COLOURS)
def test_delta_turns_take_no_more_statements_as_they_go(ready_database, colour):
    builder = StateGraph(Deltas)
    builder.add_node("answer", lambda state: {"messages": [AIMessage(LONG)]})
    builder.add_edge(START, "answer")
    with wire(ready_database, colour, auto_setup=False) as listened:
        graph = builder.compile(checkpointer=listened.driven.saver)
        counts = [
            listened.traffic(
                lambda: listened.driven.call(
                    graph, "invoke", {"messages": [AIMessage(LONG)]}, config_of("thread")
                )
            ).statements
            for _ in range(12)
        ]
    assert set(counts[2:]) == {counts[2]}

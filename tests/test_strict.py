"""Strict mode: only LangGraph's safe set, the graph's own schema, and what the caller allows."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotSerializer, TypeNotAllowedError


@dataclass
class Order:
    number: int


def test_a_type_that_is_not_allowed_is_refused_by_name(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {"plain": [1, 2], "order": Order(7)})
    strict = SnapshotSerializer(strict=True)
    with PostgresSnapshotSaver(ready_database, serde=strict) as saver:
        with pytest.raises(TypeNotAllowedError) as caught:
            saver.load_state("t")
        said = str(caught.value)
        assert "thread 't'" in said
        assert "channel 'order'" in said
        assert f"{__name__}:Order" in said
        assert "allowed_types=" in said
        wider = saver.with_allowlist([(__name__, "Order")])
        assert wider.load_state("t") == {"plain": [1, 2], "order": Order(7)}
        with pytest.raises(TypeNotAllowedError):
            saver.load_state("t")
    allowing = SnapshotSerializer(strict=True, allowed_types=[Order])
    with PostgresSnapshotSaver(ready_database, serde=allowing) as saver:
        assert saver.load_state("t") == {"plain": [1, 2], "order": Order(7)}


LONG = [Order(number) for number in range(9)]
STATES = {
    "value": ({"orders": Order(1)}, "channel 'orders': {name}"),
    "inside a value": ({"orders": {"new": (1, Order(1))}}, "channel 'orders': ['new'][1]: {name}"),
    "item": ({"orders": {"all": LONG}}, "channel 'orders': ['all'][0]: {name}"),
    "element": ({"orders": ["x" * 300, [Order(1)]] * 9}, "channel 'orders': [1][0]: {name}"),
    "entry": ({"orders": {f"k{n}": [1, "x" * 60, Order(n)] for n in range(9)}},
              "channel 'orders': ['k0'][2]: {name}"),
}  # fmt: skip
NAME = f"'{__name__}:Order'"
CONFIG: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
LINE = "is not on the allow-list of strict mode: add allowed_types=[Order]"


@pytest.fixture
def strict_saver(ready_database):
    with PostgresSnapshotSaver(ready_database, serde=SnapshotSerializer(strict=True)) as saver:
        yield saver


def said(call) -> str:
    with pytest.raises(TypeNotAllowedError) as caught:
        call()
    first, _, rest = str(caught.value).partition(": ")
    assert "thread 't'" in first
    assert "agent_checkpoints" in first
    return rest


@pytest.mark.parametrize(("state", "where"), STATES.values(), ids=STATES.keys())
def test_it_says_where_the_type_is_and_what_to_add(ready_database, strict_saver, state, where):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", state)
    expected = f"{where.format(name=NAME)} {LINE}"
    assert said(lambda: strict_saver.load_state("t")) == expected
    assert said(lambda: list(strict_saver.list(CONFIG))) == expected
    [found] = strict_saver.check("t")
    assert (found.kind, found.channel) == ("value", "orders")
    assert found.reason.endswith(f"{NAME} {LINE}")


def test_it_says_so_of_a_write(ready_database, strict_saver):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {})
        head = saver.get_tuple(CONFIG).config
        saver.put_writes(head, [("fine", 1), ("orders", [Order(1)])], "task")
    expected = f"write to channel 'orders': [0]: {NAME} {LINE}"
    assert said(lambda: strict_saver.get_tuple(CONFIG)) == expected


def test_it_says_so_of_metadata(ready_database, strict_saver):
    with PostgresSnapshotSaver(ready_database) as saver:
        metadata = {"source": "input", "step": -1, "order": {"last": Order(1)}}
        saver.put(CONFIG, empty_checkpoint(), metadata, {})
    expected = f"metadata 'order': ['last']: {NAME} {LINE}"
    assert said(lambda: strict_saver.get_tuple(CONFIG)) == expected


def test_it_says_so_of_a_header(ready_database, strict_saver):
    with PostgresSnapshotSaver(ready_database) as saver:
        checkpoint = {**empty_checkpoint(), "pending_sends": [Order(1)]}
        saver.put(CONFIG, checkpoint, {"source": "input", "step": -1}, {})
    expected = f"header: ['pending_sends'][0]: {NAME} {LINE}"
    assert said(lambda: strict_saver.get_tuple(CONFIG)) == expected


SCRIPT = """
    import sys
    from dataclasses import dataclass
    from typing import Annotated, Any, TypedDict
    from langchain_core.messages import AnyMessage, HumanMessage
    from langgraph.graph import START, StateGraph
    from langgraph.graph.message import add_messages
    from pydantic import BaseModel
    from langgraph_pg_snapshot import PostgresSnapshotSaver, TypeNotAllowedError

    class Customer(BaseModel):
        name: str

    @dataclass
    class Unmentioned:
        text: str

    class Shop:
        class Order(BaseModel):
            number: int

        class Invoice(BaseModel):
            number: int

    class State(TypedDict, total=False):
        order: Shop.Order
        messages: Annotated[list[AnyMessage], add_messages]
        customer: Customer
        anything: Any

    def node(state):
        return {"customer": Customer(name="Rosa"), "anything": Unmentioned("x")}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    config = {"configurable": {"thread_id": "t"}}
    with PostgresSnapshotSaver(sys.argv[1]) as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke({"messages": [HumanMessage("hi")]}, config)
        try:
            graph.get_state(config)
        except TypeNotAllowedError as error:
            assert "Unmentioned" in str(error), error
        else:
            raise AssertionError("a class outside the schema was built")
        saver.delete_thread("t")
        plain = StateGraph(State)
        values = {"customer": Customer(name="Rosa"), "order": Shop.Order(number=1)}
        plain.add_node("node", lambda state: values)
        plain.add_edge(START, "node")
        graph = plain.compile(checkpointer=saver)
        graph.invoke({"messages": [HumanMessage("hi")]}, config)
        values = graph.get_state(config).values
        assert values["customer"] == Customer(name="Rosa"), values
        assert values["order"] == Shop.Order(number=1), values
        assert type(values["messages"][0]) is HumanMessage
        saver.delete_thread("t")
        saver.save_state("t", {"order": Shop.Invoice(number=1)})
        try:
            graph.get_state(config)
        except TypeNotAllowedError as error:
            assert "allowed_types=[Shop.Invoice]" in str(error), error
        else:
            raise AssertionError("a nested class outside the schema was built")
    print("done")
"""


def test_langgraphs_switch_allows_what_the_graphs_schema_names(ready_database):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), ready_database],
        env={**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout.strip(), result.returncode) == ("done", 0), result.stderr

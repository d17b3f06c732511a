"""What the tests of the command line share: a shop's graph and threads, and how a command ended."""

from __future__ import annotations

import json
import operator
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import psycopg
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typing_extensions import TypedDict

from langgraph_pg_snapshot import PostgresSnapshotSaver

# The module of the application's classes; a process that does not import it has not got them.
SHOP = textwrap.dedent(
    """
    from dataclasses import dataclass

    @dataclass
    class Order:
        number: int
        goods: list
    """
)
LIAM = {"configurable": {"thread_id": "liam"}, "metadata": {"user_id": "u-17"}}
ROSA = {"configurable": {"thread_id": "rosa"}, "metadata": {"user_id": "u-4"}}


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    log: Annotated[list[str], operator.add]
    order: Any
    settings: dict[str, str]


def build(saver: Any, shop: ModuleType) -> Any:
    """A clerk takes orders, and asks before one is sent."""

    def clerk(state: State) -> dict[str, Any]:
        count = len(state["messages"])
        return {
            "messages": [AIMessage(f"Noted, that makes {count}.", id=f"answer-{count}")],
            "order": shop.Order(1042, ["tea"] * count),
            "settings": {"language": "en", f"turn-{count}": "seen"},
        }

    def sender(_state: State) -> dict[str, Any]:
        return {"log": [f"sent: {interrupt('Send order 1042?')}"]}

    builder = StateGraph(State)
    builder.add_node("clerk", clerk)
    builder.add_node("sender", sender)
    builder.add_edge(START, "clerk")
    builder.add_conditional_edges(
        "clerk", lambda s: "sender" if "send" in s["messages"][-2].content else "__end__"
    )
    return builder.compile(checkpointer=saver)


def fill(dsn: str, shop: ModuleType) -> None:
    """Two threads: liam's has a fork and a question that is open, rosa's is short."""
    with PostgresSnapshotSaver(dsn) as saver:
        graph = build(saver, shop)
        graph.invoke({"messages": [("user", "Hello")]}, ROSA)
        graph.invoke({"messages": [("user", "I would like tea")]}, LIAM)
        first = graph.get_state(LIAM).config
        graph.invoke({"messages": [("user", "Coffee, too")]}, LIAM)
        again = {**LIAM, "configurable": first["configurable"]}
        graph.invoke({"messages": [("user", "Please send it")]}, again)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def relations(dsn: str, schema: str = "public") -> dict[str, str]:
    """What lies in a schema, each with its comment and owner."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT relname, obj_description(oid), pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = to_regnamespace(%s)",
            [schema],
        ).fetchall()
    return {name: f"{comment} {owner}" for name, comment, owner in rows}

"""Threads that real graphs left, to ask SQL about."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import psycopg
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt
from typing_extensions import TypedDict

from helpers import config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver


class ScriptedError(Exception):
    """What a node of these graphs fails with."""


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]


class DeltaChat(TypedDict, total=False):
    messages: Annotated[
        list[AnyMessage], DeltaChannel(_messages_delta_reducer, snapshot_frequency=4)
    ]


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    if not order.isdigit():
        raise ValueError(f"{order} is no number")
    return f"order {order} is on its way"


@tool
def refund(order: str) -> str:
    """Give the money back."""
    return f"order {order} is paid back"


def usage(given: int, made: int) -> dict[str, int]:
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}


def model(state: dict[str, Any]) -> dict[str, Any]:
    """A scripted model: "tool argument" calls a tool, "ask …" a person, "fail …" fails."""
    last = state["messages"][-1]
    metadata = {"model_name": "large" if len(state["messages"]) > 4 else "small"}
    counted = usage(10 * len(state["messages"]), len(str(last.content)))
    if last.type != "human":
        said = AIMessage(
            [{"type": "text", "text": f"It says: {last.content}"}],
            response_metadata=metadata,
            usage_metadata=counted,
        )
        return {"messages": [said]}
    word, _, rest = last.content.partition(" ")
    if word == "fail":
        raise ScriptedError(rest)
    if word == "ask":
        return {"messages": [AIMessage(f"A person says: {interrupt({'question': rest})}")]}
    calls = []
    if word in ("look_up", "refund"):
        calls = [{"name": word, "args": {"order": rest}, "id": f"call-{len(state['messages'])}"}]
    return {
        "messages": [
            AIMessage(
                "" if calls else f"You said {last.content}",
                tool_calls=calls,
                response_metadata=metadata,
                usage_metadata=counted,
            )
        ]
    }


def chat_graph(saver: PostgresSnapshotSaver, schema: type = Chat) -> Any:
    builder = StateGraph(schema)
    builder.add_node("model", model)
    builder.add_node("tools", ToolNode([look_up, refund], handle_tool_errors=True))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


@dataclass
class Said:
    """What was put in: the graph's own account of each thread, and who it belongs to."""

    database: str
    states: dict[str, list[AnyMessage]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def query(self, text: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.database, row_factory=psycopg.rows.dict_row) as conn:
            return conn.execute(text).fetchall()


TALKS = {
    "ada-1": ("ada", Chat, ["hello", "look_up 17", "refund 17"]),
    "ada-2": ("ada", Chat, ["look_up seventeen", "look_up 18", "ask may I refund it?"]),
    "bob-1": ("bob", DeltaChat, ["look_up x", "refund 99", "look_up 3", "a longer REFUND story"]),
    "bob-2": ("bob", DeltaChat, ["hello", "fail out of money"]),
    "eve-1": ("eve", Chat, ["hi"]),
}


def talk(database: str) -> Said:
    said = Said(database)
    with PostgresSnapshotSaver(database) as saver:
        for thread_id, (user, schema, texts) in TALKS.items():
            graph = chat_graph(saver, schema)
            config = config_of(thread_id) | {"metadata": {"user_id": user}}
            said.users[thread_id] = user
            for text in texts:
                with suppress(ScriptedError):
                    result = graph.invoke({"messages": [HumanMessage(text)]}, config)
                    if "__interrupt__" in result:
                        said.asked[thread_id] = [each.value for each in result["__interrupt__"]]
                if text.startswith("fail "):
                    said.failed[thread_id] = text.removeprefix("fail ")
            said.states[thread_id] = graph.get_state(config).values["messages"]
    return said

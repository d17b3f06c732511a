"""What the server of these tests runs: an agent that answers, asks, or waits for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.messages import AIMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from orders import Order


def add_all(log: list[str], writes: list[list[str]]) -> list[str]:
    return [*log, *(each for write in writes for each in write)]


@dataclass
class Note:
    """A class in the graph's own file."""

    text: str


class State(MessagesState, total=False):
    order: Order
    note: Note
    log: Annotated[list[str], DeltaChannel(add_all, snapshot_frequency=2)]


def said(state: State) -> str:
    return state["messages"][-1].content


def route(state: State) -> str:
    return said(state) if said(state) in ("refund", "wait") else "answer"


def answer(state: State) -> dict[str, Any]:
    return {
        "messages": [AIMessage(f"You said: {said(state)}")],
        "log": [f"answer {len(state.get('log', []))}"],
        **({"order": Order("17")} if said(state) == "order" else {}),
        **({"note": Note("late")} if said(state) == "note" else {}),
    }


async def wait(state: State) -> None:
    """Say that it has begun, and go on until the run is cancelled."""
    get_stream_writer()("waiting")
    await asyncio.Event().wait()


def ask(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage(f"refund: {interrupt('Refund 20 €?')}")]}


refund = StateGraph(State)
refund.add_node("ask", ask)
refund.add_edge(START, "ask")

builder = StateGraph(State)
builder.add_node("answer", answer)
builder.add_node("wait", wait)
builder.add_node("refund", refund.compile())
builder.add_conditional_edges(START, route, ["answer", "wait", "refund"])
graph = builder.compile()

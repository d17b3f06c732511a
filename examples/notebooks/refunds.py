"""Refunds that a person has to approve: what each process of a shop imports."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class Refund(TypedDict, total=False):
    """The state of a refund."""

    order: str
    amount: int
    approved_by: str
    receipt: str


def approve(state: Refund) -> dict[str, Any]:
    """Ask a person. The first time, this ends the run; when it goes on, there is an answer."""
    question = f"Refund {state['amount']} EUR for order {state['order']}?"
    return {"approved_by": interrupt(question)}


def pay(state: Refund) -> dict[str, Any]:
    """Give the money back. This must not happen twice."""
    print(f"pay: {state['amount']} EUR for order {state['order']}", flush=True)
    return {"receipt": f"R-{state['order']}"}


def notify(state: Refund) -> None:
    """Tell the customer."""
    send_mail(f"Receipt {state['receipt']}, approved by {state['approved_by']}")


def send_mail(text: str) -> None:
    """Stands in for a mail server."""
    print(f"mail: {text}", flush=True)


builder = StateGraph(Refund)
builder.add_sequence([approve, pay, notify])
builder.add_edge(START, "approve")

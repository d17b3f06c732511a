"""The command line, run in this process, on a shop's threads whose classes are not here."""

from __future__ import annotations

import importlib
import json
import operator
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typer.testing import CliRunner
from typing_extensions import TypedDict

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.cli.app import app

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


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The application's module while threads are made; its file lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "shop_models.py").write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shop_models")
    sys.modules.pop("shop_models", None)


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


@pytest.fixture
def threads(ready_database: str, shop: ModuleType) -> str:
    """A database that has the two threads; the module of their classes is gone."""
    fill(ready_database, shop)
    del sys.modules["shop_models"]
    return ready_database


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


@pytest.fixture
def run_on(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a database: ``run_on(dsn, "show", "liam")``."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(dsn: str | None, *args: str, answer: str | None = None) -> Done:
        env = {"DATABASE_URL": dsn}
        result = CliRunner().invoke(app, list(args), env=env, input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), args
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def run(run_on: Run, threads: str) -> Run:
    """Run a command on the two threads."""
    return lambda *args, **options: run_on(threads, *args, **options)

"""A support agent whose process is killed while it waits for a person, and goes on in the next one.

    python examples/quickstart.py [DIRECTORY]      # default: .demo

No API key and no server of your own: PostgreSQL is the embedded one, with its data in DIRECTORY,
and a script stands in for the chat model. The rest is what an application has: a graph with tool
calls, real tools on real orders, and a refund that waits for a person's approval.
"""

from __future__ import annotations

import argparse
import csv
import operator
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import psycopg
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.embedded import EmbeddedServer

# -- The agent: two tools, a model, a graph ----------------------------------------------------

with Path(__file__).with_name("orders.csv").open(encoding="utf-8") as file:
    ORDERS = {row["order_id"]: row for row in csv.DictReader(file)}


@tool
def look_up_order(order_id: str) -> str:
    """Say what was ordered, and when it came or is to come."""
    say("tool", f"look_up_order({order_id!r})")
    order = ORDERS[order_id]
    arrival = f"came on {order['delivered']}" if order["delivered"] else "has not come yet"
    return f"Order {order_id} ({order['item']}), promised for {order['promised']}, {arrival}."


@tool
def refund_order(
    order_id: str, reason: str, tool_call_id: Annotated[str, InjectedToolCallId]
) -> Command[Any]:
    """Give the price back, and the shipping if it came late. A person has to approve it."""
    order = ORDERS[order_id]
    is_late = order["delivered"] > order["promised"]
    amount = Decimal(order["price"]) + (Decimal(order["shipping"]) if is_late else 0)
    say("tool", f"refund_order({order_id!r}): {amount} EUR, if a person agrees")
    # The first time, this ends the run. The next time, it returns what the person decided.
    decision = interrupt({"question": f"Refund {amount} EUR for order {order_id}?", "why": reason})
    if decision["approved"]:
        answer = f"{decision['by']} approved it: {amount} EUR are on their way to you."
    else:
        amount = Decimal(0)
        answer = f"I am sorry, {decision['by']} declined the refund: {decision['note']}."
    message = ToolMessage(answer, name="refund_order", tool_call_id=tool_call_id)
    return Command(update={"refunded": amount, "messages": [message]})


class ScriptedModel(BaseChatModel):
    """Stands in for a chat model: reads the conversation, and calls tools or answers."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """Tell the model what it can call."""
        return self.bind(tools=[convert_to_openai_tool(each) for each in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 -- the base class's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **_: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next_message(messages))])

    def _next_message(self, messages: list[BaseMessage]) -> AIMessage:
        asked = max(i for i, message in enumerate(messages) if isinstance(message, HumanMessage))
        if results := [m.content for m in messages[asked:] if isinstance(m, ToolMessage)]:
            return AIMessage(" ".join(map(str, results)))
        question = str(messages[asked].content)
        if not (order := re.search(r"\d{4}", question)):
            return AIMessage("I am sorry to hear that. Which order is it about?")
        wanted: list[tuple[str, dict[str, Any]]] = [("look_up_order", {"order_id": order[0]})]
        if "money back" in question:
            wanted += [("refund_order", {"order_id": order[0], "reason": question})]
        return AIMessage(
            "",
            tool_calls=[
                ToolCall(name=name, args=args, id=f"call_{secrets.token_hex(4)}")
                for name, args in wanted
            ],
        )


class Support(MessagesState):
    """The state of a conversation."""

    refunded: Annotated[Decimal, operator.add]


Graph: TypeAlias = CompiledStateGraph[Any, None, Any, Any]


def build_graph(checkpointer: BaseCheckpointSaver[str]) -> Graph:
    """Model and tools in turns; the tools that one message calls run side by side."""
    tools = [look_up_order, refund_order]
    model = ScriptedModel().bind_tools(tools)

    def agent(state: Support) -> dict[str, list[AnyMessage]]:
        return {"messages": [model.invoke(state["messages"])]}

    def route(state: Support) -> list[Send] | str:
        last = state["messages"][-1]
        calls = last.tool_calls if isinstance(last, AIMessage) else []
        return [Send("tools", [call]) for call in calls] or END

    builder = StateGraph(Support)
    builder.add_node("agent", agent)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", route, ["tools", END])
    builder.add_edge("tools", "agent")
    return builder.compile(checkpointer=checkpointer)


# -- Act one: a conversation, and a death ------------------------------------------------------


def act_one(directory: str, run: str) -> None:
    """Talk to two customers; be killed while a refund waits for its approval."""
    title(f"Act one: process {os.getpid()} talks to customers (PostgreSQL runs in {directory})")
    saver = PostgresSnapshotSaver.embedded(directory)
    graph = build_graph(saver)
    chat(graph, f"rosa-{run}", "Hello, when will my order 1042 be here?")
    chat(graph, f"liam-{run}", "Hello, what you sent me is broken!")
    chat(graph, f"liam-{run}", "It is order 1017. The lid has a crack, I want my money back.")

    waiting = graph.get_state(config_of(f"liam-{run}"))
    say("waits", f"for a person: {waiting.interrupts[0].value['question']}")
    say("kill -9", f"process {os.getpid()} kills itself: nothing is closed, there is no goodbye")
    if sys.platform != "linux":
        saver.close()  # elsewhere the server would live on, and keep the directory for itself
    os.kill(os.getpid(), signal.SIGKILL)


def chat(graph: Graph, thread_id: str, text: str) -> None:
    """Say something to the agent, and print what it answers."""
    say(thread_id, text)
    result = graph.invoke({"messages": [HumanMessage(text)]}, config_of(thread_id))
    if "__interrupt__" not in result:
        say("agent", result["messages"][-1].content)


# -- Act two: another process goes on ----------------------------------------------------------


def act_two(directory: str, run: str) -> None:
    """Resume what the first process left, travel back, decide differently, look at it in SQL."""
    title(f"Act two: process {os.getpid()} starts PostgreSQL on the same data and goes on")
    thread = config_of(f"liam-{run}")
    with PostgresSnapshotSaver.embedded(directory) as saver:
        graph = build_graph(saver)
        waiting = graph.get_state(thread)
        say("waits", f"still: {waiting.interrupts[0].value['question']}")
        say("Kim", "I approve. (Only the refund runs again: the look-up was done, and is stored.)")
        decision: Command[Any] = Command(resume={"approved": True, "by": "Kim"})
        say("agent", graph.invoke(decision, thread)["messages"][-1].content)

        title("The thread's history, newest first")
        show_history(graph, thread)

        title("Time travel: back to the checkpoint at which Kim was asked, and Noa decides")
        print(f"Back at {name_of(waiting.config)}: refunded {waiting.values['refunded']} EUR.")
        fork = graph.update_state(waiting.config, None)  # a new branch, nothing in it decided
        graph.invoke(None, fork)
        say("Noa", "I decline.")
        decision = Command(resume={"approved": False, "by": "Noa", "note": "we send a new lid"})
        say("agent", graph.invoke(decision, thread)["messages"][-1].content)

        title("Both ends are kept; the newest one is the thread's state")
        show_history(graph, thread)
        show_sql(directory, thread["configurable"]["thread_id"])


def show_history(graph: Graph, thread: RunnableConfig) -> None:
    """Print a thread's checkpoints."""
    rows = [["checkpoint", "parent", "step", "messages", "refunded", "next"]]
    for state in graph.get_state_history(thread):
        step = state.metadata["step"] if state.metadata else ""
        values = (step, len(state.values["messages"]), state.values.get("refunded", ""))
        following = ", ".join(state.next) + (" (asks a person)" if state.interrupts else "")
        names = (name_of(state.config), name_of(state.parent_config))
        rows.append([*names, *map(str, values), following])
    print_table(rows)


def show_sql(directory: str, thread_id: str) -> None:
    """Print what any SQL client sees."""
    queries = {
        "Who talked to us last, and where does it stand?": """
            SELECT thread_id, state->'messages'->-1->>'content' AS last_message, updated_at
            FROM agent_checkpoints ORDER BY updated_at DESC LIMIT 6""",
        "One conversation, a row a message": """
            SELECT message->>'$type' AS who, coalesce(nullif(message->>'content', ''),
                'calls ' || (message->'tool_calls')::text) AS message
            FROM agent_checkpoints, jsonb_array_elements(state->'messages') AS message
            WHERE thread_id = %(thread_id)s""",
        "Each checkpoint has the whole conversation, and each message is stored once": """
            SELECT checkpoints, named AS items_named, count(*) AS items_stored,
                pg_size_pretty(sum(length(item::text))) AS json_stored
            FROM agent_checkpoints_items, (
                SELECT count(*) AS checkpoints, sum(item_count) AS named
                FROM agent_checkpoints_history WHERE thread_id = %(thread_id)s) AS history
            WHERE thread_id = %(thread_id)s GROUP BY checkpoints, named""",
    }
    # The server of this process, shared. Any other client would do: psql, a dashboard, pandas.
    with EmbeddedServer.start(directory) as server, psycopg.connect(server.dsn) as connection:
        for question, query in queries.items():
            title(f"SQL: {question}")
            print(re.sub(r"^ {12}", "", query, flags=re.MULTILINE).strip(), end="\n\n")
            cursor = connection.execute(query, {"thread_id": thread_id})
            headings = [column.name for column in cursor.description or ()]
            print_table([headings, *([str(value) for value in row] for row in cursor)])


# -- Printing ----------------------------------------------------------------------------------

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{BOLD}== {text}{PLAIN}\n", flush=True)


def say(who: str, what: object) -> None:
    """Print a line of the conversation, whole even if several tools speak at a time."""
    sys.stdout.write(f"{who:>12}  {what}\n")
    sys.stdout.flush()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings, columns aligned, long cells cut."""
    cut = [[shorten(cell, 70) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    for number, row in enumerate(cut):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"{DIM}{line.rstrip()}{PLAIN}" if number == 0 else line.rstrip())


def shorten(text: str, width: int) -> str:
    """Cut a text that is too wide."""
    return text if len(text) <= width else text[: width - 1] + "…"


def config_of(thread_id: str) -> RunnableConfig:
    """Name a thread, as LangGraph wants it."""
    return {"configurable": {"thread_id": thread_id}}


def name_of(config: RunnableConfig | None) -> str:
    """Name a checkpoint by the part of its id that tells it from its neighbours."""
    return config["configurable"]["checkpoint_id"][4:23] if config else ""


def main() -> None:
    """Run act one in a process of its own, which does not survive it, and act two in this one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "directory", nargs="?", default=".demo", help="for the data (default: .demo)"
    )
    parser.add_argument("--act-one", metavar="RUN", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.act_one:
        act_one(given.directory, given.act_one)
    run = secrets.token_hex(2)
    command = [sys.executable, __file__, given.directory, "--act-one", run]
    ended = subprocess.run(command, check=False).returncode
    if ended != -signal.SIGKILL:
        sys.exit(f"Act one ended by itself, with status {ended}.")
    act_two(given.directory, run)


if __name__ == "__main__":
    main()

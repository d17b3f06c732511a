"""A chat turn on threads of several lengths: no saver, this one, and the official PostgresSaver.

Interleaved on one server with its default (durable) settings; medians. The ratio of turns is that
of the time each saver adds to a turn without one. WAL is what the server wrote to its log.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psycopg
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.embedded import EmbeddedServer

WORDS = [
    "".join(random.Random(seed).choices("etaoinshrdlucmfw", k=2 + seed % 9))
    for seed in range(2_000)
]


def text(seed: int, words: int = 60) -> str:
    """About 400 characters that compress like prose, not like one word repeated."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def reply(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(text(len(state["messages"])))]}


def conversation(length: int) -> list[AnyMessage]:
    kinds = (HumanMessage, AIMessage)
    return [kinds[n % 2](text(n), id=f"message-{n}") for n in range(length)]


def timed(work: Callable[..., object], *arguments: Any) -> float:
    begun = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - begun)


def list_some(saver: BaseCheckpointSaver[Any], config: Any) -> None:
    list(saver.list(config, limit=20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--lengths", type=int, nargs="*", default=[20, 200, 800, 2_000])
    options = parser.parse_args()

    builder = StateGraph(MessagesState)
    builder.add_node("reply", reply)
    builder.add_edge(START, "reply")
    builder.add_edge("reply", END)
    bare = builder.compile()

    with (
        EmbeddedServer.start(settings={"max_wal_size": "4GB"}) as server,
        PostgresSnapshotSaver(server.dsn) as ours,
        ConnectionPool(
            server.dsn,
            min_size=2,
            max_size=10,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        ) as pool,
        psycopg.connect(server.dsn, autocommit=True) as watch,
    ):
        official = PostgresSaver(pool)
        official.setup()
        savers: dict[str, BaseCheckpointSaver[Any]] = {"ours": ours, "official": official}
        graphs = {name: builder.compile(checkpointer=saver) for name, saver in savers.items()}

        def wal() -> int:
            row = watch.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
            return int(row[0]) if row else 0

        print(
            f"langgraph {version('langgraph')}, "
            f"PostgresSaver {version('langgraph-checkpoint-postgres')}, "
            f"PostgreSQL {server.version}, medians of {options.turns} turns"
        )
        print(f"{'':>26}{'no saver':>10}{'ours':>10}{'official':>10}{'ratio':>8}")
        for length in options.lengths:
            history = conversation(length)
            config: Any = {"configurable": {"thread_id": f"thread-{length}"}}
            for graph in graphs.values():
                graph.update_state(config, {"messages": history})
            watch.execute("CHECKPOINT")
            figures: dict[str, dict[str, list[float]]] = {
                name: {"turn": [], "wal": [], "read": [], "list": []} for name in ("none", *graphs)
            }
            for turn in range(options.turns + 2):
                question = {"messages": [HumanMessage(text(-turn - 1))]}
                full = {"messages": [*history, *question["messages"]]}
                figures["none"]["turn"].append(timed(bare.invoke, full))
                for name, graph in graphs.items():
                    saver, figure = savers[name], figures[name]
                    before = wal()
                    figure["turn"].append(timed(graph.invoke, question, config))
                    figure["wal"].append(wal() - before)
                    figure["read"].append(timed(saver.get_tuple, config))
                    figure["list"].append(timed(list_some, saver, config))
            # the first two turns warm pools, caches and prepared statements
            median = {
                name: {what: statistics.median(values[2:] or [0]) for what, values in kinds.items()}
                for name, kinds in figures.items()
            }
            none, mine, theirs = (median[name] for name in ("none", "ours", "official"))
            for what, unit, base in (
                ("turn", "ms", none["turn"]),
                ("wal", "kB", 0.0),
                ("read", "ms", 0.0),
                ("list", "ms", 0.0),
            ):
                scale = 1000 if unit == "kB" else 1
                label = {"read": "get_tuple", "list": "list 20", "wal": "WAL a turn"}.get(
                    what, what
                )
                ratio = (mine[what] - base) / (theirs[what] - base)
                print(
                    f"{length:>6} messages {label:>10}"
                    f"{f'{base:.1f} {unit}' if base else '':>10}"
                    f"{f'{mine[what] / scale:.1f} {unit}':>10}"
                    f"{f'{theirs[what] / scale:.1f} {unit}':>10}{ratio:>8.2f}"
                )


if __name__ == "__main__":
    main()

"""Peak memory of a process that runs a long conversation with one saver."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.contenders import NONE, OFFICIAL, OURS, contenders, official_saver
from benchmarks.data import conversation
from benchmarks.measure import Bench, Figure, Spread
from benchmarks.workloads.turns import ask, chat_graph
from langgraph_pg_snapshot import PostgresSnapshotSaver

TURNS = 5


def run(bench: Bench) -> Iterator[Figure]:
    """A process for each saver: turns on a long thread, then its newest 20 checkpoints."""
    peaks = {}
    context = multiprocessing.get_context("spawn")
    with bench.database() as (dsn, _meter):
        with contenders(dsn, "sync"):
            pass  # makes the tables
        for name in (NONE, OURS, OFFICIAL):
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, dsn, name, bench.scale.memory))
            process.start()
            theirs.close()
            peaks[name] = mine.recv() / 1e6
            process.join()
    yield Figure(
        "memory",
        f"{bench.scale.memory} messages, {TURNS} turns, list of 20",
        "peak memory",
        "MB",
        {name: Spread.of([peak]) for name, peak in peaks.items()},
    )
    added = {name: Spread.of([peaks[name] - peaks[NONE]]) for name in (OURS, OFFICIAL)}
    yield Figure("memory", "the same", "more than without a saver", "MB", added)


def _work(pipe: Connection, dsn: str, name: str, length: int) -> None:
    config: Any = {"configurable": {"thread_id": f"memory of {name}"}}
    past = conversation(length)
    if name == NONE:
        graph = chat_graph().compile()
        for turn in range(TURNS):
            graph.invoke({"messages": [*past, *ask(turn)["messages"]]})
    else:
        opened = PostgresSnapshotSaver(dsn) if name == OURS else official_saver(dsn)
        with opened as saver:
            graph = chat_graph().compile(checkpointer=saver)
            graph.update_state(config, {"messages": past})
            for turn in range(TURNS):
                graph.invoke(ask(turn), config)
            for _ in saver.list(config, limit=20):
                pass
    pipe.send(_peak())


def _peak() -> int:
    # On Linux ru_maxrss begins with what the parent had: it outlives exec.
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [each for each in status.read_text().splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used

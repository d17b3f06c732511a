"""A conversation from its first turn on: what all of it took."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks import targets
from benchmarks.contenders import NONE, TABLES, contenders
from benchmarks.measure import Bench, Figure, Samples, Spread
from benchmarks.workloads.turns import ask, chat_graph


def run(bench: Bench) -> Iterator[Figure]:
    """Turns one after the other, of each saver in turn; looked at on the way."""
    config: Any = {"configurable": {"thread_id": "thread"}}
    builder = chat_graph()
    with bench.database() as (dsn, meter), contenders(dsn, "sync") as savers:
        del savers[NONE]
        graphs = {name: builder.compile(checkpointer=each.saver) for name, each in savers.items()}
        samples = {name: Samples() for name in graphs}
        for turn in range(max(bench.scale.growth)):
            for name, graph in graphs.items():
                meter.measure(partial(graph.invoke, ask(turn), config), samples[name])
            if turn + 1 in bench.scale.growth:
                case = f"the first {turn + 1} turns"
                taken = {
                    "time with the graph": ("s", {n: sum(s.ms) / 1e3 for n, s in samples.items()}),
                    "WAL": ("MB", {n: sum(s.wal) / 1e6 for n, s in samples.items()}),
                    "tables": ("MB", {n: meter.table_bytes(TABLES[n]) / 1e6 for n in samples}),
                }
                for quantity, (unit, by_name) in taken.items():
                    yield Figure(
                        "growth",
                        case,
                        quantity,
                        unit,
                        {name: Spread.of([value]) for name, value in by_name.items()},
                        target=targets.TABLES.get(turn + 1) if quantity == "tables" else None,
                    )

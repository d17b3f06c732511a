"""Many conversations at the same time: in threads, in tasks of an event loop, in processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import targets
from benchmarks.contenders import NONE, OFFICIAL, OURS, Contender, contenders
from benchmarks.data import conversation
from benchmarks.measure import Bench, Figure, Spread
from benchmarks.workloads.turns import ask, chat_graph

LENGTHS = (20, 200)


def _config(client: object) -> Any:
    return {"configurable": {"thread_id": f"client-{client}"}}


def run(bench: Bench) -> Iterator[Figure]:
    """A batch is one turn of every client."""
    scale = bench.scale
    for colour in scale.colours:
        for length in LENGTHS:
            past = {"messages": conversation(length)}
            with (
                bench.database() as (dsn, meter),
                contenders(dsn, colour, scale.workers) as savers,
                ThreadPoolExecutor(scale.workers) as workers,
            ):
                batches = {
                    name: _batches(each, scale.clients, past, workers)
                    for name, each in savers.items()
                }
                meter.checkpoint()
                samples = bench.interleave(meter, batches, scale.batches, warm=1)
            who = f"{scale.workers} threads" if colour == "sync" else "tasks"
            yield Figure(
                "clients",
                f"{scale.clients} clients in {who}, {length} messages",
                "turns",
                "turns/s",
                {
                    name: Spread.of(scale.clients / each * 1000 for each in found.ms)
                    for name, found in samples.items()
                },
                target=targets.CONCURRENT,
                at_least=True,
            )


def _batches(
    each: Contender, clients: int, past: dict[str, Any], workers: ThreadPoolExecutor
) -> Callable[[int], object]:
    """Fill a thread for each client, and return what has each of them do a turn."""
    graph = chat_graph().compile(checkpointer=each.saver)
    if each.saver is not None:
        for client in range(clients):
            each.call(graph, "update_state", _config(client), past)

    def given(turn: int) -> Any:
        asked = ask(turn)["messages"]
        return {"messages": asked if each.saver else [*past["messages"], *asked]}

    def in_threads(turn: int) -> object:
        return list(
            workers.map(lambda client: graph.invoke(given(turn), _config(client)), range(clients))
        )

    async def together(turn: int) -> object:
        return await asyncio.gather(
            *(graph.ainvoke(given(turn), _config(client)) for client in range(clients))
        )

    loop = each.loop
    return in_threads if loop is None else lambda turn: loop.run_until_complete(together(turn))


def run_in_processes(bench: Bench) -> Iterator[Figure]:
    """Each process has savers of its own, and a thread of conversation; all are on one server."""
    processes, turns = bench.scale.processes, bench.scale.rounds
    with bench.database() as (dsn, _meter):
        with contenders(dsn, "sync"):
            pass  # makes the tables
        with _workers(dsn, processes) as pipes:
            rates: dict[str, list[float]] = {NONE: [], OURS: [], OFFICIAL: []}
            for batch in range(1 + bench.scale.batches):
                for name, found in rates.items():
                    begun = time.perf_counter()
                    for pipe in pipes:
                        pipe.send((name, turns))
                    for pipe in pipes:
                        pipe.recv()
                    if batch:  # the first one warms up
                        found.append(processes * turns / (time.perf_counter() - begun))
    yield Figure(
        "processes",
        f"{processes} processes, {LENGTHS[-1]} messages",
        "turns",
        "turns/s",
        {name: Spread.of(found) for name, found in rates.items()},
        at_least=True,
    )


@contextmanager
def _workers(dsn: str, count: int) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    started = []
    try:
        for number in range(count):
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, dsn, number))
            process.start()
            theirs.close()
            pipes.append(mine)
            started.append(process)
        for pipe in pipes:
            pipe.recv()
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in started:
            process.join()


def _work(pipe: Connection, dsn: str, number: int) -> None:
    """A worker: does as many turns as it is told, with the saver that it is told, till the end."""
    past = {"messages": conversation(LENGTHS[-1])}
    config = _config(number)
    with contenders(dsn, "sync", 2) as savers:
        graphs = {n: chat_graph().compile(checkpointer=each.saver) for n, each in savers.items()}
        for name in (OURS, OFFICIAL):
            graphs[name].update_state(config, past)
        pipe.send("ready")
        while True:
            try:
                name, turns = pipe.recv()
            except EOFError:
                return
            for turn in range(turns):
                given = ask(turn)["messages"]
                whole = [*past["messages"], *given] if name == NONE else given
                graphs[name].invoke({"messages": whole}, config)
            pipe.send("done")

"""The workloads by name: each measures a database of its own, and yields figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from benchmarks.measure import Bench, Figure
from benchmarks.workloads import clients, delta, growth, hooks, memory, turns

WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "chat": turns.chat,
    **{name: partial(turns.scene, name) for name in turns.SCENES},
    "growth": growth.run,
    "read": hooks.get_tuple,
    "list": hooks.lists,
    "put": hooks.put,
    "writes": hooks.put_writes,
    "delta": delta.run,
    "clients": clients.run,
    "processes": clients.run_in_processes,
    "memory": memory.run,
}

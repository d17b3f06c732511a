"""How much a run measures: a whole one, a quick one, and one that only shows that all works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of the workloads.

    Attributes:
        rounds: Measured turns (or calls) of each saver in each case.
        warm: Turns before them, not counted: pools, caches, first pages. A server plans a prepared
            statement anew at its first five uses on each connection.
        lengths: Messages of the threads that chat turns and reads are measured on.
        long: Messages of the threads that everything else is measured on.
        colours: "sync" and "async" calls.
        durabilities: LangGraph's durability modes.
        growth: Turns after which a thread that began empty is looked at.
        delta: Turns of the DeltaChannel agent.
        files: Entries of the dict of which one changes a turn.
        clients: Threads of conversation that run at the same time.
        workers: Threads that run them in sync code, and the size of the pools.
        processes: Processes on one server.
        batches: How often each saver serves all clients.
        memory: Messages of the thread whose turns peak memory is measured in.
    """

    rounds: int = 15
    warm: int = 12
    lengths: tuple[int, ...] = (20, 200, 800, 3_000)
    long: int = 800
    colours: tuple[str, ...] = ("sync", "async")
    durabilities: tuple[str, ...] = ("sync", "async", "exit")
    growth: tuple[int, ...] = (250, 500)
    delta: int = 200
    files: int = 200
    clients: int = 64
    workers: int = 16
    processes: int = 8
    batches: int = 4
    memory: int = 3_000

    @property
    def few(self) -> int:
        """Rounds of what takes long (whole lists of long checkpoints)."""
        return max(1, self.rounds // 2)


FULL = Scale()
QUICK = Scale(
    rounds=3,
    warm=12,
    lengths=(20, 800),
    colours=("sync",),
    durabilities=("sync",),
    growth=(40,),
    delta=40,
    clients=16,
    workers=8,
    processes=2,
    batches=2,
    memory=800,
)
TINY = Scale(
    rounds=1,
    warm=1,
    lengths=(4, 12),
    long=12,
    durabilities=("async",),
    growth=(2, 3),
    delta=4,
    files=10,
    clients=3,
    workers=2,
    processes=2,
    batches=1,
    memory=8,
)

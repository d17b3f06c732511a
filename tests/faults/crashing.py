"""Applications that are killed. Run as a program, this forks one for each job that it is sent, so
that what takes a second or two, importing LangGraph, is done once.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from conversations import KINDS
from langgraph.checkpoint.base import Checkpoint
from langgraph.types import Command

from graphs import plain
from helpers import Driven, config_of, event_loop
from langgraph_pg_snapshot import PostgresSnapshotSaver

TURNS = 2
LENGTH = struct.Struct("!I")


@dataclass(frozen=True)
class Job:
    """What an application is to do.

    Attributes:
        dsn: Its database.
        thread_id: Its thread.
        kind: A key of KINDS.
        colour: "sync" or "async".
        durability: As LangGraph takes it.
    """

    dsn: str
    thread_id: str
    kind: str
    colour: str
    durability: str


def go_on(
    calls: Driven, job: Job, told: Callable[[int], None] = lambda _turns: None
) -> dict[str, Any]:
    """Take a conversation to its end from wherever it is; returns its state."""
    kind = KINDS[job.kind]
    graph, config = kind.build(calls.saver), config_of(job.thread_id)
    while True:
        found = calls.call(graph, "get_state", config)
        turns = kind.turns(found.values)
        if found.interrupts:
            given: Any = Command(resume="yes")
        elif (
            found.tasks
        ):  # (not `next`, which leaves out those that are done but for the checkpoint)
            given = None
        elif turns < TURNS:
            given = kind.said
        else:
            return plain(found.values)
        calls.call(graph, "invoke", given, config, durability=job.durability)
        told(turns + (given is kind.said))


@contextmanager
def driven(colour: str, dsn: str, make: Callable[..., PostgresSnapshotSaver]) -> Iterator[Driven]:
    """A saver called by sync or async methods, closed in its loop."""
    with event_loop() as loop:
        saver = make(dsn)
        try:
            yield Driven(saver, loop if colour == "async" else None)
        finally:
            loop.run_until_complete(saver.aclose())


def key_of(config: Any) -> tuple[str, str]:
    """A checkpoint among those of its thread: its namespace and id."""
    return config["configurable"]["checkpoint_ns"], config["configurable"]["checkpoint_id"]


# -- in the application's process ------------------------------------------------------------------


def copied(checkpoint: Checkpoint) -> Checkpoint:
    """A copy that nobody changes: of a join LangGraph hands over the set that it goes on with."""
    return pickle.loads(pickle.dumps(checkpoint))  # noqa: S301 -- our own


def news(checkpoint: Checkpoint, new_versions: dict[str, Any]) -> dict[str, Any]:
    """The values of channels that changed; only those are to be stored."""
    values = checkpoint["channel_values"]
    return {channel: values[channel] for channel in new_versions if channel in values}


class TellingSaver(PostgresSnapshotSaver):
    """Tells somebody outside of everything that was acknowledged to the application."""

    tell: Callable[..., None]

    def put(self, config, checkpoint, metadata, new_versions):
        checkpoint = copied(checkpoint)
        stored = super().put(config, checkpoint, metadata, new_versions)
        self.tell("put", key_of(stored), news(checkpoint, new_versions))
        return stored

    async def aput(self, config, checkpoint, metadata, new_versions):
        checkpoint = copied(checkpoint)
        stored = await super().aput(config, checkpoint, metadata, new_versions)
        self.tell("put", key_of(stored), news(checkpoint, new_versions))
        return stored

    def put_writes(self, config, writes, task_id, task_path=""):
        super().put_writes(config, writes, task_id, task_path)
        self.tell("writes", key_of(config), task_id, [channel for channel, _ in writes])

    async def aput_writes(self, config, writes, task_id, task_path=""):
        await super().aput_writes(config, writes, task_id, task_path)
        self.tell("writes", key_of(config), task_id, [channel for channel, _ in writes])


def run(job: Job, pipe: int) -> None:
    """Be an application: do the job, and tell of it by a pipe."""

    lock = threading.Lock()

    def tell(*what: Any) -> None:
        told = pickle.dumps(what)
        with lock:  # what is long is not written at once
            os.write(pipe, LENGTH.pack(len(told)) + told)

    def make(dsn: str) -> PostgresSnapshotSaver:
        saver = TellingSaver(dsn)
        saver.tell = tell
        return saver

    try:
        with driven(job.colour, job.dsn, make) as calls:
            tell("end", go_on(calls, job, lambda turns: tell("turns", turns)))
    except BaseException:  # noqa: BLE001 -- whatever it is, the test is to see it
        tell("error", traceback.format_exc())


def serve(jobs: socket.socket) -> None:
    """Fork an application for each job; what it tells goes to the pipe that comes with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        message, pipes, *_ = socket.recv_fds(jobs, 4096, 1)
        if not message:
            return
        [pipe] = pipes
        pid = os.fork()
        if pid == 0:
            jobs.close()
            run(Job(**json.loads(message)), pipe)
            os._exit(0)
        os.close(pipe)
        jobs.sendall(LENGTH.pack(pid))


# -- in the test's process -------------------------------------------------------------------------


class Application:
    """A running application."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = pipe

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def acknowledged(self) -> list[tuple[Any, ...]]:
        """All that it told until its end, which this waits for; not what it was about to tell."""
        with open(self._pipe, "rb") as pipe:  # noqa: PTH123 -- a descriptor
            told = pipe.read()
        found, start = [], 0
        while len(told) - start >= LENGTH.size:
            [length] = LENGTH.unpack_from(told, start)
            start += LENGTH.size
            if start + length <= len(told):
                found.append(pickle.loads(told[start : start + length]))  # noqa: S301 -- our own
            start += length
        return found


class Applications:
    """Starts applications, one process each."""

    def __init__(self, jobs: socket.socket) -> None:
        self._jobs = jobs

    def start(self, job: Job) -> Application:
        pipe, told_by = os.pipe()
        socket.send_fds(self._jobs, [json.dumps(vars(job)).encode()], [told_by])
        os.close(told_by)
        [pid] = LENGTH.unpack(self._jobs.recv(LENGTH.size))
        return Application(pid, pipe)


@contextmanager
def applications() -> Iterator[Applications]:
    """A process that forks applications, ended at the end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        yield Applications(ours)
        ours.close()
        process.wait(60)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

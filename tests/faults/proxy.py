"""A proxy between client and server that loses a request or its answer, at a given round trip."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# Columns that differ from one run to the next.
MADE_UP = [
    *("thread_id", "created_at", "updated_at", "erased_at", "epoch"),
    *("token", "holder", "acquired_at"),
]
P = TypeVar("P", bound="Proxy")
READY = ord("Z")  # the server's last message of an answer


@dataclass
class Cut:
    """When to break a connection off.

    Attributes:
        at: At which round trip, counted from 1 when it is set.
        lost: "request": the server never sees it. "answer": it has done it, and nobody is told.
        done: Whether it happened.
    """

    at: int
    lost: str
    seen: int = 0
    done: bool = False

    def is_due(self, lost: str) -> bool:
        """Whether to break off now, when this is about to be passed on; only ever once."""
        if self.done or lost != self.lost:
            return False
        if lost == "answer":
            self.seen += 1
        self.done = self.seen == (self.at if lost == "answer" else self.at - 1)
        return self.done

    def answered(self) -> None:
        """Count a round trip, where it is requests that get lost."""
        self.seen += self.lost == "request"


class Proxy:
    """A running proxy; `cut` is set for one operation at a time."""

    def __init__(self, listening: socket.socket, dsn: str, target: str) -> None:
        self.dsn = dsn
        self.cut: Cut | None = None
        self._listening = listening
        self._target = target
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._target)
                except OSError:  # it may be there again for the next one
                    _shut(client, server)
                    continue
                with self._lock:
                    self._sockets += [client, server]
                for pump in (self._requests, self._answers):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        with self._lock:
            for each in self._sockets:
                _shut(each)

    def _is_due(self, lost: str) -> bool:
        with self._lock:
            return self.cut is not None and self.cut.is_due(lost)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        is_startup = True
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if not is_startup and self._is_due("request"):
                    break
                is_startup = False
                server.sendall(data)
        _shut(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        waiting, is_startup = b"", True
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                waiting += data
                whole = _length_of_answers(waiting)
                if is_startup:
                    client.sendall(waiting)
                    is_startup, waiting = whole == 0, b"" if whole else waiting[len(waiting) :]
                elif whole:
                    if self._is_due("answer"):
                        break
                    with self._lock:
                        if self.cut is not None:
                            self.cut.answered()
                    client.sendall(waiting[:whole])
                    waiting = waiting[whole:]
        _shut(client, server)


class Traffic:
    """What passes through a proxy, both ways, and at which byte of it something happens.

    Attributes:
        passed: Bytes that passed, at the end of each piece, from 0 on.
        is_struck: Whether it has begun to happen.
        is_over: Whether it has happened.
        running: What it happens to, handed to ``strike`` once it is known.
    """

    def __init__(
        self, strike_at: int | None = None, strike: Callable[[Any], None] | None = None
    ) -> None:
        self.passed = [0]
        self.is_struck, self.is_over = False, threading.Event()
        self.running: Future[Any] = Future()
        self._strike_at, self._strike = strike_at, strike
        self._lock = threading.Lock()

    def admit(self, length: int) -> tuple[int, bool]:
        """How many of the next bytes may pass, and whether to strike then; that only once."""
        with self._lock:
            left = None if self._strike_at is None else self._strike_at - self.passed[-1]
            is_due = not self.is_struck and left is not None and left <= length
            self.is_struck |= is_due
            self.passed.append(self.passed[-1] + length)
            return (left or 0, True) if is_due else (length, False)

    def strike(self) -> None:
        """Have it happen."""
        assert self._strike is not None
        self._strike(self.running.result())
        self.is_over.set()


class StrikingProxy(Proxy):
    """A proxy where something happens at a byte, wherever in a message that is."""

    traffic: Traffic

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                length, is_due = self.traffic.admit(len(data))
                sink.sendall(data[:length])
                if is_due:
                    self.traffic.strike()
                    break
        _shut(source, sink)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        self._pass_on(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        self._pass_on(server, client)


def _length_of_answers(data: bytes) -> int:
    """How much of it is whole answers, each ending with the server being ready for the next."""
    start = whole = 0
    while start + 5 <= len(data):
        end = start + 1 + struct.unpack_from("!I", data, start + 1)[0]
        if end > len(data):
            break
        if data[start] == READY:
            whole = end
        start = end
    return whole


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def proxy_to(dsn: str, kind: type[P] = Proxy) -> Iterator[P]:
    """A proxy to a server on a unix socket."""
    given = conninfo_to_dict(dsn)
    directory = Path(tempfile.mkdtemp(prefix="proxy-"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / ".s.PGSQL.5432"))
        listening.listen(64)
        target = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
        proxy = kind(listening, make_conninfo(dsn, host=str(directory), port=5432), target)
        threading.Thread(target=proxy.accept, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.close()
            shutil.rmtree(directory)


def rows_of(dsn: str, table: str, thread_id: str) -> list[str]:
    """A table's rows of one thread as JSON, without what differs from one run to the next."""
    with psycopg.connect(dsn) as conn:
        return [
            row[0]
            for row in conn.execute(
                f"""
                SELECT (to_jsonb(t) - %s::text[])::text
                FROM agent_checkpoints_{table} AS t WHERE thread_id = %s ORDER BY 1
                """,  # noqa: S608 -- a name of ours
                [MADE_UP, thread_id],
            )
        ]

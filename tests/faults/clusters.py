"""PostgreSQL servers that tests may kill, stop, freeze, restart and promote."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot.embedded.account import Account, end
from langgraph_pg_snapshot.embedded.reach import binaries, short_tmp
from servers import available_bindirs

WAIT = 60.0


class Cluster:
    """A server's directory and, if it runs, its process; its address stays the same.

    Attributes:
        dsn: The conninfo of the database postgres, as its superuser, by a unix socket.
        process: The server, while it runs.
    """

    def __init__(
        self, home: Path, account: Account, bindir: Path, settings: dict[str, str]
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.dsn = make_conninfo(host=str(home), port=5432, user="postgres", dbname="postgres")
        self.process: subprocess.Popen[bytes] | None = None
        self._account = account
        self._bindir = bindir
        self._settings = {"fsync": "off", "listen_addresses": "", **settings}

    def run(self, program: str, *args: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        with (self.home / "log").open("ab") as log:
            process = self._account.popen([str(self._bindir / program), *args], log.fileno())
            assert process.wait(WAIT) == 0, (self.home / "log").read_text()[-2000:]

    def initialize(self) -> None:
        self.run(
            "initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip

    def start(self, *, wait: bool = True) -> None:
        """Start the server, and wait until it takes connections."""
        settings = {"port": "5432", "unix_socket_directories": str(self.home), **self._settings}
        argv = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (self.home / "log").open("ab") as log:
            self.process = self._account.popen(
                [str(self._bindir / "postgres"), "-D", str(self.data), *argv], log.fileno()
            )
        if wait:
            self.wait_until("SELECT 1")

    def wait_until(self, question: str) -> None:
        """Wait until a query's first answer is true."""
        give_up = time.monotonic() + WAIT
        while True:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn) as conn:
                row = conn.execute(question).fetchone()
                if row is not None and row[0]:
                    return
            assert time.monotonic() < give_up, (self.home / "log").read_text()[-2000:]
            time.sleep(0.02)

    def stop(self, how: signal.Signals) -> None:
        """Stop the server: SIGINT is "fast", SIGQUIT "immediate", SIGKILL what it says."""
        if self.process is None:
            return
        if how == signal.SIGKILL:
            for pid in self.pids():  # the others would see to it that they end, in a while
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
            self.process.wait(WAIT)
        else:
            end(self.process, how)
        self.process = None

    def pids(self) -> list[int]:
        """The server's processes, the first of them the one that started the others."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server neither answers nor goes away: the system accepts connections for it."""
        with stopped(*self.pids()):
            yield


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes do nothing for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def free_port() -> int:
    """A port where nobody listens, at this moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def directory_for(account: Account, prefix: str) -> Iterator[Path]:
    """A directory that servers can use, whose path is short enough for a socket."""
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=short_tmp(account)))
    account.own(home)
    try:
        yield home
    finally:
        shutil.rmtree(home)


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """A place for a server of the newest version; nothing runs in it yet."""
    account = Account.of(None)
    versions = available_bindirs()
    bindir, _ = binaries(versions[max(versions)], account)
    with directory_for(account, "cluster-") as home:
        made = Cluster(home, account, bindir, settings)
        try:
            yield made
        finally:
            made.stop(signal.SIGQUIT)


@contextmanager
def primary(**settings: str) -> Iterator[Cluster]:
    """A server that runs."""
    with cluster(**settings) as made:
        made.initialize()
        made.start()
        yield made

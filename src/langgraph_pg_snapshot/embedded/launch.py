"""One start of a server: directories, initdb, postgres, and the wait until it is ready."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot.embedded.account import Account, end
from langgraph_pg_snapshot.embedded.errors import EmbeddedServerError
from langgraph_pg_snapshot.embedded.locks import (
    RUNTIME_PREFIX,
    is_ready,
    lock,
    open_file,
    remove_stale_pid_file,
    sweep,
)
from langgraph_pg_snapshot.embedded.reach import binaries, reachable, short_tmp, wheel_bindir


@dataclass(frozen=True)
class Options:
    """What a server is started with, its path aside."""

    bindir: Path | None
    port: int | None
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Running:
    """A server that takes connections."""

    process: subprocess.Popen[bytes]
    home: Path
    runtime: Path
    dsn: str
    version: int
    options: Options

    def end(self, how: signal.Signals) -> None:
        """Stop it by a signal, and remove its runtime directory."""
        end(self.process, how)
        shutil.rmtree(self.runtime, ignore_errors=True)


def launch(path: Path | None, options: Options, timeout: float) -> Running:
    """Start a server and wait for it; when that fails, no process of it stays."""
    deadline = time.monotonic() + timeout
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as opened:
        account = Account.of(path and path / "pgdata")
        runtime = Path(tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir=short_tmp(account)))
        undo.callback(shutil.rmtree, runtime, ignore_errors=True)
        fds = [lock(directory, opened) for directory in (runtime, path) if directory]
        account.own(runtime)
        sweep(runtime, account)
        for fd in fds:
            os.truncate(fd, os.pwrite(fd, str(os.getpid()).encode(), 0))

        home = path or runtime
        pgdata = home / "pgdata"
        bindir, version = binaries(options.bindir or wheel_bindir(), account)
        log = open_file(home / "server.log", opened)
        os.truncate(log, 0)
        programs = _Programs(bindir, account, log, fds, undo, opened)
        if not pgdata.exists():
            programs.initdb(home, timeout, durable=path is not None)
        elif (made_by := (pgdata / "PG_VERSION").read_text().strip()) != str(version):
            raise EmbeddedServerError(
                f"{pgdata} was made by PostgreSQL {made_by} and {bindir} is PostgreSQL {version}: "
                f"give the bindir of a PostgreSQL {made_by}, or move the data with pg_upgrade"
            )
        remove_stale_pid_file(pgdata)
        process = programs.postgres(pgdata, runtime, options)
        while not is_ready(pgdata, process.pid):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.01)
                raise EmbeddedServerError(f"PostgreSQL ended with status {code}:{_tail(log)}")
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"PostgreSQL isn't ready in {timeout} s:{_tail(log)}")
        dsn = _dsn(runtime, options.port)
        undo.pop_all()
    return Running(process, home, runtime, dsn, version, options)


@dataclass(frozen=True)
class _Programs:
    """PostgreSQL's programs, as one start runs them."""

    bindir: Path
    account: Account
    log: int
    fds: list[int]
    undo: contextlib.ExitStack
    opened: contextlib.ExitStack

    def initdb(self, home: Path, timeout: float, *, durable: bool) -> None:
        """Make the data, under another name: a killed start's is never taken for data."""
        new = home / "pgdata.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self.account.own(new)
        argv = ["-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]
        argv += ["-E", "UTF8", "--locale=C", *([] if durable else ["--no-sync"])]
        process = self._run("initdb", new, argv)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        if process.returncode != 0:
            raise EmbeddedServerError(f"initdb failed in {home}:{_tail(self.log)}")
        new.rename(home / "pgdata")
        if durable:
            os.fsync(open_file(home, self.opened, os.O_RDONLY | os.O_DIRECTORY))

    def postgres(self, pgdata: Path, runtime: Path, options: Options) -> subprocess.Popen[bytes]:
        parameters = {
            "log_checkpoints": "off",  # two lines every five minutes, for nobody
            **options.settings,
            "port": options.port or 5432,  # also in the socket's name, unique by its directory
            "listen_addresses": "127.0.0.1" if options.port else "",
            "unix_socket_directories": f'"{runtime}"',
        }
        argv = [word for key, value in parameters.items() for word in ("-c", f"{key}={value}")]
        return self._run("postgres", pgdata, argv)

    def _run(self, program: str, data: Path, argv: list[str]) -> subprocess.Popen[bytes]:
        where = reachable(data, self.account, self.opened, self.fds)
        argv = [str(self.bindir / program), "-D", where, *argv]
        process = self.account.popen(argv, self.log, self.fds)
        self.undo.callback(end, process)
        return process


def _dsn(runtime: Path, port: int | None) -> str:
    dsn = make_conninfo(host=str(runtime), port=port or 5432, user="postgres", dbname="postgres")
    if port is None:
        return dsn
    # Every user of the machine reaches TCP, so there a password takes the place of trust.
    password = secrets.token_urlsafe()
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))
    return make_conninfo(dsn, host="127.0.0.1", password=password)


def _tail(log: int) -> str:
    last = os.pread(log, 4096, max(0, os.fstat(log).st_size - 4096)).decode(errors="replace")
    return "".join(f"\n  {line}" for line in last.splitlines()[-10:])

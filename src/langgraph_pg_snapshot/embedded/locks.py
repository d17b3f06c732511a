"""Who has a directory in use: locks, pid files, and what killed processes left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path

from langgraph_pg_snapshot.embedded.account import Account
from langgraph_pg_snapshot.embedded.errors import EmbeddedServerError

RUNTIME_PREFIX = "langgraph-pg-run-"


def lock(directory: Path, opened: contextlib.ExitStack) -> int:
    """Lock a directory for the server that will inherit the descriptor.

    It is a file's: through a directory's, the server could read what lies beside its data.
    """
    fd = open_file(directory / "owner", opened)
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


def remove_stale_pid_file(pgdata: Path) -> None:
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


def sweep(runtime: Path, account: Account) -> None:
    """Remove the runtime directories that killed processes left: those that no server locks."""
    for directory in runtime.parent.glob(f"{RUNTIME_PREFIX}*"):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            found = directory.lstat()
            # A younger one may be about to be locked.
            if (
                stat.S_ISDIR(found.st_mode)
                and found.st_uid in (os.geteuid(), account.uid)
                and found.st_mtime < time.time() - 60
            ):
                fd = open_file(directory / "owner", opened)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)


def is_ready(pgdata: Path, pid: int) -> bool:
    """Whether the server with that pid, and no other, takes connections to the data."""
    with contextlib.suppress(FileNotFoundError):
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        return lines[:1] == [str(pid)] and [line.strip() for line in lines[7:8]] == ["ready"]
    return False


def open_file(path: Path, opened: contextlib.ExitStack, flags: int = os.O_RDWR | os.O_CREAT) -> int:
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

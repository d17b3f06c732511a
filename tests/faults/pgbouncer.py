"""PgBouncer, where it is installed."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusters import directory_for
from psycopg.conninfo import conninfo_to_dict

from langgraph_pg_snapshot.embedded.account import Account, end

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


@contextmanager
def running(home: Path) -> Iterator[None]:
    """PgBouncer on a directory of `configured`, until it is stopped."""
    assert PROGRAM is not None
    with (home / "output").open("wb") as output:
        # A shell has its background jobs ignore SIGQUIT, by which this is to end with its parent.
        argv = ["env", "--default-signal=QUIT", PROGRAM, str(home / "ini")]
        process = Account.of(None).popen(argv, output.fileno())
    try:
        while not (home / ".s.PGSQL.5432").exists():
            assert process.poll() is None, (home / "output").read_text()
            time.sleep(0.01)
        yield
    finally:
        end(process, signal.SIGTERM)


@contextmanager
def configured(dsn: str, user: str = "postgres", **settings: object) -> Iterator[Path]:
    """A configuration for every database of a server, for one user of it; its directory is the host
    to connect to."""
    with directory_for(Account.of(None), "pgbouncer-") as home:
        given = conninfo_to_dict(dsn)
        (home / "users").write_text(f'"{user}" ""\n')
        options = {
            "unix_socket_dir": home,
            "listen_port": 5432,
            "auth_type": "trust",
            "auth_file": home / "users",
            "pool_mode": "transaction",
            "max_client_conn": 500,
            "server_login_retry": 1,
            **settings,
        }
        (home / "ini").write_text(
            f"[databases]\n* = host={given['host']} port={given['port']} user={user}\n"
            "[pgbouncer]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        )
        yield home

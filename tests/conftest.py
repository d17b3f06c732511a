"""Real servers for the tests: started once, with a fresh database for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import psycopg
import pytest

from servers import Server, available_bindirs, check_required, running

DEFAULT_VERSION = 18


def pytest_configure(config: pytest.Config) -> None:
    # A shell has its background jobs ignore these, and they would hand that on to what they start.
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    check_required()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `any_server`, directly or not, on each version this machine has."""
    if "any_server" in metafunc.fixturenames:
        metafunc.parametrize(
            "any_server", sorted(available_bindirs()), indirect=True, ids=lambda v: f"pg{v}"
        )


@pytest.fixture(scope="session")
def _servers() -> Iterator[Callable[[int], Server]]:
    """Each version's server, started at its first use."""
    with ExitStack() as stack:
        yield cache(lambda version: stack.enter_context(running(version)))


@pytest.fixture(scope="session")
def server(_servers: Callable[[int], Server]) -> Iterator[Server]:
    """PostgreSQL 18 of the wheel, or the server that TEST_DATABASE_URL names."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        given = Server(url)
        yield given
        given.close()
    else:
        yield _servers(DEFAULT_VERSION)


@pytest.fixture(scope="session")
def any_server(request: pytest.FixtureRequest, _servers: Callable[[int], Server]) -> Server:
    """A server of each version that this machine has, one after the other."""
    return _servers(request.param)


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The conninfo of a fresh, empty database."""
    with server.clone(server.template("empty")) as dsn:
        yield dsn


@pytest.fixture
def any_database(any_server: Server) -> Iterator[str]:
    """The conninfo of a fresh, empty database on each version of PostgreSQL."""
    with any_server.clone(any_server.template("empty")) as dsn:
        yield dsn


@pytest.fixture
def ready_database(server: Server) -> Iterator[str]:
    """The conninfo of a fresh database that has our tables."""
    with server.clone(server.template("ready", _set_up)) as dsn:
        yield dsn


@pytest.fixture
def any_ready_database(any_server: Server) -> Iterator[str]:
    """The conninfo of a fresh database that has our tables, on each version of PostgreSQL."""
    with any_server.clone(any_server.template("ready", _set_up)) as dsn:
        yield dsn


def _set_up(dsn: str) -> None:
    from langgraph_pg_snapshot import PostgresSnapshotSaver

    with PostgresSnapshotSaver(dsn) as saver:
        saver.setup()


@pytest.fixture
def jsonb_roundtrip(database: str) -> Iterator[Callable[[bytes], str]]:
    """A function that sends JSON text to the server as jsonb and returns what it prints."""
    with psycopg.connect(database, autocommit=True) as connection:

        def roundtrip(text: bytes) -> str:
            row = connection.execute("SELECT %s::jsonb::text", [text.decode()]).fetchone()
            assert row is not None
            return row[0]

        yield roundtrip

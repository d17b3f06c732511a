"""The contract's tests share one database; each has a thread id of its own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from helpers import Chain, Driven, Variant
from langgraph_pg_snapshot import PostgresSnapshotSaver
from servers import Server

VARIANTS = (
    Variant("sync", "conninfo", "snapshot"),
    Variant("async", "conninfo", "snapshot"),
    Variant("threaded", "plain", "snapshot"),
    Variant("sync", "no-autocommit", "jsonplus"),
    Variant("async", "dict-rows", "encrypted"),
    Variant("sync", "connection", "encrypted"),
    Variant("async", "connection-tx", "jsonplus"),
    Variant("sync", "prepare-always", "snapshot"),
    Variant("async", "prepare-never", "snapshot"),
)
# The three serializers and both colours, for what does not depend on connections.
CORE = (VARIANTS[0], VARIANTS[1], VARIANTS[3], VARIANTS[4])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        chosen = VARIANTS if metafunc.definition.get_closest_marker("every_variant") else CORE
        metafunc.parametrize("variant", chosen, ids=str)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "every_variant: run with every kind of connection, not only the core ones"
    )


@pytest.fixture(scope="session")
def contract_database(server: Server) -> Iterator[str]:
    """A database with our tables that tests of the contract share."""
    with server.clone(
        server.template("ready", lambda dsn: PostgresSnapshotSaver(dsn).setup())
    ) as dsn:
        yield dsn


@pytest.fixture
def saver(variant: Variant, contract_database: str) -> Iterator[Driven]:
    """A saver on the shared database, with nothing in its caches."""
    with variant.open(contract_database) as driven:
        yield driven


@pytest.fixture
def other(variant: Variant, contract_database: str) -> Iterator[Driven]:
    """A second saver on the same database, as another process has it."""
    with variant.open(contract_database) as driven:
        yield driven


@pytest.fixture
def thread_id() -> str:
    """A thread that no other test uses."""
    return f"thread-{secrets.token_hex(6)}"


@pytest.fixture
def chain(saver: Driven, thread_id: str) -> Chain:
    """The root namespace of a thread, to be filled."""
    return Chain(saver, thread_id)


@pytest.fixture
def lone_saver(variant: Variant, ready_database: str) -> Iterator[Driven]:
    """A saver with a database for itself: for what spans threads."""
    with variant.open(ready_database) as driven:
        yield driven

"""How a saver is built, opened and closed, and how it runs plans."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langgraph_pg_snapshot._arguments import (
    check_count,
    check_dict,
    check_id,
    check_seconds,
    check_tenant,
)
from langgraph_pg_snapshot._conninfo import parsed
from langgraph_pg_snapshot._drivers.aio import AsyncDriver, AsyncRunner
from langgraph_pg_snapshot._drivers.borders import (
    BridgedRunner,
    GivenAsyncConnections,
    HomeRunner,
    ThreadedRunner,
)
from langgraph_pg_snapshot._drivers.faults import check_idle
from langgraph_pg_snapshot._drivers.given import (
    GivenAsyncConnection,
    GivenAsyncPool,
    GivenConnection,
    GivenPool,
)
from langgraph_pg_snapshot._drivers.own import OwnAsyncPools, OwnPool
from langgraph_pg_snapshot._drivers.settings import PoolSettings
from langgraph_pg_snapshot._drivers.sync import Conduct, SyncDriver
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans.setup import check_tenancy, set_up
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError
from langgraph_pg_snapshot.sql import Queries

if TYPE_CHECKING:
    from langgraph_pg_snapshot.embedded import EmbeddedServer

T = TypeVar("T")


class SyncRunner(Protocol):
    """Runs plans for sync callers."""

    def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T: ...


@dataclass
class Call(Generic[T]):
    """An operation whose arguments were checked, ready to be run by either driver."""

    operation: Operation
    plan: Callable[[], Plan[T]]


class Backend:
    """Connections, drivers and the state of the schema: what clones of a saver share.

    Either kind of caller is served by the connections of its own colour, or across the border where
    only the other kind was passed in.
    """

    def __init__(self, queries: Queries, conduct: Conduct, *, auto_setup: bool) -> None:
        self.queries = queries
        self.conduct = conduct
        self.auto_setup = auto_setup
        self.is_set_up = False
        self.is_checked = False
        self.server: EmbeddedServer | None = None
        self._own_async: OwnAsyncPools | None = None
        self._driver: SyncDriver | None = None
        self._async_runner: AsyncRunner | None = None
        self._bridge: BridgedRunner | None = None

    def use_settings(self, settings: PoolSettings) -> None:
        """Open pools of our own, each at its first use."""
        self._own_async = OwnAsyncPools(settings)
        self._driver = SyncDriver(OwnPool(settings), self.conduct)
        self._async_runner = AsyncDriver(self._own_async, self.conduct)

    def use_given(self, given: object, argument: str, kind: type | None) -> None:
        """Use a pool or connection of the application's.

        Raises:
            ArgumentTypeError: It is neither, or not of the kind that this argument takes.
            StorageError: It is a connection inside a transaction.
        """
        if kind is not None and not isinstance(given, kind):
            raise ArgumentTypeError(
                f"{argument} must be a psycopg_pool.{kind.__name__}, got {type(given).__name__}"
                + ("; pass it as async_pool=" if isinstance(given, AsyncConnectionPool) else "")
                + ("; pass it as pool=" if isinstance(given, ConnectionPool) else "")
            )
        if isinstance(given, ConnectionPool):
            self._driver = SyncDriver(GivenPool(given), self.conduct)
        elif isinstance(given, AsyncConnectionPool):
            self._use_async(GivenAsyncPool(given))
        elif isinstance(given, psycopg.Connection):
            check_idle(given.info.transaction_status)
            self._driver = SyncDriver(GivenConnection(given), self.conduct)
        elif isinstance(given, psycopg.AsyncConnection):
            check_idle(given.info.transaction_status)
            self._use_async(GivenAsyncConnection(given))
        else:
            raise ArgumentTypeError(
                f"{argument} must be a conninfo str, a psycopg_pool.ConnectionPool or "
                f"AsyncConnectionPool, or a psycopg (Async)Connection, got {type(given).__name__}"
            )

    def _use_async(self, connections: GivenAsyncConnections) -> None:
        self._async_runner = HomeRunner(connections, self.conduct)
        self._bridge = BridgedRunner(connections, self.conduct)

    def runner(self) -> SyncRunner:
        """What runs plans for sync callers."""
        if self._driver is not None:
            return self._driver
        assert self._bridge is not None  # noqa: S101 -- one of them was given
        return self._bridge

    def async_runner(self) -> AsyncRunner:
        """What runs plans for async callers."""
        if self._async_runner is not None:
            return self._async_runner
        assert self._driver is not None  # noqa: S101 -- one of them was given
        return ThreadedRunner(self._driver)

    def run(self, call: Call[T], *, sets_up: bool = False, only_looks: bool = False) -> T:
        """Run an operation for a sync caller, and before the first one what that needs.

        Args:
            call: The operation.
            sets_up: Whether it is itself about the schema, and needs nothing before.
            only_looks: Whether it makes no tables if there are none.
        """
        with call.operation as trace:
            runner = self.runner()
            for plan in () if sets_up else self._due(only_looks):
                runner.run(plan, trace)
            return runner.run(call.plan, trace)

    async def arun(self, call: Call[T], *, sets_up: bool = False) -> T:
        """The same for an async caller."""
        with call.operation as trace:
            runner = self.async_runner()
            for plan in () if sets_up else self._due():
                await runner.run(plan, trace)
            return await runner.run(call.plan, trace)

    def _due(self, only_looks: bool = False) -> list[Callable[[], Plan[None]]]:  # noqa: FBT001, FBT002 -- run's
        """What has to be done before an operation."""
        due: list[Callable[[], Plan[None]]] = []
        if self.auto_setup and not self.is_set_up and not only_looks:
            due.append(self._set_up)
        if self.queries.tenants and not self.is_checked:
            due.append(self._check_tenancy)
        return due

    def _set_up(self) -> Plan[None]:
        yield from set_up(self.queries)
        self.is_set_up = True

    def _check_tenancy(self) -> Plan[None]:
        yield from check_tenancy(self.queries)
        self.is_checked = True

    def close(self) -> None:
        """Close pools of our own, and a server of our own."""
        if self._driver is not None:
            self._driver.connections.close()
        if self._own_async is not None:
            self._own_async.close_from_sync()
        if self.server is not None:
            self.server.stop()

    async def aclose(self) -> None:
        """Close pools of our own, and a server of our own."""
        if self._own_async is not None:
            await self._own_async.close()
        # Joins the pool's worker threads and waits for the server: not for the loop's thread.
        await asyncio.to_thread(self.close)


def conduct(
    queries: Queries,
    deadline: float | None,
    pooler: bool | None,  # noqa: FBT001 -- an argument's value
    tenant: str | None,
) -> Conduct:
    """Check the arguments that say how to behave towards the server.

    Raises:
        InvalidArgumentError: One is not what it takes.
    """
    seconds = math.inf if deadline is None else check_seconds("deadline", deadline, "; or None")
    if pooler is not None and not isinstance(pooler, bool):
        raise ArgumentTypeError(f"pooler must be True, False or None, got {type(pooler).__name__}")
    allowed = None if math.isinf(seconds) else seconds
    if tenant is None:
        return Conduct(allowed, pooler)
    opening = Stmt(queries("set_tenant"), {"tenant": check_tenant(tenant)})
    return Conduct(allowed, pooler, opening)


def pool_settings(
    conninfo: str,
    *,
    min_size: int,
    max_size: int,
    timeout: float,
    max_idle: float,
    max_lifetime: float,
    kwargs: Mapping[str, Any] | None,
) -> PoolSettings:
    """Check the arguments of pools of our own.

    Raises:
        InvalidArgumentError: One is out of its range, or conninfo can't be parsed. (Its text is not
            repeated: it may hold a password.)
    """
    conninfo = str.__str__(conninfo)  # a subclass may say something else each time
    parsed(conninfo, "conninfo")
    min_size, max_size = check_count("min_size", min_size), check_count("max_size", max_size)
    if not 0 <= min_size <= max_size or max_size < 1:
        raise InvalidArgumentError(
            f"pool sizes must be 0 <= min_size <= max_size and max_size >= 1, got "
            f"min_size={min_size}, max_size={max_size}"
        )
    given = {} if kwargs is None else kwargs
    return PoolSettings(
        conninfo,
        min_size,
        max_size,
        check_seconds("timeout", timeout),
        check_seconds("max_idle", max_idle),
        check_seconds("max_lifetime", max_lifetime),
        {check_id("kwargs key", name): v for name, v in check_dict("kwargs", given).items()},
    )

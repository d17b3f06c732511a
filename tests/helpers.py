"""What the saver's tests share: one face for both colours, and checkpoints made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langgraph_pg_snapshot import PostgresSnapshotSaver

SERDES: Mapping[str, Callable[[], Any]] = {
    "snapshot": lambda: None,
    "jsonplus": JsonPlusSerializer,
    "encrypted": lambda: EncryptedSerializer.from_pycryptodome_aes(key=b"sixteen byte key"),
}

# Everything about a pool that an application may have chosen otherwise than we would.
AWKWARD = {
    "plain": {"autocommit": True},
    "no-autocommit": {"autocommit": False},
    "dict-rows": {"autocommit": True, "row_factory": dict_row},
    "prepare-never": {"autocommit": False, "row_factory": dict_row, "prepare_threshold": None},
    "prepare-always": {"autocommit": True, "prepare_threshold": 0},
}


class Driven:
    """A saver called by its sync methods or, given a loop, by their async twins.

    Either way calls return results, so that one test body serves both.
    """

    def __init__(
        self, saver: PostgresSnapshotSaver, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.saver = saver
        self.loop = loop

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.call(self.saver, name, *args, **kwargs)

    def list(self, config: RunnableConfig | None, **options: Any) -> list[CheckpointTuple]:
        return self.collect(self.saver, "list", config, **options)

    def call(self, target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a saver or a graph, in this colour."""
        if self.loop is None:
            return getattr(target, name)(*args, **kwargs)
        return self.loop.run_until_complete(getattr(target, f"a{name}")(*args, **kwargs))

    def collect(self, target: Any, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a method that iterates, and return what it yields."""
        if self.loop is None:
            return list(getattr(target, name)(*args, **kwargs))

        async def gather() -> list[Any]:
            return [each async for each in getattr(target, f"a{name}")(*args, **kwargs)]

        return self.loop.run_until_complete(gather())

    def gather(self, *calls: Callable[[Any], Any]) -> list[Any]:
        """Make several calls at the same time, each given something to call; raises errors."""
        if self.loop is None:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(len(calls)) as threads:
                return [f.result() for f in [threads.submit(c, self.saver) for c in calls]]
        twins = _AsyncNames(self.saver)

        async def together() -> list[Any]:
            return await asyncio.gather(*(call(twins) for call in calls))

        return self.loop.run_until_complete(together())


class _AsyncNames:
    def __init__(self, saver: PostgresSnapshotSaver) -> None:
        self._saver = saver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._saver, f"a{name}")


@dataclass(frozen=True)
class Variant:
    """A way to set up and to call a saver.

    Attributes:
        colour: "sync", "async", or "threaded": async calls over a sync pool.
        through: "conninfo", "connection", "connection-tx", or a key of AWKWARD for a pool.
        serde: A key of SERDES.
    """

    colour: str
    through: str
    serde: str

    def __str__(self) -> str:
        return f"{self.colour}-{self.through}-{self.serde}"

    @contextmanager
    def open(self, dsn: str, **options: Any) -> Iterator[Driven]:
        """A saver on that database, ready to be driven; all is closed at the end."""
        options = {"serde": SERDES[self.serde](), **options}
        if self.colour == "async":
            with event_loop() as loop:
                given, close = loop.run_until_complete(self._async_given(dsn))
                saver = PostgresSnapshotSaver(**given, **options)
                try:
                    yield Driven(saver, loop)
                finally:
                    loop.run_until_complete(saver.aclose())
                    loop.run_until_complete(close())
        else:
            given, close = self._sync_given(dsn)
            try:
                saver = PostgresSnapshotSaver(**given, **options)
                if self.colour == "threaded":
                    with event_loop() as loop:
                        yield Driven(saver, loop)
                else:
                    yield Driven(saver, None)
                saver.close()
            finally:
                close()

    def _sync_given(self, dsn: str) -> tuple[dict[str, Any], Callable[[], None]]:
        if self.through == "conninfo":
            return {"conninfo": dsn, "min_size": 1}, lambda: None
        if self.through.startswith("connection"):
            conn = psycopg.connect(dsn, autocommit=self.through == "connection")
            return {"conninfo": conn}, conn.close
        pool = ConnectionPool(dsn, min_size=1, max_size=4, kwargs=AWKWARD[self.through], open=True)
        return {"pool": pool}, pool.close

    async def _async_given(self, dsn: str) -> tuple[dict[str, Any], Callable[[], Any]]:
        if self.through == "conninfo":
            return {"conninfo": dsn, "min_size": 1}, _nothing
        if self.through.startswith("connection"):
            conn = await psycopg.AsyncConnection.connect(
                dsn, autocommit=self.through == "connection"
            )
            return {"conninfo": conn}, conn.close
        pool = AsyncConnectionPool(
            dsn, min_size=1, max_size=4, kwargs=AWKWARD[self.through], open=False
        )
        await pool.open()
        return {"async_pool": pool}, pool.close


async def _nothing() -> None:
    pass


async def wind_up() -> None:
    """What asyncio.run does at its end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop of this thread, wound up at the end as `asyncio.run` does."""
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(wind_up())
        loop.close()


def config_of(thread_id: str, checkpoint_id: str | None = None, ns: str = "") -> RunnableConfig:
    """A config as LangGraph makes it."""
    configurable = {"thread_id": thread_id, "checkpoint_ns": ns}
    if checkpoint_id is not None:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}


def id_of(config: RunnableConfig | None) -> str | None:
    """The checkpoint that a config names."""
    return config["configurable"]["checkpoint_id"] if config is not None else None


def new_id() -> str:
    """A checkpoint id, larger than those before."""
    return str(uuid6(clock_seq=0))


def checkpoint_of(
    values: Mapping[str, Any], versions: Mapping[str, Any], checkpoint_id: str | None = None, v=4
) -> Checkpoint:
    """A checkpoint with these values."""
    return {
        "v": v,
        "id": checkpoint_id or new_id(),
        "ts": "2026-01-02T03:04:05.678901+00:00",
        "channel_values": dict(values),
        "channel_versions": dict(versions),
        "versions_seen": {"node": {channel: versions[channel] for channel in versions}},
        "updated_channels": sorted(values),
    }


@dataclass
class Chain:
    """Fills a thread's namespace as LangGraph does: each put names what changed.

    Attributes:
        saver: What to call.
        thread_id: The thread.
        ns: Its namespace.
        head: The config of the newest put.
        states: Values and versions by checkpoint id.
    """

    saver: Any
    thread_id: str
    ns: str = ""
    head: RunnableConfig | None = None
    states: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)

    def put(
        self,
        changed: Mapping[str, Any] | None = None,
        *,
        parent: RunnableConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        checkpoint_id: str | None = None,
        v: int = 4,
        without: tuple[str, ...] = (),
        valueless: tuple[str, ...] = (),
    ) -> RunnableConfig:
        """Put a checkpoint on ``parent`` (the newest by default) in which these channels changed.

        ``without`` drops channels altogether; ``valueless`` get a version but no value.
        """
        parent = parent or self.head
        values, versions = self.states.get(id_of(parent) or "", ({}, {}))
        new_versions = {
            channel: next_version(versions.get(channel))
            for channel in (*(changed or {}), *valueless)
        }
        values = {**values, **(changed or {})}
        versions = {**versions, **new_versions}
        for channel in (*without, *valueless):
            values.pop(channel, None)
        for channel in without:
            versions.pop(channel, None)
        checkpoint = checkpoint_of(values, versions, checkpoint_id, v)
        self.states[checkpoint["id"]] = (values, versions)
        config = parent or config_of(self.thread_id, ns=self.ns)
        self.head = self.saver.put(
            config,
            checkpoint,
            {"source": "loop", "step": len(self.states) - 2, "parents": {}, **(metadata or {})},
            new_versions,
        )
        return self.head

    def values(self, config: RunnableConfig) -> dict[str, Any]:
        """What was put there."""
        return self.states[config["configurable"]["checkpoint_id"]][0]


def next_version(current: str | None) -> str:
    """The saver's next version."""
    return PostgresSnapshotSaver.get_next_version(None, current, None)  # type: ignore[arg-type]  # it needs no self


def comparable(found: CheckpointTuple | None) -> Any:
    """A tuple as plain data that compares in depth; channels by name."""
    return None if found is None else tuple(found)


def unreferenced_items(dsn: str, thread_id: str | None = None) -> list[tuple[Any, ...]]:
    """Rows of the log, of one thread or all, that no checkpoint references."""
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            """
            SELECT i.thread_id, i.checkpoint_ns, i.item_id
            FROM agent_checkpoints_items AS i
            WHERE coalesce(i.thread_id = %s, true) AND NOT EXISTS (
                SELECT 1 FROM agent_checkpoints_history AS h
                WHERE h.thread_id = i.thread_id AND h.checkpoint_ns = i.checkpoint_ns
                    AND h.items @> i.item_id)
            """,
            [thread_id],
        ).fetchall()

"""Who is measured: no saver, this one, and the official one; in sync or in async code.

And one that does nothing, to see what LangGraph itself adds to a turn where there is a saver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from langgraph_pg_snapshot import PostgresSnapshotSaver

NONE, IDLE, FLOOR, OURS, OFFICIAL = "no saver", "idle saver", "floor", "ours", "official"

# As its documentation says.
OFFICIAL_KWARGS = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}

# Which tables are whose, by the beginning of their names.
TABLES = {OURS: "agent_checkpoints", OFFICIAL: "checkpoint"}


class IdleSaver(BaseCheckpointSaver[str]):
    """Keeps the last checkpoint of each thread as it is handed over, which takes no time.

    No saver may do that: an application can change what it was handed. But what a turn takes with
    it is what LangGraph itself does for a saver's sake, in threads and tasks of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, CheckpointTuple] = {}

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._last.get(config["configurable"]["thread_id"])

    def put(
        self, config: RunnableConfig, checkpoint: Any, metadata: Any, *_versions: Any
    ) -> RunnableConfig:
        thread = config["configurable"]["thread_id"]
        at: RunnableConfig = {
            "configurable": {
                "thread_id": thread,
                "checkpoint_ns": "",
                "checkpoint_id": checkpoint["id"],
            }
        }
        self._last[thread] = CheckpointTuple(at, checkpoint, metadata, None, [])
        return at

    def put_writes(self, *_args: Any) -> None:
        pass

    def get_next_version(self, current: str | None, channel: None) -> str:
        return InMemorySaver.get_next_version(self, current, channel)  # type: ignore[arg-type]

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    async def aput(self, *args: Any) -> RunnableConfig:
        return self.put(*args)

    async def aput_writes(self, *_args: Any) -> None:
        pass


@dataclass(frozen=True)
class Contender:
    """A saver, or none, and how it is called.

    Attributes:
        saver: What graphs are compiled with.
        loop: Where async twins of methods run; None means that sync ones are called.
    """

    saver: BaseCheckpointSaver[Any] | None
    loop: asyncio.AbstractEventLoop | None = None

    def call(self, target: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a saver or a graph, or its async twin."""
        if self.loop is None:
            return getattr(target, method)(*args, **kwargs)
        return self.loop.run_until_complete(getattr(target, f"a{method}")(*args, **kwargs))

    def collect(self, target: Any, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a method that iterates, or its async twin, to its end."""
        if self.loop is None:
            return list(getattr(target, method)(*args, **kwargs))

        async def gather() -> list[Any]:
            return [each async for each in getattr(target, f"a{method}")(*args, **kwargs)]

        return self.loop.run_until_complete(gather())


@contextmanager
def contenders(dsn: str, colour: str, size: int = 10) -> Iterator[dict[str, Contender]]:
    """All of them on one database, with pools of up to ``size`` connections."""
    with ExitStack() as stack:
        if colour == "sync":
            ours = stack.enter_context(PostgresSnapshotSaver(dsn, max_size=size))
            official = stack.enter_context(official_saver(dsn, size))
            yield {NONE: Contender(None), OURS: Contender(ours), OFFICIAL: Contender(official)}
        else:
            loop = stack.enter_context(_event_loop())
            ours = PostgresSnapshotSaver(dsn, max_size=size)
            stack.callback(lambda: loop.run_until_complete(ours.aclose()))
            theirs, close = loop.run_until_complete(_official_async(dsn, size))
            stack.callback(close, loop)
            yield {
                NONE: Contender(None, loop),
                OURS: Contender(ours, loop),
                OFFICIAL: Contender(theirs, loop),
            }


@contextmanager
def official_saver(dsn: str, size: int = 10) -> Iterator[PostgresSaver]:
    """The official saver on a pool, with its tables."""
    with ConnectionPool(dsn, min_size=2, max_size=size, kwargs=OFFICIAL_KWARGS) as pool:
        saver = PostgresSaver(pool)
        saver.setup()
        yield saver


async def _official_async(
    dsn: str, size: int
) -> tuple[AsyncPostgresSaver, Callable[[asyncio.AbstractEventLoop], None]]:
    pool = AsyncConnectionPool(dsn, min_size=2, max_size=size, kwargs=OFFICIAL_KWARGS, open=False)
    await pool.open()
    saver = AsyncPostgresSaver(pool)
    await saver.setup()
    return saver, lambda loop: loop.run_until_complete(pool.close())


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    try:
        yield loop
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()

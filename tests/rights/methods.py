"""A call of each public method that reads or writes state: one is missing if a test says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg

from helpers import Chain, Driven, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy
from langgraph_pg_snapshot.sql import TENANTS_TABLES, Queries

THREAD, RUN = "thread", "run-1"
TABLES = [Queries("agent_checkpoints", tenants=True).relations[t] for t in TENANTS_TABLES]
IDS = [f"1f000000-0000-6000-8000-00000000000{n}" for n in range(4)]


def fill(driven: Driven, mark: str) -> None:
    """Two threads of fixed names and numbers, with a subgraph and pending writes, that say whose
    they are in everything that an application may say."""
    for thread_id in (THREAD, "other"):
        metadata = {"run_id": RUN, "user_id": mark, "note": mark}
        chain, rows = Chain(driven, thread_id), []
        for number, checkpoint_id in enumerate(IDS):
            rows = [*rows, {"text": f"{mark} {number} " * 20}]
            values = {"rows": rows, "who": mark}
            config = chain.put(values, checkpoint_id=checkpoint_id, metadata=metadata)
        driven.put_writes(config, [("rows", [mark])], "task")
        Chain(driven, thread_id, ns="sub").put(
            {"who": mark}, checkpoint_id=IDS[0], metadata=metadata
        )


def rows_of(dsn: str, tenant: str) -> str:
    """A digest of a tenant's rows, with where each lies and who wrote it; as the superuser."""
    found = hashlib.sha256()
    with psycopg.connect(dsn) as admin:
        for table in TABLES:
            query = f"SELECT ctid, xmin, t FROM {table} AS t WHERE tenant = %s ORDER BY ctid"  # noqa: S608 -- ours
            for row in admin.execute(query, [tenant]):
                found.update(repr(row).encode())
    return found.hexdigest()


def put(driven: Driven) -> Any:
    chain = Chain(driven, THREAD)
    chain.put({"new": "x" * 300}, checkpoint_id=IDS[0])
    return chain.put({"new": "y" * 300}, checkpoint_id=IDS[-1])


def exclusive(driven: Driven) -> None:
    block = driven.saver.exclusive(THREAD, timeout=0)
    if driven.loop is None:
        with block:
            driven.save_state(THREAD, {"saved": "in a block"})
        return

    async def turn() -> None:
        async with block:
            await driven.saver.asave_state(THREAD, {"saved": "in a block"})

    driven.loop.run_until_complete(turn())


METHODS: dict[str, Callable[[Driven], Any]] = {
    "put": put,
    "put_writes": lambda d: d.put_writes(config_of(THREAD, IDS[-1]), [("w", 1)], "task-2"),
    "get": lambda d: d.get(config_of(THREAD)),
    "get_tuple": lambda d: [
        *(d.get_tuple(config_of(THREAD, each)) for each in (None, *IDS)),
        d.get_tuple(config_of(THREAD, ns="sub")),
    ],
    "list": lambda d: [d.list(None), d.list(config_of(THREAD)), d.list(None, filter={"step": 1})],
    "get_delta_channel_history": lambda d: d.get_delta_channel_history(
        config=config_of(THREAD), channels=["rows", "who"]
    ),
    "copy_thread": lambda d: [d.copy_thread(THREAD, "copy"), d.copy_thread("other", THREAD)],
    "delete_thread": lambda d: d.delete_thread(THREAD),
    "delete_for_runs": lambda d: d.delete_for_runs([RUN]),
    "prune": lambda d: [d.prune([THREAD]), d.prune(["other"], strategy="delete")],
    "sweep": lambda d: [
        d.sweep(RetentionPolicy(keep_last=1), dry_run=True),
        d.sweep(RetentionPolicy(keep_last=1, max_age=timedelta(microseconds=1))),
        d.sweep(RetentionPolicy(max_idle=timedelta(microseconds=1))),
    ],
    "erase": lambda d: [
        d.erase(filter={"user_id": "mark of a"}, dry_run=True),
        d.erase(filter={"user_id": "mark of a"}),
        d.erase(filter={"run_id": RUN}),
    ],
    "save_state": lambda d: d.save_state(THREAD, {"saved": "z" * 300}),
    "load_state": lambda d: d.load_state(THREAD),
    "list_threads": lambda d: [
        d.list_threads(),
        d.list_threads(order="oldest"),
        d.list_threads(filter={"user_id": "mark of a"}),
        d.list_threads(filter={"user_id": None}),
    ],
    "history": lambda d: [d.history(THREAD), d.history(THREAD, checkpoint_ns="sub")],
    "history_graph": lambda d: [
        str(d.history_graph(THREAD)),
        d.history_graph(THREAD, checkpoint_ns="sub").svg,
    ],
    "get_channel": lambda d: [
        d.get_channel(THREAD, "rows"),
        d.get_channel(THREAD, "rows", last=2),
        d.get_channel(THREAD, "who"),
    ],
    "stats": lambda d: d.stats()._replace(tables=()),
    "check": lambda d: d.check(THREAD),
    "exclusive": exclusive,
}
# What else there is: it reads and writes no state.
OTHERS = {
    *("setup", "check_schema", "close", "embedded", "from_conn_string", "config_specs", "serde"),
    *("get_next_version", "with_allowlist"),
}


def public_names() -> set[str]:
    """The public names of a saver, without the async twins."""
    names = {name for name in dir(PostgresSnapshotSaver) if not name.startswith("_")}
    return {name for name in names if not (name.startswith("a") and name[1:] in names)}

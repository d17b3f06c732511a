"""The checkpoint saver: LangGraph's hooks and the thread-keyed face, sync and async."""

from __future__ import annotations

from langgraph_pg_snapshot._exclusive import Exclusive
from langgraph_pg_snapshot._hooks import LangGraphHooks
from langgraph_pg_snapshot._retention import Retention
from langgraph_pg_snapshot._threads import ThreadDirectory


class PostgresSnapshotSaver(LangGraphHooks, ThreadDirectory, Retention, Exclusive):
    """Keeps the state of LangGraph threads in PostgreSQL, as JSONB that SQL can read.

    One class for sync and async: pass it as ``checkpointer=`` when a graph is compiled, and both
    ``graph.invoke`` and ``graph.ainvoke`` work. Safe to share between threads, tasks and event
    loops. Nothing is opened before the first operation, so it can be made at import time; use it in
    a ``with`` or ``async with`` block, or call `close` or `aclose` at the end, or keep it for good.

    Args:
        conninfo: A PostgreSQL connection string or URL. In its place (as a drop-in for the official
            savers) also a pool or a bare connection, sync or async.
        pool: A `psycopg_pool.ConnectionPool` of the application's, used as it is and never closed.
        async_pool: An `AsyncConnectionPool` of the application's. With only one of the two, the
            other kind of call goes through a thread, or over to the pool's event loop.
        min_size: Connections that a pool of our own keeps open; default 2.
        max_size: Connections that it opens at most; default 10.
        timeout: Seconds that an operation waits for a connection; default 30.
        max_idle: Seconds after which a connection above min_size is closed; default 600.
        max_lifetime: Seconds after which a connection is replaced; default 3600.
        kwargs: Further arguments of `psycopg.connect` for connections of our own.
        deadline: Seconds that a statement or transaction may take, with all that is done again
            because a connection died or the server restarts; default 60, None is without end.
            (Migrations, `sweep`, `erase` and `stats` may take longer.) On connections that are
            passed in, it bounds the tries and the wait for a connection, but not the wait for an
            answer.
        pooler: Whether there is a pooler in transaction mode (such as PgBouncer) between, so that
            statements can't be prepared. None (default) finds out, on each connection. False is for
            one that keeps track of prepared statements (PgBouncer 1.21, max_prepared_statements).
        table_name: Name of the view, and prefix of the tables; default "agent_checkpoints".
        schema: Schema to place them in; None (default) goes by ``search_path``.
        serde: Serializer. None (default) is `SnapshotSerializer`: readable JSONB. Any other (such
            as JsonPlusSerializer or EncryptedSerializer) has its bytes kept in BYTEA columns.
        tenant: Whose threads they are, in tables for tenants: each row belongs to one, and row
            security has the saver see and change this one's only (docs/tenants.md). At most 100
            bytes. None (default) works on tables without tenants.
        auto_setup: Make or upgrade the tables at the first operation; default True. Where they are
            up to date nothing is issued, so that a role without rights to create will do.
        cache_bytes: About how much memory may hold items of the threads that were read last: the
            next read brings only what is new (each is checked, none is believed). Default 32 MiB;
            0 keeps nothing.
        on_conflict: What becomes of a run whose checkpoint builds on one that is not the newest of
            its thread any more, because another run was faster. "fork" (default): both are stored,
            as with every saver of LangGraph's, and the thread goes on from the newer one; what the
            other has done is on a dead branch. "raise": the slower one gets
            `ConcurrentUpdateError`, and its checkpoint is not stored. Whoever names a checkpoint,
            to fork from it or to update it, is not refused for that. It is about root namespaces;
            every process that runs graphs on the thread has to have it.

    Raises:
        InvalidArgumentError: An argument is not usable, or none or several say how to connect.
        StorageError: A connection was passed in that is inside a transaction.
    """

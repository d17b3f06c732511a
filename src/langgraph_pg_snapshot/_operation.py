"""One operation, from the caller's point of view: what it was, what it took, how it failed."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from types import TracebackType

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot.errors import (
    NOT_KEPT_APART,
    ConnectionUnavailableError,
    SchemaError,
    SnapshotError,
    StorageError,
    TenantError,
    is_not_kept_apart,
    without_values,
)

logger = logging.getLogger("langgraph_pg_snapshot")


@dataclass
class Operation:
    """A context manager around an operation: wraps its errors, and logs it at DEBUG.

    Attributes:
        name: The saver's method, without the "a" of its async twin.
        table: The view's name.
        thread_id: The thread, if it is about one.
        checkpoint_ns: The namespace, if it is about one.
        is_logged: False for a part of an operation, whose errors are wrapped all the same.
    """

    name: str
    table: str
    thread_id: str | None = None
    checkpoint_ns: str | None = None
    is_logged: bool = True
    trace: Trace = field(default_factory=Trace)
    _started: float = 0.0

    def __str__(self) -> str:
        about = [f"table {self.table!r}"]
        if self.thread_id is not None:
            about.insert(0, f"thread {self.thread_id!r}")
        if self.checkpoint_ns is not None:
            about.append(f"namespace {self.checkpoint_ns!r}")
        return f"{self.name} ({', '.join(about)})"

    def __enter__(self) -> Trace:
        self._started = time.perf_counter()
        return self.trace

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_logged and logger.isEnabledFor(logging.DEBUG):
            self._log(error)
        if isinstance(error, psycopg.Error):
            raise self._wrapped(error) from error
        if isinstance(error, SnapshotError) and not getattr(error, "located", False):
            error.args = (f"{self}: {error}", *error.args[1:])
            error.located = True

    def _log(self, error: BaseException | None) -> None:
        duration = 1000 * (time.perf_counter() - self._started)
        logger.debug(
            "%s: %s in %.1f ms, %d statements, %d rows",
            self,
            "done" if error is None else f"failed ({type(error).__name__})",
            duration,
            self.trace.statements,
            self.trace.rows,
            extra={
                "operation": self.name,
                "thread_id": self.thread_id,
                "checkpoint_ns": self.checkpoint_ns,
                "table": self.table,
                "duration_ms": duration,
                "statements": self.trace.statements,
                "rows": self.trace.rows,
                "retries": self.trace.retries,
            },
        )

    def _wrapped(self, error: psycopg.Error) -> SnapshotError:
        wrapped: SnapshotError
        without_values(error)
        if isinstance(error, (PoolTimeout, TooManyRequests)):
            wrapped = ConnectionUnavailableError(f"{self}: no connection could be had: {error}")
        elif isinstance(error, PoolClosed):
            wrapped = ConnectionUnavailableError(
                f"{self}: {error}; a pool that is passed in has to be opened by the application"
            )
        elif isinstance(
            error,
            # (The latter: a key has a tenant, or has none.)
            (psycopg.errors.UndefinedTable, psycopg.errors.InvalidColumnReference),
        ):
            wrapped = SchemaError(
                f"{self}: {error.diag.message_primary}; the tables are not there (or not in the "
                "search_path, or made for tenants and the saver has none, or the other way round): "
                "call setup(), or leave auto_setup on"
            )
        elif is_not_kept_apart(error):
            wrapped = TenantError(f"{self}: {NOT_KEPT_APART}")
        elif isinstance(error, psycopg.errors.InsufficientPrivilege):
            wrapped = StorageError(
                f"{self}: {error.diag.message_primary}; the role needs SELECT, INSERT, UPDATE and "
                "DELETE on the saver's tables, and whoever calls setup() may create them"
            )
        else:
            wrapped = StorageError(f"{self}: {type(error).__name__}: {error}")
        wrapped.located = True
        return wrapped

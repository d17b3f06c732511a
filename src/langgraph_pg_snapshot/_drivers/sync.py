"""Runs plans on sync connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import Pipeline
from psycopg.rows import tuple_row

from langgraph_pg_snapshot._drivers.attempts import Attempts, marked
from langgraph_pg_snapshot._drivers.faults import caused_by, check_idle
from langgraph_pg_snapshot._drivers.parameters import untyped
from langgraph_pg_snapshot._drivers.pooled import (
    WHICH_PROCESS,
    is_pooled,
    note_pooled,
    note_process,
)
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Rows, Step, Stmt

T = TypeVar("T")
Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Conduct:
    """How drivers behave towards the server.

    Attributes:
        deadline: How long a statement or transaction may take with all its tries, in seconds; None
            is without end.
        pooler: Whether connections lead by a pooler to another server process each time, so that
            nothing can be prepared; None is to find out.
        opening: A statement that every transaction begins with, in the same round trip, unless it
            is about the schema; None is none. (It says for one transaction what may not stay: the
            connection may be anybody's.)
    """

    deadline: float | None = None
    pooler: bool | None = None
    opening: Stmt | None = None

    def allowed(self, step: Stmt | Atomic) -> float | None:
        """How long a step may take with all its tries, in seconds; None is without end."""
        if step.takes_long:
            return None
        within = step.within if isinstance(step, Stmt) else None
        if within is None or self.deadline is None:
            return self.deadline if within is None else within
        return min(self.deadline, within)


class Connections(Protocol):
    """Where a driver gets connections."""

    def connection(self, attempts: Attempts) -> AbstractContextManager[Connection]: ...
    def recover(self) -> None: ...
    def close(self) -> None: ...


class SyncDriver:
    """Each statement or transaction borrows a connection for as long as it takes."""

    def __init__(self, connections: Connections, conduct: Conduct) -> None:
        self.connections = connections
        self.conduct = conduct

    def run(self, plan: Callable[[], Plan[T]], trace: Trace) -> T:
        """Run a plan to its end."""
        steps = plan()
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self._answer(step, trace)

    def _answer(self, step: Step, trace: Trace) -> Any:
        if isinstance(step, Heavy):
            return None
        opening = None if step.of_schema else self.conduct.opening
        attempts = Attempts(self.conduct.allowed(step))
        while True:
            try:
                with self.connections.connection(attempts) as conn:
                    check_idle(conn.pgconn.transaction_status)
                    if self.conduct.pooler is not None:
                        note_pooled(conn, self.conduct.pooler)
                    answer = (
                        _on_its_own(conn, step, opening, trace)
                        if isinstance(step, Stmt)
                        else _in_transaction(conn, step, opening, trace)
                    )
                    return marked(answer, attempts)
            except psycopg.Error as error:  # noqa: PERF203 -- beside a statement it costs nothing
                pause = attempts.pause_after(error)
                trace.retry(error)
                time.sleep(pause)  # first: what is found alive afterwards may be so no more
                with caused_by(error):
                    self.connections.recover()


def _on_its_own(conn: Connection, stmt: Stmt, opening: Stmt | None, trace: Trace) -> Rows:
    if conn.autocommit:
        return _execute(conn, stmt, trace, opening)
    with conn.transaction():
        return _execute(conn, stmt, trace, opening)


def _in_transaction(conn: Connection, atomic: Atomic, opening: Stmt | None, trace: Trace) -> Any:
    with conn.transaction():
        conn.execute(atomic.isolation, prepare=False)
        if opening is not None:
            _execute(conn, opening, Trace())
        steps = atomic.plan()
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = _execute(conn, step, trace) if isinstance(step, Stmt) else None


def _execute(conn: Connection, stmt: Stmt, trace: Trace, opening: Stmt | None = None) -> Rows:
    # Without parameters it may be a script, which can't be prepared nor have binary results.
    single = stmt.params is not None
    pooled = is_pooled(conn)
    if single and pooled is None:
        first = psycopg.Cursor(conn, row_factory=tuple_row)
        first.execute(WHICH_PROCESS, prepare=False)
        pooled = note_process(conn, first.fetchone())
    prepare = None if single and not pooled else False
    params = None if stmt.params is None else untyped(stmt.params)
    # Not conn.cursor(): the application may have chosen another row or cursor factory. Made now, as
    # it knows what the connection knew when it was first used (see introduce).
    cursor = psycopg.Cursor(conn, row_factory=tuple_row)
    if opening is None:
        cursor.execute(stmt.query, params, prepare=prepare, binary=single)
    else:
        # One round trip, and one transaction, where none was begun.
        with conn.pipeline() if Pipeline.is_supported() else conn.transaction():
            first = psycopg.Cursor(conn)
            first.execute(opening.query, opening.params, prepare=prepare)
            cursor.execute(stmt.query, params, prepare=prepare, binary=single)
    rows = Rows(cursor.fetchall() if has_rows(cursor) else ())
    trace.statement(cursor.rowcount)
    return rows


def has_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    """Whether a statement returns rows.

    The cursor's `description` tells, too, but describes every column for that.
    """
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0

"""Runs plans on sync connections."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.rows import tuple_row

from langgraph_pg_snapshot._drivers.faults import ATTEMPTS, caused_by, check_idle, is_transient
from langgraph_pg_snapshot._drivers.trace import Trace
from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Row, Step, Stmt

T = TypeVar("T")
Connection = psycopg.Connection[Any]


class Connections(Protocol):
    """Where a driver gets connections."""

    def connection(self) -> AbstractContextManager[Connection]: ...
    def recover(self) -> None: ...
    def close(self) -> None: ...


class SyncDriver:
    """Each statement or transaction borrows a connection for as long as it takes."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections

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
        if isinstance(step, Stmt):
            return self._with_connection(lambda conn: _on_its_own(conn, step, trace), trace)
        if isinstance(step, Atomic):
            return self._with_connection(lambda conn: _in_transaction(conn, step, trace), trace)
        return None

    def _with_connection(self, work: Callable[[Connection], Any], trace: Trace) -> Any:
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                with self.connections.connection() as conn:
                    check_idle(conn.info.transaction_status)
                    return work(conn)
            except psycopg.Error as error:  # noqa: PERF203 -- beside a statement it costs nothing
                if not attempts_left or not is_transient(error):
                    raise
                trace.retry(error)
                with caused_by(error):
                    self.connections.recover()
        raise AssertionError("unreachable")


def _on_its_own(conn: Connection, stmt: Stmt, trace: Trace) -> list[Row]:
    if conn.autocommit:
        return _execute(conn, stmt, trace)
    with conn.transaction():
        return _execute(conn, stmt, trace)


def _in_transaction(conn: Connection, atomic: Atomic, trace: Trace) -> Any:
    with conn.transaction():
        conn.execute(atomic.isolation)
        steps = atomic.plan()
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            answer = _execute(conn, step, trace) if isinstance(step, Stmt) else None


def _execute(conn: Connection, stmt: Stmt, trace: Trace) -> list[Row]:
    # Not conn.cursor(): the application may have chosen another row or cursor factory.
    with psycopg.Cursor(conn, row_factory=tuple_row) as cursor:
        # Without parameters it may be a script, which can't be prepared nor have binary results.
        single = stmt.params is not None
        cursor.execute(stmt.query, stmt.params, prepare=None if single else False, binary=single)
        rows = cursor.fetchall() if cursor.description else []
        trace.statement(cursor.rowcount)
        return rows

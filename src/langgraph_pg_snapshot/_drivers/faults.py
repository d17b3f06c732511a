"""Which failures are the connection's or the moment's, so that the same work succeeds elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from langgraph_pg_snapshot.errors import ConnectionUnavailableError, StorageError

_CONFLICTS = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
    }
)
_RETRIED_STATES = _CONFLICTS | {
    "57P01",  # admin_shutdown: the backend was terminated
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now: the server is starting up or shutting down
    "57P05",  # idle_session_timeout
    "25P03",  # idle_in_transaction_session_timeout: we were held up
    "53300",  # too_many_connections
    "25006",  # read_only_sql_transaction: a primary that has just become a standby
}


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""


def is_conflict(error: psycopg.Error) -> bool:
    """Whether another transaction was in the way, rather than the connection at fault."""
    return error.sqlstate in _CONFLICTS


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed on another connection, or a moment later."""
    if isinstance(error, (PoolTimeout, PoolClosed, TooManyRequests, NoAnswerError)):
        return False
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):  # no OperationalError
        return True
    if isinstance(error, psycopg.InterfaceError):
        return "connection is closed" in str(error) or "connection is lost" in str(error)
    if isinstance(error, psycopg.errors.FeatureNotSupported):
        # The schema was migrated under a prepared statement (PostgreSQL says so once).
        return "cached plan" in str(error)
    if isinstance(error, psycopg.OperationalError):
        state = error.sqlstate
        return state is None or state in _RETRIED_STATES or state.startswith("08")
    return False


def check_idle(status: int) -> None:
    """Refuse to write into a transaction that someone else began.

    Raises:
        StorageError: A transaction is open: what was stored would vanish with a rollback.
    """
    if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        raise StorageError(
            "the connection that was passed in is inside a transaction that the saver did not "
            "begin: what it stores would last only if that is committed. Commit or roll back "
            "first, or give the saver a connection of its own, a pool or a conninfo"
        )


@contextmanager
def caused_by(error: psycopg.Error) -> Iterator[None]:
    """Have an error of ours name the driver's error that led to it as its cause."""
    try:
        yield
    except ConnectionUnavailableError as lost:
        raise lost from error


def given_connection_is_lost() -> ConnectionUnavailableError:
    """The error for a bare connection that died."""
    return ConnectionUnavailableError(
        "the connection that was passed in is closed, and only its owner can replace it; pass a "
        "conninfo or a pool instead, and dead connections are replaced"
    )


def given_connection_is_busy() -> ConnectionUnavailableError:
    """The error for a bare connection that others have in use all the time."""
    return ConnectionUnavailableError(
        "the connection that was passed in was in use for the whole of the time (deadline=); pass "
        "a conninfo or a pool instead, and several calls run at once"
    )

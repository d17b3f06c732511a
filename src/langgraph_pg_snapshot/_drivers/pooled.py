"""Whether a connection leads to one server process, or by a pooler to another one each time.

A statement that was prepared in one process does not exist in the next, or is another client's of
the same name: PgBouncer before 1.21, in transaction mode, runs that one.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from langgraph_pg_snapshot._drivers.parameters import introduce
from langgraph_pg_snapshot._plans.steps import Row

Connection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

# Asked once a connection. A pooler makes up the number that it tells at the start, because it
# takes requests to cancel by it: it is not that of the process which answers.
WHICH_PROCESS = "SELECT pg_backend_pid()"

_pooled: MutableMapping[Connection, bool] = WeakKeyDictionary()


def is_pooled(conn: Connection) -> bool | None:
    """Whether there is a pooler between; None: not asked yet."""
    return _pooled.get(conn)


def note_pooled(conn: Connection, pooled: bool) -> None:  # noqa: FBT001 -- a fact, no option
    """Remember whether there is; a connection that is new here learns our parameters, too."""
    if conn not in _pooled:
        introduce(conn)
    _pooled[conn] = pooled


def note_process(conn: Connection, row: Row | None) -> bool:
    """Conclude from the answer to WHICH_PROCESS whether there is."""
    pooled = row is None or row[0] != conn.info.backend_pid
    note_pooled(conn, pooled)
    return pooled

"""Having a thread for oneself: a row that is taken, renewed, and given back.

Who stores something while he has it names its token, and the statement stores nothing if the thread
was taken by another since.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from langgraph_pg_snapshot._plans.steps import Plan, Rows, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import LeaseLostError


class Taken(NamedTuple):
    """What came of trying to take a thread.

    Attributes:
        token: The lease's, if it was taken.
        holder: Who has it, if that is known.
        held_for: Since when he has it, in seconds.
    """

    token: int | None
    holder: str | None
    held_for: float | None


def take_lease(store: Store, thread_id: str, holder: str, ttl: timedelta) -> Plan[Taken]:
    """Take a thread, if nobody has it."""
    params = {"thread_id": thread_id, "holder": holder, "ttl": ttl}
    [row] = yield Stmt(store.queries("take_lease"), params)
    return Taken(*row)


def renew_lease(
    store: Store, thread_id: str, token: int, ttl: timedelta, within: float
) -> Plan[bool]:
    """Hold it for longer, in so many seconds or not at all; returns whether it is still held."""
    params = {"thread_id": thread_id, "lease": token, "ttl": ttl}
    return bool((yield Stmt(store.queries("renew_lease"), params, within=within)))


def give_lease_back(store: Store, thread_id: str, holder: str) -> Plan[bool]:
    """Let others have it; returns whether it was held to the end."""
    params = {"thread_id": thread_id, "holder": holder}
    rows: Rows = yield Stmt(store.queries("give_lease_back"), params)
    # An earlier run of the statement may have left nothing to find.
    return bool(rows) or rows.again


def lost_lease(thread_id: str, token: int) -> LeaseLostError:
    """The error of who does not have a thread any more."""
    error = LeaseLostError(
        f"thread {thread_id!r} was held with token {token}, and is not any more: the block has "
        "ended, or its lease was not renewed in time (ttl=) and another block took the thread. "
        "What comes after that is not stored. Do the turn again in a new block; if the process "
        "was not stopped, a longer ttl= or an event loop that is not blocked keeps it from "
        "happening"
    )
    error.thread_id, error.token = thread_id, token
    return error

"""Calls by which a block has a thread for itself, and what of that the current context holds."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import MappingProxyType

from langgraph_pg_snapshot._arguments import check_seconds, check_thread_id
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import lease as leases
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import InvalidArgumentError
from langgraph_pg_snapshot.models import ThreadLease
from langgraph_pg_snapshot.sql import Queries

# What is shorter has expired by the time it is taken, and is renewed without a pause.
SHORTEST_TTL, LONGEST_TTL = 0.1, 86_400.0
_TTLS = f"any from {SHORTEST_TTL:g} to {LONGEST_TTL:,.0f} (a day) will do"


@dataclass
class Holding:
    """A thread that a block has, or had; shared by every copy of the block's context.

    Attributes:
        lease: What it has.
        is_over: Whether the block has ended.
        is_lost: Whether the thread was taken by another meanwhile, as far as is known here.
    """

    lease: ThreadLease
    is_over: bool = False
    is_lost: bool = False


_Key = tuple[Queries, str]  # clones of a saver share their Queries

# LangGraph runs nodes and the saver in copies of the context in which a graph was called. What is
# there is replaced and never changed: the copies of others are to keep theirs.
_holdings: ContextVar[Mapping[_Key, Holding]] = ContextVar(
    "langgraph_pg_snapshot_holdings", default=MappingProxyType({})
)


def holding_of(store: Store, thread_id: str) -> Holding | None:
    """What the block around the caller holds, also if it has ended while he goes on."""
    return _holdings.get().get((store.queries, thread_id))


def held_token(store: Store, thread_id: str) -> int | None:
    """The token with which what the caller stores is to be refused if the lease was lost."""
    holding = holding_of(store, thread_id)
    return None if holding is None else holding.lease.token


def note_holding(store: Store, holding: Holding) -> None:
    """Have what this context stores in the thread go with the lease."""
    key = (store.queries, holding.lease.thread_id)
    _holdings.set(MappingProxyType({**_holdings.get(), key: holding}))


def forget_holding(store: Store, holding: Holding) -> bool:
    """The block has ended; returns whether it ends in the context in which it began."""
    holding.is_over = True
    key = (store.queries, holding.lease.thread_id)
    noted = dict(_holdings.get())
    is_here = noted.get(key) is holding
    if is_here:
        del noted[key]
        _holdings.set(MappingProxyType(noted))
    return is_here


def check_ttl(ttl: float) -> timedelta:
    """Return how long a lease lasts without being renewed.

    Raises:
        InvalidArgumentError: It is no number of seconds from 0.1 up to a day.
    """
    seconds = check_seconds("ttl", ttl, f"; {_TTLS}")
    if not SHORTEST_TTL <= seconds <= LONGEST_TTL:
        raise InvalidArgumentError(f"ttl must be a number of seconds, got {seconds:g}; {_TTLS}")
    return timedelta(seconds=seconds)


def check_timeout(timeout: float | None) -> float | None:
    """Return how long to wait for a thread; None is for ever.

    Raises:
        InvalidArgumentError: It is no number of seconds.
    """
    if timeout is None:
        return None
    return check_seconds("timeout", timeout, "; None means no limit", or_0=True)


def take(store: Store, thread_id: str, holder: str, ttl: timedelta) -> Call[leases.Taken]:
    """Try to take a thread."""
    return Call(
        _operation(store, thread_id), partial(leases.take_lease, store, thread_id, holder, ttl)
    )


def renew(store: Store, lease: ThreadLease, ttl: timedelta, within: float) -> Call[bool]:
    """Hold it for longer, in so many seconds or not at all."""
    return Call(
        _operation(store, lease.thread_id),
        partial(leases.renew_lease, store, *lease, ttl, within),
    )


def give_back(store: Store, thread_id: str, holder: str) -> Call[bool]:
    """Let others have it."""
    return Call(
        _operation(store, thread_id), partial(leases.give_lease_back, store, thread_id, holder)
    )


def checked_thread(thread_id: str) -> str:
    """Return a thread's id.

    Raises:
        InvalidArgumentError: It is not usable.
    """
    return check_thread_id(thread_id)


def _operation(store: Store, thread_id: str) -> Operation:
    return Operation("exclusive", store.queries.label, thread_id)

"""Calls of the methods that look threads up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, get_args

from langgraph_pg_snapshot._arguments import check_id, check_thread_id, shown
from langgraph_pg_snapshot._calls.checks import check_filter, check_limit, operation_on
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import channel as channels
from langgraph_pg_snapshot._plans import directory
from langgraph_pg_snapshot._plans.steps import taking_long
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError
from langgraph_pg_snapshot.listings import CheckpointList, StorageStats, ThreadInfo, ThreadList
from langgraph_pg_snapshot.models import NamespaceKey, Target
from langgraph_pg_snapshot.pictures import HistoryGraph
from langgraph_pg_snapshot.sql import STEP_METADATA


def list_threads(
    store: Store,
    limit: int | None,
    before: ThreadInfo | None,
    filter_: Mapping[str, Any] | None,
    order: directory.Order,
) -> Call[ThreadList]:
    """Read the directory."""
    wanted = check_filter(store, filter_)
    for key in wanted:
        if key in STEP_METADATA:
            raise InvalidArgumentError(
                f"filter has {key!r}, which is of a checkpoint, not of a thread: "
                f"list(config, filter={{{key!r}: …}}) finds checkpoints by it"
            )
    orders = get_args(directory.Order)
    if not isinstance(order, str) or str.__str__(order) not in orders:
        raise InvalidArgumentError(
            f"unknown order {shown(order)}: it is one of {', '.join(map(repr, orders))}"
        )
    listing = directory.Listing(check_limit(limit), _cursor(before), wanted, order)
    return Call(
        Operation("list_threads", store.queries.label),
        partial(directory.list_threads, store, listing),
    )


def _cursor(before: ThreadInfo | None) -> directory.Cursor | None:
    if before is None:
        return None
    if not isinstance(before, ThreadInfo):
        raise ArgumentTypeError(
            f"before must be a ThreadInfo that list_threads gave, got {type(before).__name__}"
        )
    if not isinstance(before.updated_at, datetime) or before.updated_at.tzinfo is None:
        raise ArgumentTypeError(
            "before.updated_at must be a datetime with a time zone, as list_threads gave it"
        )
    return directory.Cursor(
        before.updated_at, check_thread_id(before.thread_id, "before.thread_id")
    )


def history(
    store: Store, thread_id: str, checkpoint_ns: str, limit: int | None, before: str | None
) -> Call[CheckpointList]:
    """Read a thread's history without values."""
    key = _key(thread_id, checkpoint_ns)
    if before is not None:
        before = check_id("before", before)
    return Call(
        operation_on("history", store, key),
        partial(directory.list_history, store, key, check_limit(limit), before),
    )


def history_graph(
    store: Store, thread_id: str, checkpoint_ns: str, limit: int | None
) -> Call[HistoryGraph]:
    """Read what a picture of a thread's history shows."""
    key = _key(thread_id, checkpoint_ns)
    return Call(
        operation_on("history_graph", store, key),
        partial(directory.history_graph, store, key, check_limit(limit)),
    )


def get_channel(
    store: Store,
    thread_id: str,
    channel: str,
    *,
    last: int | None,
    checkpoint_id: str | None,
    checkpoint_ns: str,
    default: Any,
) -> Call[Any]:
    """Read one channel."""
    if checkpoint_id is not None:
        checkpoint_id = check_id("checkpoint_id", checkpoint_id)
    target = Target(_key(thread_id, checkpoint_ns), checkpoint_id)
    channel = check_id("channel", channel)
    last = check_limit(last, "last")
    return Call(
        operation_on("get_channel", store, target.key),
        partial(channels.get_channel, store, target, channel, last, default),
    )


def stats(store: Store) -> Call[StorageStats]:
    """Count what is stored."""
    return Call(
        Operation("stats", store.queries.label),
        partial(taking_long, partial(directory.get_stats, store)),
    )


def _key(thread_id: str, checkpoint_ns: str) -> NamespaceKey:
    return NamespaceKey(check_thread_id(thread_id), check_id("checkpoint_ns", checkpoint_ns))

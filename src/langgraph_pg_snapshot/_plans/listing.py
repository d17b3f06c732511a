"""Listing checkpoints, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple, cast

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_pg_snapshot._plans.columns import dump_members
from langgraph_pg_snapshot._plans.directory import matches
from langgraph_pg_snapshot._plans.fetch import fetch_items
from langgraph_pg_snapshot._plans.layout import Items, load_stored, runs_in
from langgraph_pg_snapshot._plans.pause import collector_paused
from langgraph_pg_snapshot._plans.read import (
    WIDTH,
    CheckpointRow,
    consistently,
    to_tuple,
)
from langgraph_pg_snapshot._plans.runs import count, union
from langgraph_pg_snapshot._plans.steps import Plan, Row, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import DamagedThreadError, SnapshotError
from langgraph_pg_snapshot.models import NamespaceKey, Target

PAGE = 100
# Checkpoints that are built together have so many items, if they are several.
MOST_ITEMS = 4_000


@dataclass(frozen=True)
class Listing:
    """What ``list`` was asked for.

    Attributes:
        target: The thread, and a checkpoint if only that one is wanted; None means every thread.
        any_namespace: Whether every namespace of the thread is wanted.
        filter: Metadata that checkpoints must have; None matches a missing key, too.
        before: Only checkpoints with smaller ids.
        limit: At most so many; None means all.
    """

    target: Target | None
    any_namespace: bool
    filter: Mapping[str, Any]
    before: str | None
    limit: int | None


class _LogKey(NamedTuple):
    thread_id: str
    checkpoint_ns: str
    epoch: int


@dataclass
class Cursor:
    """How far a listing has come, and what it has read on the way.

    Attributes:
        last: The last checkpoint of the page before.
        listed: How many checkpoints were handed out.
        done: Whether the last page was the end.
        items: Items by log, so that a listing of one thread reads each only once.
    """

    last: CheckpointRow | None = None
    listed: int = 0
    done: bool = False
    items: dict[_LogKey, Items] = field(default_factory=dict)


class Entry(NamedTuple):
    """A checkpoint of a page, not yet built."""

    build: Callable[[], CheckpointTuple]
    size: int  # in items


class Page:
    """Checkpoints that were read, and are built a few at a time: all of them are a lot of objects.

    The first one by itself, for who wants no more; then always as many as before, up to so many
    items. (Several in one pause of the garbage collector are 15 % faster: it starts after each
    pause, and walks over what is there for the second time after every tenth start.)
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._built = 0
        self._few = entries[:1]

    @property
    def size(self) -> int:
        """How many items the next few have."""
        return sum(entry.size for entry in self._few)

    def build(self) -> list[CheckpointTuple]:
        """Build the next few; none at the end.

        Raises:
            SnapshotError: The first of them can't be built. (The turn of others comes when those
                before them were taken.)
        """
        found: list[CheckpointTuple] = []
        try:
            with collector_paused:
                for entry in self._few:
                    found.append(entry.build())  # noqa: PERF401 -- those before one that fails stay
        except SnapshotError:
            if not found:
                raise
        self._built += len(found)
        self._few = self._next()
        return found

    def _next(self) -> Sequence[Entry]:
        most = self._entries[self._built : 2 * self._built]
        sizes = accumulate(entry.size for entry in most)
        return most[: max(1, sum(size <= MOST_ITEMS for size in sizes))]


def list_page(store: Store, listing: Listing, cursor: Cursor) -> Plan[list[Entry]]:
    """The next page of a listing, as entries to build one by one; empty at its end.

    Sealed metadata can't be filtered by SQL; then it is filtered here, page by page.
    """
    return (yield from consistently(partial(_list_page, store, listing, cursor)))


def _list_page(store: Store, listing: Listing, cursor: Cursor) -> Plan[list[Entry]]:
    sealed_filter = listing.filter if store.codec.sealing else None
    remaining = PAGE if listing.limit is None else min(PAGE, listing.limit - cursor.listed)
    while not cursor.done and remaining > 0:
        size = PAGE if sealed_filter else remaining
        which, params = _conditions(store, listing, cursor)
        rows = yield Stmt(store.queries("list_checkpoints", *which), params | {"limit": size})
        if listing.target is None:
            cursor.items.clear()
            store = store.uncached
        page = yield from _with_items(store, rows, cursor)
        cursor.done = len(rows) < size
        cursor.last = CheckpointRow(*rows[-1][:WIDTH]) if rows else cursor.last
        if sealed_filter:
            page = [entry for entry in page if _matches(entry.build(), sealed_filter)][:remaining]
        if page:
            cursor.listed += len(page)
            return page
    return []


def _with_items(store: Store, rows: Sequence[Row], cursor: Cursor) -> Plan[list[Entry]]:
    """Read the items of a page.

    Raises:
        DamagedThreadError: Some are not there (any more).
    """
    page = [CheckpointRow(*row[:WIDTH]) for row in rows]
    # The epoch tells a thread from one of the same id that was deleted since the page before.
    logs = [
        _LogKey(row.thread_id, row.checkpoint_ns, full[WIDTH])
        for row, full in zip(page, rows, strict=True)
    ]
    stored = [load_stored(row.channel_values) for row in page]
    runs = [runs_in(values.values()) for values in stored]
    for log in dict.fromkeys(logs):
        items = cursor.items.setdefault(log, Items(store.codec))
        wanted = union(run for k, own in zip(logs, runs, strict=True) if k == log for run in own)
        yield from fetch_items(store, NamespaceKey(*log[:2]), log.epoch, items, wanted)
        if items.missing(wanted):
            raise DamagedThreadError
    return [
        Entry(partial(to_tuple, store, row, values, cursor.items[log]), count(own))
        for row, log, values, own in zip(page, logs, stored, runs, strict=True)
    ]


def _conditions(store: Store, listing: Listing, cursor: Cursor) -> tuple[list[str], dict[str, Any]]:
    which, params = ["which_any"], dict[str, Any]()
    if (target := listing.target) is not None:
        which.append("which_thread")
        params["thread_id"] = target.key.thread_id
        if not listing.any_namespace:
            which.append("which_namespace")
            params["checkpoint_ns"] = target.key.checkpoint_ns
        if target.checkpoint_id:
            which.append("which_checkpoint")
            params["checkpoint_id"] = target.checkpoint_id
    if listing.before is not None:
        which.append("which_before")
        params["before"] = listing.before
    if listing.filter and not store.codec.sealing:
        which.append("which_metadata")
        wanted = {k: v for k, v in listing.filter.items() if v is not None}
        params["filter"] = dump_members(store.codec, listing.filter)
        params["contained"] = dump_members(store.codec, wanted)
    if cursor.last is not None:
        which.append("which_after_cursor")
        params |= {
            "last_checkpoint_id": cursor.last.checkpoint_id,
            "last_thread_id": cursor.last.thread_id,
            "last_checkpoint_ns": cursor.last.checkpoint_ns,
        }
    return which, params


def _matches(found: CheckpointTuple, wanted: Mapping[str, Any]) -> bool:
    return matches(cast("Mapping[str, Any]", found.metadata), wanted)

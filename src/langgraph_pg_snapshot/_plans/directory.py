"""The directory of threads, their history, and what they take: all without their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from langgraph_pg_snapshot._plans.codec import Blob, parse_json
from langgraph_pg_snapshot._plans.columns import dump_members, load_metadata, load_sealed
from langgraph_pg_snapshot._plans.state import is_state
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Row, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import about
from langgraph_pg_snapshot.listings import (
    CheckpointInfo,
    CheckpointList,
    StorageStats,
    TableSize,
    ThreadInfo,
    ThreadList,
    ThreadSize,
)
from langgraph_pg_snapshot.models import NamespaceKey
from langgraph_pg_snapshot.pictures import HistoryGraph, HistoryStep
from langgraph_pg_snapshot.sql import RELATIONS

# As in the statements, which say why it stands there.
PAGE = 1_000
# Up to this many threads that match a filter are sorted for each page; where they are more, the
# directory is gone through until there are enough for the page.
FEW = 10_000
# Decoding the metadata of this many threads takes a millisecond or so.
HEAVY = 100

Order: TypeAlias = Literal["newest", "oldest"]


class Cursor(NamedTuple):
    """The place of a thread in the directory."""

    updated_at: datetime
    thread_id: str


@dataclass(frozen=True)
class Listing:
    """What ``list_threads`` was asked for.

    Attributes:
        limit: At most so many; None means all.
        before: Only threads that follow this place.
        filter: Metadata that threads must have; None matches a missing key, too.
        order: By ``updated_at``.
    """

    limit: int | None
    before: Cursor | None
    filter: Mapping[str, Any]
    order: Order


class _ThreadRow(NamedTuple):
    thread_id: str
    created_at: datetime
    updated_at: datetime
    checkpoints: int
    said: str | None
    metadata: str | None  # of the newest checkpoint, as the next two
    sealed_type: str | None
    sealed: bytes | None


class _HistoryRow(NamedTuple):
    checkpoint_id: str
    parent_checkpoint_id: str | None
    created_at: datetime
    metadata: str
    sealed_type: str | None
    sealed: bytes | None
    updated: str | None  # channels


def list_threads(store: Store, listing: Listing) -> Plan[ThreadList]:
    """Threads with what their runs said of them, in order: one statement a thousand."""
    if store.codec.sealing and listing.filter:
        return (yield from _list_filtered(store, listing))
    if listing.limit is not None and listing.limit <= PAGE:
        rows = yield from _list_page(store, listing, listing.before, listing.limit)
    else:
        # In one snapshot, or a thread that is updated meanwhile could move and be missed.
        rows = yield Atomic(partial(_list_pages, store, listing), one_snapshot=True)
    if len(rows) > HEAVY:
        yield Heavy()
    return ThreadList(_thread_info(store, row) for row in rows)


def _list_pages(store: Store, listing: Listing) -> Plan[list[_ThreadRow]]:
    listed: list[_ThreadRow] = []
    before = listing.before
    while True:
        size = PAGE if listing.limit is None else min(PAGE, listing.limit - len(listed))
        page = yield from _list_page(store, listing, before, size)
        listed += page
        if len(page) < PAGE:
            return listed
        before = Cursor(page[-1].updated_at, page[-1].thread_id)


def _list_filtered(store: Store, listing: Listing) -> Plan[ThreadList]:
    """The same where metadata is sealed and SQL can't filter it: done here, page by page."""
    listed: list[ThreadInfo] = []
    before = listing.before
    while listing.limit is None or len(listed) < listing.limit:
        page = yield from _list_page(store, listing, before, PAGE)
        yield Heavy()
        threads = (_thread_info(store, row) for row in page)
        listed += [each for each in threads if matches(each.metadata, listing.filter)]
        if len(page) < PAGE:
            break
        before = Cursor(page[-1].updated_at, page[-1].thread_id)
    return ThreadList(listed[: listing.limit])


def _list_page(
    store: Store, listing: Listing, before: Cursor | None, limit: int
) -> Plan[list[_ThreadRow]]:
    """At most a thousand; where there is a filter, a look at how many match it comes first."""
    which, params = ["which_any"], dict[str, Any](limit=limit)
    if before is not None:
        which.append("which_older" if listing.order == "newest" else "which_newer")
        params |= {"last_updated_at": before.updated_at, "last_thread_id": before.thread_id}
    if listing.filter and not store.codec.sealing:
        wanted = {key: value for key, value in listing.filter.items() if value is not None}
        if absent := [key for key in listing.filter if key not in wanted]:
            which.append("which_unsaid")
            params["absent"] = absent
        if wanted:
            params["contained"] = dump_members(store.codec, wanted)
            [(matching,)] = yield Stmt(store.queries("count_said"), params)
            which.append("which_said_of_few" if matching <= FEW else "which_said_of_many")
    rows = yield Stmt(store.queries(f"list_threads_{listing.order}", *which), params)
    return [_ThreadRow(*row) for row in rows]


def _thread_info(store: Store, row: _ThreadRow) -> ThreadInfo:
    with about(f"metadata of thread {row.thread_id!r}"):
        said = load_metadata(store.codec, row.said or "{}")
        newest = metadata_of(store, row.metadata or "{}", row.sealed_type, row.sealed)
    return ThreadInfo(
        row.thread_id, row.created_at, row.updated_at, row.checkpoints, {**said, **newest}
    )


def list_history(
    store: Store, key: NamespaceKey, limit: int | None, before: str | None
) -> Plan[CheckpointList]:
    """Checkpoints of a namespace without their values, newest first: one statement."""
    which = "which_any" if before is None else "which_before"
    rows = yield Stmt(
        store.queries("history", which), {**key._asdict(), "limit": limit, "before": before}
    )
    if len(rows) > HEAVY:
        yield Heavy()
    return CheckpointList(
        _checkpoint_info(store, key.checkpoint_ns, _HistoryRow(*row)) for row in rows
    )


def _checkpoint_info(store: Store, checkpoint_ns: str, row: _HistoryRow) -> CheckpointInfo:
    with about(f"checkpoint {row.checkpoint_id!r}"):
        metadata = metadata_of(store, row.metadata, row.sealed_type, row.sealed)
        updated = parse_json(row.updated) if row.updated else None
        channels = store.codec.snapshot.decode(updated)
    step, source = metadata.get("step"), metadata.get("source")
    return CheckpointInfo(
        checkpoint_ns,
        row.checkpoint_id,
        row.parent_checkpoint_id,
        row.created_at,
        step if isinstance(step, int) else None,
        source if isinstance(source, str) else None,
        None if channels is None else [channel for channel in channels if is_state(channel)],
        metadata,
    )


def history_graph(store: Store, key: NamespaceKey, limit: int | None) -> Plan[HistoryGraph]:
    """What happened at a namespace's newest checkpoints: one statement."""
    rows = yield Stmt(store.queries("history_steps"), {**key._asdict(), "limit": limit})
    if len(rows) > HEAVY:
        yield Heavy()
    steps = [_history_step(row[1:]) for row in rows if row[1] is not None]
    return HistoryGraph(key.thread_id, key.checkpoint_ns, steps, rows[0][0] - len(steps))


def _history_step(row: Row) -> HistoryStep:
    step = HistoryStep(*row)
    with about(f"checkpoint {step.checkpoint_id!r}"):
        asked = row[HistoryStep._fields.index("interrupts")]
        return step._replace(interrupts=parse_json(asked) if asked is not None else [])


def get_stats(store: Store) -> Plan[StorageStats]:
    """Counts and sizes: one statement for the tables, one that reads every row."""
    sizes = yield Stmt(
        store.queries("table_sizes"),
        {"names": [store.queries.relations[table] for table in RELATIONS]},
    )
    rows = yield Stmt(store.queries("largest_threads"), {})
    threads, checkpoints, items, writes = rows[0][5:] if rows else (0, 0, 0, 0)
    return StorageStats(
        threads,
        checkpoints,
        items,
        writes,
        tables=[TableSize(*size) for size in sizes],
        largest_threads=[ThreadSize(*row[:5]) for row in rows],
    )


def metadata_of(
    store: Store, text: str, sealed_type: str | None, sealed: bytes | None
) -> dict[str, Any]:
    """A checkpoint's metadata, what is sealed of it as well."""
    metadata = load_metadata(store.codec, text)
    if sealed is not None:
        metadata |= load_sealed(store.codec, Blob(cast("str", sealed_type), sealed))[0]
    return metadata


def matches(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether metadata has these values, None matching a missing key, too; as SQL sees it.

    (There, True is not 1.)
    """
    return all(
        metadata.get(key) == value
        and isinstance(metadata.get(key), bool) is isinstance(value, bool)
        for key, value in wanted.items()
    )

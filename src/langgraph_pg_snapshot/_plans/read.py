"""Reading checkpoints: one, a page of them, or what a DeltaChannel is rebuilt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
)
from langgraph.checkpoint.serde.types import TASKS

from langgraph_pg_snapshot._plans.codec import Blob, dump_unordered
from langgraph_pg_snapshot._plans.layout import Items, layout_of, load_stored, runs_in
from langgraph_pg_snapshot._plans.put import digests_by_item
from langgraph_pg_snapshot._plans.runs import Run, count, numbers_of, union
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot.errors import DamagedThreadError, about
from langgraph_pg_snapshot.models import NamespaceKey, Target

# A thread that is pruned between two statements of a read is read again, this often at the most.
MAX_TRIES = 3
PAGE = 100


class CheckpointRow(NamedTuple):
    """The columns that get_checkpoint and list_checkpoints have in common."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    parent_checkpoint_id: str | None
    header: str
    metadata: str
    sealed_type: str | None
    sealed: bytes | None
    channel_values: str
    writes: str | None
    write_blobs: list[bytes] | None
    sends: str | None
    send_blobs: list[bytes] | None


WIDTH = len(CheckpointRow._fields)


def get_checkpoint(store: Store, target: Target) -> Plan[CheckpointTuple | None]:
    """Read one checkpoint with its pending writes: one statement, or two in a log of many items."""
    key = target.key
    params = {
        "thread_id": key.thread_id,
        "checkpoint_ns": key.checkpoint_ns,
        "checkpoint_id": target.checkpoint_id,
    }
    which = "which_checkpoint" if target.checkpoint_id else "which_newest"
    for last_try in (False, False, True):
        rows = yield Stmt(store.queries("get_checkpoint", which), params)
        if not rows:
            return None
        row = CheckpointRow(*rows[0][:WIDTH])
        epoch, appended, next_items, is_near, *item_columns = rows[0][WIDTH:]
        stored = load_stored(row.channel_values)
        runs = runs_in(stored.values())
        items = Items(store.codec)
        if is_near:
            take_items(items, item_columns, runs)
        else:
            yield from fetch_items(store, key, items, runs)
        try:
            found = to_tuple(store, row, stored, items)
        except DamagedThreadError:
            if last_try:
                raise
            continue
        store.known.learn(
            key,
            epoch=epoch,
            appended=appended,
            next_items=orjson.loads(next_items),
            digests=items.digests,
            checkpoint_id=row.checkpoint_id,
            layout=layout_of(orjson.loads(row.header)["channel_versions"], stored),
        )
        return found
    raise AssertionError("unreachable")


def fetch_items(store: Store, key: NamespaceKey, items: Items, runs: Sequence[Run]) -> Plan[None]:
    """Read those items of disjoint runs that were not read yet."""
    if wanted := items.missing(runs):
        [row] = yield Stmt(
            store.queries("get_items"),
            {
                "thread_id": key.thread_id,
                "checkpoint_ns": key.checkpoint_ns,
                "starts": [first for first, _ in wanted],
                "ends": [beyond for _, beyond in wanted],
            },
        )
        take_items(items, row, wanted)


def take_items(items: Items, columns: Sequence[Any], runs: Sequence[Run]) -> None:
    """Take in items as the ``item_columns`` of a statement bring them."""
    json_text, digests, blob_ids, blob_types, blobs = columns
    trees = orjson.loads(json_text) if json_text else []
    by_blob = dict(zip(blob_ids or (), map(Blob, blob_types or (), blobs or ()), strict=True))
    numbers = list(numbers_of(runs))
    if len(numbers) != len(trees) + len(by_blob):
        # Some are missing; without numbers beside them, the others can't be told apart.
        return
    items.digests.update(digests_by_item(digests, numbers))
    items.trees.update(by_blob)
    items.trees.update(zip((n for n in numbers if n not in by_blob), trees, strict=True))


def to_tuple(
    store: Store, row: CheckpointRow, stored: Mapping[str, Any], items: Items
) -> CheckpointTuple:
    """Build what LangGraph is handed.

    Raises:
        DamagedThreadError: An item that the checkpoint names was not found.
    """
    snapshot = store.codec.snapshot
    header = snapshot.decode(orjson.loads(row.header))
    metadata = snapshot.decode(orjson.loads(row.metadata))
    if row.sealed is not None:
        sealed, _ = store.codec.load_blob(Blob(cast("str", row.sealed_type), row.sealed))
        header.update(sealed["header"])
        metadata.update(sealed["metadata"])
    values = {}
    for channel, value in stored.items():
        with about(f"channel {channel!r}"):
            values[channel] = items.value(value)
    if sends := load_writes(store, row.sends, row.send_blobs):
        _adopt_sends(header, values, sends)
    return CheckpointTuple(
        config=config_of(row, row.checkpoint_id),
        checkpoint=cast(
            "Checkpoint", {**header, "id": row.checkpoint_id, "channel_values": values}
        ),
        metadata=cast("CheckpointMetadata", metadata),
        parent_config=(
            config_of(row, row.parent_checkpoint_id) if row.parent_checkpoint_id else None
        ),
        pending_writes=load_writes(store, row.writes, row.write_blobs),
    )


def config_of(row: CheckpointRow, checkpoint_id: str) -> RunnableConfig:
    """The config that names a checkpoint, with all three of its keys."""
    return {
        "configurable": {
            "thread_id": row.thread_id,
            "checkpoint_ns": row.checkpoint_ns,
            "checkpoint_id": checkpoint_id,
        }
    }


def load_writes(
    store: Store, text: str | None, blobs: Sequence[bytes] | None
) -> list[PendingWrite]:
    """Writes as the ``write_columns`` of a statement bring them."""
    remaining = iter(blobs or ())
    writes: list[PendingWrite] = []
    for task_id, channel, tree, blob_type in orjson.loads(text or "[]"):
        with about(f"write to channel {channel!r}"):
            value = (
                store.codec.snapshot.decode(tree)
                if blob_type is None
                else store.codec.load_blob(Blob(blob_type, next(remaining)))[0]
            )
        writes.append((task_id, channel, value))
    return writes


def _adopt_sends(
    header: dict[str, Any], values: dict[str, Any], sends: Sequence[PendingWrite]
) -> None:
    """Before format 4, the sends that a parent wrote are its child's TASKS channel."""
    versions = header["channel_versions"]
    values[TASKS] = [value for _, _, value in sends]
    versions[TASKS] = max(versions.values()) if versions else next_version(None)


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
    filter: Mapping[str, Any] | None
    before: str | None
    limit: int | None


@dataclass
class Cursor:
    """How far a listing has come, and what it has read on the way.

    Attributes:
        last: The last checkpoint of the page before.
        listed: How many checkpoints were handed out.
        done: Whether the last page was the end.
        items: Items by namespace, so that a listing of one thread reads each only once.
    """

    last: CheckpointRow | None = None
    listed: int = 0
    done: bool = False
    items: dict[NamespaceKey, Items] = field(default_factory=dict)


class Entry(NamedTuple):
    """A checkpoint of a page, not yet built: a page of long threads is a lot of objects."""

    build: Callable[[], CheckpointTuple]
    size: int  # in items


def list_page(store: Store, listing: Listing, cursor: Cursor) -> Plan[list[Entry]]:
    """The next page of a listing, as entries to build one by one; empty at its end.

    Sealed metadata can't be filtered by SQL; then it is filtered here, page by page.
    """
    sealed_filter = listing.filter if store.codec.sealing else None
    remaining = PAGE if listing.limit is None else min(PAGE, listing.limit - cursor.listed)
    while not cursor.done and remaining > 0:
        size = PAGE if sealed_filter else remaining
        which, params = _conditions(store, listing, cursor)
        rows = yield Stmt(store.queries("list_checkpoints", *which), params | {"limit": size})
        if listing.target is None:
            cursor.items.clear()
        page = yield from _with_items(store, [CheckpointRow(*row) for row in rows], cursor)
        if page is None:
            continue  # pruned between two statements: read the page again
        cursor.done = len(rows) < size
        cursor.last = CheckpointRow(*rows[-1]) if rows else cursor.last
        if sealed_filter:
            page = [entry for entry in page if _matches(entry.build(), sealed_filter)][:remaining]
        if page:
            cursor.listed += len(page)
            return page
    return []


def _with_items(
    store: Store, rows: Sequence[CheckpointRow], cursor: Cursor
) -> Plan[list[Entry] | None]:
    """Read the items of a page; None if some were removed since the page was read."""
    places = [(NamespaceKey(row.thread_id, row.checkpoint_ns), row) for row in rows]
    stored = [load_stored(row.channel_values) for row in rows]
    runs = [runs_in(values.values()) for values in stored]
    for key in dict.fromkeys(key for key, _ in places):
        items = cursor.items.setdefault(key, Items(store.codec))
        wanted = union(
            run for (k, _), own in zip(places, runs, strict=True) if k == key for run in own
        )
        yield from fetch_items(store, key, items, wanted)
        if items.missing(wanted):
            cursor.items.clear()
            return None
    return [
        Entry(partial(to_tuple, store, row, values, cursor.items[key]), count(own))
        for (key, row), values, own in zip(places, stored, runs, strict=True)
    ]


def _conditions(store: Store, listing: Listing, cursor: Cursor) -> tuple[list[str], dict[str, Any]]:
    which, params = ["which_newest"], dict[str, Any]()
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
        params["filter"] = dump_unordered(store.codec, dict(listing.filter))
        params["contained"] = dump_unordered(store.codec, wanted)
    if cursor.last is not None:
        which.append("which_after_cursor")
        params |= {
            "last_checkpoint_id": cursor.last.checkpoint_id,
            "last_thread_id": cursor.last.thread_id,
            "last_checkpoint_ns": cursor.last.checkpoint_ns,
        }
    return which, params


def _matches(found: CheckpointTuple, wanted: Mapping[str, Any]) -> bool:
    metadata = cast("Mapping[str, Any]", found.metadata)
    return all(metadata.get(key) == value for key, value in wanted.items())


def get_delta_history(
    store: Store, target: Target, channels: Sequence[str]
) -> Plan[dict[str, DeltaChannelHistory]]:
    """What DeltaChannels of a checkpoint are rebuilt from.

    One statement walks the ancestors, one more reads the items of the values that it ends at.
    Follows parents, not time. For each channel: the writes of ancestors, oldest first, back to and
    including the nearest one that holds a value, and that value as ``seed``.
    """
    key = target.key
    which = "which_checkpoint" if target.checkpoint_id else "which_newest"
    params = {
        "thread_id": key.thread_id,
        "checkpoint_ns": key.checkpoint_ns,
        "checkpoint_id": target.checkpoint_id,
        "channels": list(channels),
    }
    for last_try in (False, False, True):
        rows = yield Stmt(store.queries("get_delta_history", which), params)
        seeds: dict[str, Any] = {}
        writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        for _, stored, texts, blobs in rows:  # nearest ancestor first
            for write in reversed(load_writes(store, texts, blobs)):
                writes[write[1]].append(write)
            for channel, value in load_stored(stored or "{}").items():
                seeds.setdefault(channel, value)
        items = Items(store.codec)
        yield from fetch_items(store, key, items, runs_in(seeds.values()))
        values = {}
        try:
            for channel, seed in seeds.items():
                with about(f"channel {channel!r}"):
                    values[channel] = items.value(seed)
        except DamagedThreadError:
            if last_try:
                raise
            continue
        break
    history: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        history[channel] = {"writes": writes[channel][::-1]}
        if channel in values:
            history[channel]["seed"] = values[channel]
    return history

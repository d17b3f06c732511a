"""Reading a checkpoint, and building what LangGraph is handed from its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
)
from langgraph.checkpoint.serde.types import TASKS

from langgraph_pg_snapshot._addressed import AddressedId
from langgraph_pg_snapshot._plans.codec import Blob, parse_json
from langgraph_pg_snapshot._plans.columns import load_header, load_metadata, load_sealed
from langgraph_pg_snapshot._plans.fetch import fetch_items, take_items
from langgraph_pg_snapshot._plans.layout import Items, layout_of, load_stored, runs_in
from langgraph_pg_snapshot._plans.pause import collector_paused
from langgraph_pg_snapshot._plans.runs import count, multirange, numbers_of
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Stmt, T
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot._plans.weight import HEAVY
from langgraph_pg_snapshot.errors import DamagedThreadError, SnapshotError, about
from langgraph_pg_snapshot.models import Target


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


def consistently(read: Callable[[], Plan[T]]) -> Plan[T]:
    """Run a read of several statements; again in one snapshot, if items were removed in between."""
    try:
        return (yield from read())
    except DamagedThreadError:
        found: T = yield Atomic(read, one_snapshot=True)
        return found


def get_checkpoint(store: Store, target: Target) -> Plan[CheckpointTuple | None]:
    """Read one checkpoint with its pending writes: one statement, or two in a log of many items."""
    return (yield from consistently(partial(_get_checkpoint, store, target)))


def _get_checkpoint(store: Store, target: Target) -> Plan[CheckpointTuple | None]:
    key = target.key
    which = "which_checkpoint" if target.checkpoint_id else "which_any"
    kept = store.cache.items_of(key)
    rows = yield Stmt(
        store.queries("get_checkpoint", which),
        {
            **key._asdict(),
            "checkpoint_id": target.checkpoint_id,
            "held": multirange(kept.runs),
        },
    )
    if not rows:
        return None
    row = CheckpointRow(*rows[0][:WIDTH])
    epoch, appended, next_items, is_near, *item_columns = rows[0][WIDTH:]
    stored = load_stored(row.channel_values)
    runs = runs_in(stored.values())
    if count(runs) > HEAVY:
        yield Heavy()  # the driver sees what came; most of the items may have been here before
    items = Items(store.codec)
    if not (is_near and take_items(store.cache, key, items, item_columns, runs, kept=kept)):
        yield from fetch_items(store, key, epoch, items, runs)
    found = to_tuple(store, row, stored, items)
    store.known.learn(
        key,
        epoch=epoch,
        appended=appended,
        next_items=orjson.loads(next_items),
        digests=items.digests(store.known.unknown(key, epoch, numbers_of(runs))),
        checkpoint_id=row.checkpoint_id,
        layout=layout_of(found.checkpoint["channel_versions"].copy(), stored),
    )
    if target.checkpoint_id is None and store.refuses_races:
        return found._replace(config=config_of(row, row.checkpoint_id))  # it was not asked for
    return found


def to_tuple(
    store: Store, row: CheckpointRow, stored: Mapping[str, Any], items: Items
) -> CheckpointTuple:
    """Build what LangGraph is handed.

    Raises:
        DamagedThreadError: An item that the checkpoint names was not found.
    """
    header = load_header(store.codec, row.header)
    metadata = load_metadata(store.codec, row.metadata)
    if row.sealed is not None:
        sealed = load_sealed(store.codec, Blob(cast("str", row.sealed_type), row.sealed))
        metadata.update(sealed[0])
        header.update(sealed[1])
    addressed = AddressedId if store.refuses_races else str
    values = {}
    channel = ""
    try:
        with collector_paused:
            for channel, value in stored.items():
                values[channel] = items.value(value)
    except SnapshotError:
        with about(f"channel {channel!r}"):
            raise
    if sends := load_writes(store, row.sends, row.send_blobs):
        _adopt_sends(header, values, sends)
    return CheckpointTuple(
        config=config_of(row, addressed(row.checkpoint_id)),
        checkpoint=cast(
            "Checkpoint", {**header, "id": row.checkpoint_id, "channel_values": values}
        ),
        metadata=cast("CheckpointMetadata", metadata),
        parent_config=(
            config_of(row, addressed(row.parent_checkpoint_id))
            if row.parent_checkpoint_id
            else None
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
    writes: list[PendingWrite] = []
    if text is None:
        return writes
    remaining = iter(blobs or ())
    for task_id, channel, tree, blob_type in parse_json(text):
        try:
            value = (
                store.codec.load_json(tree)
                if blob_type is None
                else store.codec.load_blob(Blob(blob_type, next(remaining)))[0]
            )
        except SnapshotError:
            with about(f"write to channel {channel!r}"):
                raise
        writes.append((task_id, channel, value))
    return writes


def _adopt_sends(
    header: dict[str, Any], values: dict[str, Any], sends: Sequence[PendingWrite]
) -> None:
    """Before format 4, the sends that a parent wrote are its child's TASKS channel."""
    versions = header["channel_versions"]
    values[TASKS] = [value for _, _, value in sends]
    versions[TASKS] = max(versions.values()) if versions else next_version(None)

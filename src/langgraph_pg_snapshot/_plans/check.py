"""Finding stored values that can't be loaded: their types are gone or refused, or damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from langgraph_pg_snapshot._plans.codec import Blob
from langgraph_pg_snapshot._plans.layout import Items, Reference, load_stored, runs_in
from langgraph_pg_snapshot._plans.listing import PAGE
from langgraph_pg_snapshot._plans.read import WIDTH, CheckpointRow, fetch_items
from langgraph_pg_snapshot._plans.runs import numbers_of
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import SnapshotError
from langgraph_pg_snapshot.models import NamespaceKey, UnloadableValue


def check_thread(store: Store, thread_id: str) -> Plan[list[UnloadableValue]]:
    """Try to load every stored value of a thread, each item once."""
    found: list[UnloadableValue] = []
    logs: dict[NamespaceKey, _CheckedItems] = {}
    which = ["which_thread"]
    params: dict[str, Any] = {"thread_id": thread_id, "limit": PAGE}
    while True:
        rows = yield Stmt(store.queries("list_checkpoints", *which), params)
        for columns in rows:
            row = CheckpointRow(*columns[:WIDTH])
            key = NamespaceKey(row.thread_id, row.checkpoint_ns)
            log = logs.setdefault(key, _CheckedItems(store))
            stored = load_stored(row.channel_values)
            yield from fetch_items(store, key, log.items, runs_in(stored.values()))
            for channel, value in stored.items():
                if (reason := log.failure(value)) is not None:
                    found.append(_unloadable(row, "value", channel, reason))
            found.extend(_unloadable_writes(store, row))
        if len(rows) < PAGE:
            return found
        which = ["which_thread", "which_after_cursor"]
        last = CheckpointRow(*rows[-1][:WIDTH])
        params |= {
            "last_checkpoint_id": last.checkpoint_id,
            "last_thread_id": last.thread_id,
            "last_checkpoint_ns": last.checkpoint_ns,
        }


class _CheckedItems:
    """A log's items, and why some of them can't be loaded."""

    def __init__(self, store: Store) -> None:
        self.items = Items(store.codec)
        self._reasons: dict[int, str | None] = {}

    def failure(self, stored: Any) -> str | None:
        """Why a stored value can't be loaded; None if it can."""
        if not isinstance(stored, Reference):
            return _reason(self.items.value, stored)
        for number in numbers_of(stored.runs):
            if number not in self._reasons:
                one = Reference("$item", ((number, number + 1),))
                self._reasons[number] = _reason(self.items.value, one)
            if (reason := self._reasons[number]) is not None:
                return reason
        return None


def _unloadable_writes(store: Store, row: CheckpointRow) -> Iterator[UnloadableValue]:
    blobs = iter(row.write_blobs or ())
    for _, channel, tree, blob_type in orjson.loads(row.writes or "[]"):
        if blob_type is None:
            reason = _reason(store.codec.load_json, tree)
        else:
            reason = _reason(store.codec.load_blob, Blob(blob_type, next(blobs)))
        if reason is not None:
            yield _unloadable(row, "write", channel, reason)


def _reason(load: Callable[[Any], object], stored: Any) -> str | None:
    try:
        load(stored)
    except SnapshotError as error:
        return str(error)
    return None


def _unloadable(row: CheckpointRow, kind: str, channel: str, reason: str) -> UnloadableValue:
    return UnloadableValue(row.checkpoint_ns, row.checkpoint_id, kind, channel, reason)

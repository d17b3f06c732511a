"""Finding stored values that can't be loaded: their types are gone or refused, or damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langgraph_pg_snapshot._plans.codec import Blob, parse_json
from langgraph_pg_snapshot._plans.columns import (
    load_header,
    load_metadata_value,
    load_sealed,
    parse_metadata,
)
from langgraph_pg_snapshot._plans.fetch import fetch_items
from langgraph_pg_snapshot._plans.layout import (
    Items,
    Reference,
    load_reference,
    parse_stored,
    runs_in,
)
from langgraph_pg_snapshot._plans.listing import PAGE
from langgraph_pg_snapshot._plans.read import WIDTH, CheckpointRow
from langgraph_pg_snapshot._plans.runs import Run, count, numbers_of, runs_of
from langgraph_pg_snapshot._plans.steps import Plan, Stmt, T
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import DeserializationError, SnapshotError
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
            failures = yield from log.unloadable_values(key, row)
            failures += [*_unloadable_writes(store, row), *_unloadable_metadata(store, row)]
            found += [
                UnloadableValue(row.checkpoint_ns, row.checkpoint_id, *failure)
                for failure in failures
            ]
        if len(rows) < PAGE:
            return found
        which = ["which_thread", "which_after_cursor"]
        last = CheckpointRow(*rows[-1][:WIDTH])
        params |= {
            "last_checkpoint_id": last.checkpoint_id,
            "last_thread_id": last.thread_id,
            "last_checkpoint_ns": last.checkpoint_ns,
        }


_Failure = tuple[str, str, str]  # kind, channel, reason


class _CheckedItems:
    """A log's items, and why some of them can't be loaded."""

    def __init__(self, store: Store) -> None:
        self.store = store.uncached
        self.items = Items(store.codec)
        self._reasons: dict[tuple[str, int], str | None] = {}
        self._unread: dict[int, str] = {}

    def unloadable_values(self, key: NamespaceKey, row: CheckpointRow) -> Plan[list[_Failure]]:
        """What of a checkpoint's values can't be loaded."""
        failures: list[_Failure] = []
        stored: dict[str, Any] = {}
        trees, reason = _tried(parse_stored, row.channel_values)
        if reason is not None:
            failures.append(("value", "", reason))
        for channel, tree in (trees or {}).items():
            stored[channel], reason = _tried(load_reference, channel, tree)
            if reason is not None:
                failures.append(("value", channel, reason))
        yield from self._fetch(key, runs_in(stored.values()))
        for channel, value in stored.items():
            if (reason := self._failure(value)) is not None:
                failures.append(("value", channel, reason))
        return failures

    def _fetch(self, key: NamespaceKey, runs: Sequence[Run]) -> Plan[None]:
        """Read items; halve by halve where that brings none, since one of them can't be read."""
        todo = [runs]
        while todo:
            wanted = [
                run
                for run in self.items.missing(todo.pop())
                if not (count([run]) == 1 and run[0] in self._unread)
            ]
            if not wanted:
                continue
            try:
                yield from fetch_items(self.store, key, None, self.items, wanted)
                reason = f"item {wanted[0][0]} of its log is missing"
            except DeserializationError as error:
                reason = f"item {wanted[0][0]} of its log: {error}"
            left = [*numbers_of(self.items.missing(wanted))]
            if len(left) == 1:
                self._unread[left[0]] = reason
            elif left:
                half = len(left) // 2
                todo += [runs_of(left[:half]), runs_of(left[half:])]

    def _failure(self, stored: Any) -> str | None:
        """Why a stored value can't be loaded; None if it can."""
        if not isinstance(stored, Reference):
            return _tried(self.items.value, stored)[1]
        for number in numbers_of(stored.runs):
            reason = self._unread.get(number) or self._item_failure(stored, number)
            if reason is not None:
                return reason
        return None

    def _item_failure(self, stored: Reference, number: int) -> str | None:
        known = (stored.kind, number)
        if known not in self._reasons:
            one = Reference(stored.kind, ((number, number + 1),))
            self._reasons[known] = _tried(self.items.value, one)[1]
        return self._reasons[known]


def _unloadable_writes(store: Store, row: CheckpointRow) -> Iterator[_Failure]:
    blobs = iter(row.write_blobs or ())
    writes, reason = _tried(parse_json, row.writes or "[]")
    if reason is not None:
        yield "write", "", reason
    for _, channel, tree, blob_type in writes or ():
        if blob_type is None:
            _, reason = _tried(store.codec.load_json, tree)
        else:
            _, reason = _tried(store.codec.load_blob, Blob(blob_type, next(blobs)))
        if reason is not None:
            yield "write", channel, reason


def _unloadable_metadata(store: Store, row: CheckpointRow) -> Iterator[_Failure]:
    _, reason = _tried(load_header, store.codec, row.header)
    if reason is not None:
        yield "header", "", reason
    trees, reason = _tried(parse_metadata, row.metadata)
    if reason is not None:
        yield "metadata", "", reason
    for key, tree in (trees or {}).items():
        _, reason = _tried(load_metadata_value, store.codec, key, tree)
        if reason is not None:
            yield "metadata", key, reason
    if row.sealed is not None:
        _, reason = _tried(load_sealed, store.codec, Blob(row.sealed_type or "", row.sealed))
        if reason is not None:
            yield "metadata", "", reason


def _tried(load: Callable[..., T], *args: Any) -> tuple[T | None, str | None]:
    """What a function returns, and None; or None, and why it fails."""
    try:
        return load(*args), None
    except SnapshotError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 -- damage may do anything
        return None, f"it can't be read: {type(error).__name__}: {error}"

"""One try to store a checkpoint: its values are laid out on a log, and sent in one statement.

The statement stores nothing unless the log is where this process believes it to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from langgraph_pg_snapshot._plans.codec import Codec
from langgraph_pg_snapshot._plans.fence import check_head, fence_of
from langgraph_pg_snapshot._plans.known import KnownLog
from langgraph_pg_snapshot._plans.layout import Layout, Stored, dump_stored, runs_in
from langgraph_pg_snapshot._plans.lineage import Erased, Late, read_lineage
from langgraph_pg_snapshot._plans.log import Log
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint
from langgraph_pg_snapshot._plans.pieces import Pieces, describe, describe_for_later
from langgraph_pg_snapshot._plans.remove import lock_threads
from langgraph_pg_snapshot._plans.runs import count, multirange
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store


@dataclass(frozen=True)
class Done:
    """A put that was stored.

    Attributes:
        known: What it was built on.
        log: Where the log is after it.
        stored: How the checkpoint lies.
        left_items: Whether a checkpoint that had this id before referenced other items.
    """

    known: KnownLog
    log: Log
    stored: dict[str, Stored]
    left_items: bool


@dataclass(frozen=True)
class Attempt:
    """A checkpoint to store, with all that does not depend on where the log is."""

    store: Store
    new: NewCheckpoint
    params: Mapping[str, Any]
    described: dict[str, bytes | Pieces] = field(default_factory=dict)

    def on(self, known: KnownLog | None, *, retried: bool) -> Plan[Done | Late | None]:
        """Store it if the log is as known (read anew if None); None if it is not."""
        store, new, erased = self.store, self.new, Erased()
        if known is None:
            known, erased = yield from read_lineage(store, new, retried=retried)
            if (late := erased.makes_late(new)) is not None:
                return late
            if erased.is_refused:
                yield from check_head(store, self.params, parent_was_refused=True)
        log = Log(dict(known.next_items), known.digests)
        stored = _lay_out(store.codec, new, known.parent, log, self.described)
        runs = runs_in(stored.values())
        rows = yield Stmt(
            store.queries(
                "put_first_checkpoint" if known.is_new else "put_checkpoint",
                *fence_of(self.params, has_log=not known.is_new),
            ),
            {
                **self.params,
                "erased_at": erased.thread_at,
                "epoch": known.epoch,
                "appended": known.appended,
                "next_items": orjson.dumps(log.next_items).decode(),
                "item_ids": list(log.added),
                "digests": [columns.digest for columns in log.new_items],
                "items": [columns.json for columns in log.new_items],
                "blob_types": [columns.blob_type for columns in log.new_items],
                "blobs": [columns.blob for columns in log.new_items],
                "channel_values": dump_stored(stored),
                "ranges": multirange(runs),
                "item_count": count(runs),
            },
        )
        if not rows:
            return None
        [(references_all_that_it_did,)] = rows
        was_there = references_all_that_it_did is not None
        # An earlier try may have been stored: then that is what is compared, not what was before.
        left_items = was_there and (not references_all_that_it_did or retried or rows.again)
        return Done(known, log, stored, left_items)

    def locked(self) -> Plan[Done | Late | None]:
        """Store it while other writers wait, inside a transaction.

        It can only miss if the thread is being made by another writer at this moment.
        """
        yield from lock_threads(self.store, [self.new.target.key.thread_id])
        return (yield from self.on(None, retried=True))

    @property
    def size(self) -> int:
        """The bytes of what is encoded."""
        return sum(
            len(value) if isinstance(value, bytes) else sum(piece.size for piece in value.pieces)
            for value in self.described.values()
        )

    def encode(self) -> None:
        """Encode every value now, rather than when it is stored."""
        for channel, value in self.new.checkpoint["channel_values"].items():
            self.described[channel] = describe_for_later(
                self.store.codec, self.new.target.key, channel, value
            )


def _lay_out(
    codec: Codec,
    new: NewCheckpoint,
    parent: Layout | None,
    log: Log,
    described: dict[str, bytes | Pieces],
) -> dict[str, Stored]:
    """Where each channel's value is to lie; what is encoded for it is kept in ``described``."""
    values: Mapping[str, Any] = new.checkpoint["channel_values"]
    versions: Mapping[str, Any] = new.checkpoint["channel_versions"]
    if new.with_unversioned:
        versions = {**dict.fromkeys(values), **versions}
    stored: dict[str, Stored] = {}
    for channel, version in versions.items():
        if (
            channel not in new.new_versions
            and parent is not None
            and parent.carries(channel, version)
        ):
            stored[channel] = parent.stored[channel]
        elif channel in values:
            if channel not in described:
                described[channel] = describe(codec, new.target.key, channel, values[channel])
            before = parent.stored.get(channel) if parent is not None else None
            stored[channel] = log.store(codec, channel, described[channel], before)
    return stored

"""Reading what a put builds on: where the log is, how the parent lies, and what was erased.

By what was erased a put is known that comes too late.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import orjson

from langgraph_pg_snapshot._plans.codec import DIGEST_BYTES, NO_DIGEST
from langgraph_pg_snapshot._plans.columns import load_versions
from langgraph_pg_snapshot._plans.held import Awaited
from langgraph_pg_snapshot._plans.known import KnownLog
from langgraph_pg_snapshot._plans.layout import Layout, layout_of, load_stored, runs_in
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint
from langgraph_pg_snapshot._plans.runs import numbers_of
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store


@dataclass(frozen=True)
class Late:
    """A put that is not stored, because something was erased.

    Attributes:
        what: What was erased: the thread, or the run.
        awaited: The checkpoint with which it is to be stored all the same; None: it isn't to be.
    """

    what: str
    awaited: Awaited | None = None


@dataclass(frozen=True)
class Erased:
    """What a look at the thread says of erasures.

    Attributes:
        thread_at: When the thread was erased, if it was.
        up_to: The newest checkpoint that was erased with it, if there was one.
        run: Whether this run was, wherever it is at work.
        root_is_stored: Whether the root checkpoint of a subgraph's call is stored.
        parent_is_stored: Whether the parent is.
        parent_waits: Whether it is held back, or was just before the look.
        is_refused: Whether parent, or root checkpoint, came too late itself.
    """

    thread_at: datetime | None = None
    up_to: str | None = None
    run: bool = False
    root_is_stored: bool = False
    parent_is_stored: bool = False
    parent_waits: bool = False
    is_refused: bool = False

    def makes_late(self, new: NewCheckpoint) -> Late | None:
        """Whether a put of this checkpoint is a late one of what was erased.

        A thread that was erased starts anew with a checkpoint that has no parent. One whose parent
        was erased, or came too late itself, goes on with what was erased; so does a subgraph's that
        belongs to such a root checkpoint. (A parent may also be gone for another reason: a sweep.)
        A subgraph's checkpoint may also have been faster than the root's. What is brought over from
        another saver is no run's.
        """
        if new.with_unversioned:
            return None
        if self.run:
            return Late("run")
        builds_on = new.root if new.parent_id is None else Awaited(new.target.key, new.parent_id)
        is_there = self.root_is_stored if new.parent_id is None else self.parent_is_stored
        if self.thread_at is None or builds_on is None or is_there:
            return None
        if self.parent_waits or (
            new.parent_id is None and (builds_on.or_later or not self._is_gone(builds_on))
        ):
            return Late("thread", builds_on)
        return Late("thread") if self._is_gone(builds_on) else None

    def _is_gone(self, checkpoint: Awaited) -> bool:
        return self.is_refused or (
            self.up_to is not None and checkpoint.checkpoint_id <= self.up_to
        )


def read_lineage(
    store: Store, new: NewCheckpoint, *, retried: bool
) -> Plan[tuple[KnownLog, Erased]]:
    """Read where a log is and how the parent lies; a log that does not exist is a new one.

    After a first try the checkpoint itself may be stored, if it was the acknowledgement that got
    lost: then its items are there already, and are to be found.
    """
    key, parent_id = new.target.key, new.target.checkpoint_id
    # Before the look: what is stored in between is then tried again rather than given up.
    parent_waits = new.parent_id is not None and store.held.has(Awaited(key, new.parent_id))
    rows = yield Stmt(
        store.queries("get_lineage"),
        {
            **key._asdict(),
            "running": new.running,
            "root_id": new.root.checkpoint_id if new.root is not None else None,
            "or_later": new.root is not None and new.root.or_later,
            "parent_id": parent_id,
            "tried_id": new.checkpoint["id"] if retried else None,
        },
    )
    thread_at, up_to, run, root_is_stored, epoch, appended, next_items, *_ = rows[0]
    digests: dict[int, bytes] = {}
    layouts: dict[str | None, Layout] = {}
    for *_, checkpoint_id, versions, channel_values, joined in rows:
        if checkpoint_id is not None:
            stored = load_stored(channel_values)
            layouts[checkpoint_id] = layout_of(load_versions(orjson.loads(versions)), stored)
            digests |= _digests_by_item(joined, numbers_of(runs_in(stored.values())))
    root, refused = new.root, store.held.is_refused
    erased = Erased(
        thread_at,
        up_to,
        run,
        root_is_stored,
        parent_is_stored=new.parent_id is not None and parent_id in layouts,
        parent_waits=parent_waits,
        is_refused=(new.parent_id is not None and refused(key, new.parent_id))
        or (root is not None and refused(root.key, root.checkpoint_id)),
    )
    if epoch is None:
        return KnownLog.new(), erased
    known = store.known.learn(
        key,
        epoch=epoch,
        appended=appended,
        next_items=orjson.loads(next_items),
        digests=digests,
        # A parent that is not stored has nothing to take over, and is not to be taken for stored.
        checkpoint_id=parent_id if parent_id in layouts else None,
        layout=layouts.get(parent_id, Layout({}, {})),
    )
    return known, erased


def _digests_by_item(joined: bytes | None, numbers: Iterable[int]) -> dict[int, bytes]:
    """Take apart the digests of items, in the items' order; sixteen zeros: there is none."""
    joined = joined or b""
    digests = {
        number: joined[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]
        for place, number in enumerate(numbers)
    }
    return {number: digest for number, digest in digests.items() if digest != NO_DIGEST}

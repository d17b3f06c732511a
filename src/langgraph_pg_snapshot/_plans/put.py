"""Storing checkpoints."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import orjson

from langgraph_pg_snapshot._plans.codec import (
    DIGEST_BYTES,
    NO_DIGEST,
    Codec,
    dump_header,
    dump_metadata,
    seal,
)
from langgraph_pg_snapshot._plans.held import Awaited, give_up, hold, release
from langgraph_pg_snapshot._plans.known import KnownLog
from langgraph_pg_snapshot._plans.layout import (
    Layout,
    Log,
    Pieces,
    Stored,
    describe,
    describe_for_later,
    dump_stored,
    layout_of,
    load_stored,
    runs_in,
)
from langgraph_pg_snapshot._plans.remove import drop_unreferenced_items, lock_threads
from langgraph_pg_snapshot._plans.runs import count, multirange, numbers_of
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ConcurrentWriteError
from langgraph_pg_snapshot.models import NamespaceKey, Target

logger = logging.getLogger("langgraph_pg_snapshot")

# Two runs on one thread rarely meet; who lost this often has the others wait.
OPTIMISTIC_TRIES = 3
# Even then the thread may be removed and made anew all the time; that has to end somewhere.
MAX_TRIES = 10
# Encoding this many elements takes about a millisecond; more are not for an event loop's thread.
HEAVY = 1_000
CHARACTERS_AN_ELEMENT = 500


@dataclass(frozen=True)
class NewCheckpoint:
    """A checkpoint as it is handed to ``put``."""

    target: Target  # whose id is the parent's
    checkpoint: Mapping[str, Any]
    metadata: Mapping[str, Any]
    new_versions: Mapping[str, Any]
    is_root: bool = False  # it shares the parent's items, but is no child of it
    created_at: datetime | None = None  # None: now
    with_unversioned: bool = False  # values of channels that have no version are stored, too
    is_at_exit: bool = False  # of a run that saves only at its end

    @property
    def parent_id(self) -> str | None:
        """The checkpoint that it is a child of, as it says."""
        return None if self.is_root else self.target.checkpoint_id

    @property
    def root(self) -> Awaited | None:
        """The root checkpoint that a subgraph's call belongs to, if it is a subgraph's."""
        key, parents = self.target.key, self.metadata.get("parents")
        root_id = parents.get("") if isinstance(parents, Mapping) else None
        if key.checkpoint_ns == "" or not isinstance(root_id, str):
            return None
        # A call has its task's id after a ":"; the others have a memory of their own.
        or_later = self.is_at_exit and ":" not in key.checkpoint_ns
        return Awaited(NamespaceKey(key.thread_id, ""), root_id, or_later=or_later)


def put_checkpoint(store: Store, new: NewCheckpoint) -> Plan[None]:
    """Store a checkpoint: one statement if what is known of the log holds, a read more if not.

    A channel is stored anew if its version is new, taken over from the parent's lineage if not.
    A channel without a version is dropped, one with a new version and no value has none.

    A late one of a run, or of a run's thread, that was erased meanwhile is not stored.

    Raises:
        SerializationError: A value can't be stored; nothing was sent.
        ConcurrentWriteError: Other writers were faster, time after time; nothing was stored.
    """
    values = new.checkpoint["channel_values"]
    if sum(weight(values[channel]) for channel in new.new_versions if channel in values) > HEAVY:
        yield Heavy()
    attempt = _Attempt(store, new, _checkpoint_params(store.codec, new))
    late = yield from _put(attempt)
    if late is None:
        return
    key, checkpoint_id = new.target.key, new.checkpoint["id"]
    if late.awaited is not None:
        attempt.encode()  # the application may change its values while this waits
        again = partial(_put_again, attempt)
        yield from hold(store.held, again, late.awaited, Awaited(key, checkpoint_id))
        return
    logger.info(
        "checkpoint %r of thread %r (namespace %r) comes too late and is not stored: the %s was "
        "erased",
        *(checkpoint_id, *key, late.what),
    )
    for given_up in (checkpoint_id, new.parent_id):
        if given_up is not None:
            give_up(store.held, key, given_up)
    # Its writes may have come before it, and before the erasure, which did not know them for what
    # they are.
    at = {**key._asdict(), "checkpoint_id": checkpoint_id}
    yield Stmt(store.queries("drop_writes_of_refused"), at)


@dataclass(frozen=True)
class _Late:
    """A put that is not stored, because something was erased.

    Attributes:
        what: What was erased: the thread, or the run.
        awaited: The checkpoint with which it is to be stored all the same; None: it isn't to be.
    """

    what: str
    awaited: Awaited | None = None


def _put_again(attempt: _Attempt) -> Plan[bool]:
    return (yield from _put(attempt)) is None


def _put(attempt: _Attempt) -> Plan[_Late | None]:
    """Returns what was erased, if that is why it was not stored."""
    store, new = attempt.store, attempt.new
    key, parent_id = new.target.key, new.target.checkpoint_id
    known = store.known.get(key, parent_id)
    if known is not None and _is_outdated(known.parent, new):
        known = None
    elif known is None and parent_id is None:
        known = KnownLog.new()
    done: _Done | _Late | None = None
    for tries in range(MAX_TRIES):
        if tries < OPTIMISTIC_TRIES:
            done = yield from attempt.on(known, retried=tries > 0)
        else:
            # Others are faster, time after time: have them wait.
            done = yield Atomic(attempt.locked)
        if done is not None:
            break
        store.known.forget(key)
        known = None
    if done is None:
        raise ConcurrentWriteError
    if isinstance(done, _Late):
        return done
    # Not before: what a transaction stored is there only when it is committed.
    store.known.learn(
        key,
        epoch=done.known.epoch,
        appended=done.known.appended + len(done.log.new_items),
        next_items=done.log.next_items,
        digests=done.log.added,
        checkpoint_id=new.checkpoint["id"],
        layout=Layout(dict(new.checkpoint["channel_versions"]), done.stored),
    )
    if done.left_items:
        yield from drop_unreferenced_items(store, key)
    yield from release(store.held, key, new.checkpoint["id"])
    return None


@dataclass(frozen=True)
class _Done:
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
class _Erased:
    """What a look at the thread says of erasures.

    Attributes:
        thread_at: When the thread was erased, if it was.
        run: Whether this run was, in this thread.
        root_is_stored: Whether the root checkpoint of a subgraph's call is stored.
        parent_is_stored: Whether the parent is.
        parent_waits: Whether it is held back, or was just before the look.
    """

    thread_at: datetime | None = None
    run: bool = False
    root_is_stored: bool = False
    parent_is_stored: bool = False
    parent_waits: bool = False


@dataclass(frozen=True)
class _Attempt:
    """A checkpoint to store, with all that does not depend on where the log is."""

    store: Store
    new: NewCheckpoint
    params: Mapping[str, Any]
    described: dict[str, bytes | Pieces] = field(default_factory=dict)

    def on(self, known: KnownLog | None, *, retried: bool) -> Plan[_Done | _Late | None]:
        """Store it if the log is as known (read anew if None); None if it is not."""
        store, new, erased = self.store, self.new, _Erased()
        if known is None:
            known, erased = yield from _read_lineage(self, retried=retried)
            if (late := self._late(erased)) is not None:
                return late
        log = Log(dict(known.next_items), known.digests)
        stored = _lay_out(store.codec, new, known.parent, log, self.described)
        runs = runs_in(stored.values())
        rows = yield Stmt(
            store.queries("put_first_checkpoint" if known.is_new else "put_checkpoint"),
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
        return _Done(known, log, stored, left_items)

    def locked(self) -> Plan[_Done | _Late | None]:
        """Store it while other writers wait, inside a transaction.

        It can only miss if the thread is being made by another writer at this moment.
        """
        yield from lock_threads(self.store, [self.new.target.key.thread_id])
        return (yield from self.on(None, retried=True))

    def encode(self) -> None:
        """Encode every value now, rather than when it is stored."""
        for channel, value in self.new.checkpoint["channel_values"].items():
            self.described[channel] = describe_for_later(self.store.codec, channel, value)

    def _late(self, erased: _Erased) -> _Late | None:
        """Whether this is a late put of what was erased.

        A thread that was erased starts anew with a checkpoint that has no parent. One that has a
        parent which is not stored goes on with what was erased; so does a subgraph's that belongs
        to such a root checkpoint. But those may also have been faster than it. (What is brought
        over from another saver is no run's.)
        """
        new, key = self.new, self.new.target.key
        if erased.run:
            return _Late("run")
        if erased.thread_at is None or erased.parent_is_stored or new.with_unversioned:
            return None
        if new.parent_id is not None:
            parent = Awaited(key, new.parent_id)
            return _Late("thread", parent if erased.parent_waits else None)
        return None if new.root is None or erased.root_is_stored else _Late("thread", new.root)


def _is_outdated(parent: Layout | None, new: NewCheckpoint) -> bool:
    """Whether another process has put the parent (again) since it was seen here.

    The guard does not tell, if no item was added; and it matters only where the parent is to give
    the value of a channel at a version that it is not known to have.
    """
    return parent is not None and any(
        channel not in new.new_versions
        and channel not in new.checkpoint["channel_values"]
        and parent.versions.get(channel) != version
        for channel, version in new.checkpoint["channel_versions"].items()
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
                described[channel] = describe(codec, channel, values[channel])
            before = parent.stored.get(channel) if parent is not None else None
            stored[channel] = log.store(codec, channel, described[channel], before)
    return stored


def weight(value: Any, depth: int = 2) -> int:
    """About how many elements a value has, without looking at more than a few of them."""
    if isinstance(value, (str, bytes)):
        return len(value) // CHARACTERS_AN_ELEMENT
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple, set, frozenset, deque)):
        return 1
    sample = list(islice(value, 20)) if depth else []
    inside = sum(weight(element, depth - 1) for element in sample) / max(len(sample), 1)
    return int(len(value) * max(inside, 1))


def _checkpoint_params(codec: Codec, new: NewCheckpoint) -> dict[str, Any]:
    checkpoint_id, parent_id = new.checkpoint["id"], new.parent_id
    header, hidden_header = dump_header(codec, new.checkpoint)
    metadata, hidden_metadata = dump_metadata(codec, new.metadata)
    sealed = seal(codec, hidden_metadata, hidden_header)
    run_id = new.metadata.get("run_id")
    return {
        "thread_id": new.target.key.thread_id,
        "checkpoint_ns": new.target.key.checkpoint_ns,
        "checkpoint_id": checkpoint_id,
        # "exit" durability puts a checkpoint over itself: that does not make it its own parent
        "parent_checkpoint_id": None if parent_id == checkpoint_id else parent_id,
        "run_id": run_id if isinstance(run_id, str) else None,
        "header": header,
        "metadata": metadata,
        "sealed_type": sealed.type if sealed else None,
        "sealed": sealed.data if sealed else None,
        "created_at": new.created_at,
    }


def _read_lineage(attempt: _Attempt, *, retried: bool) -> Plan[tuple[KnownLog, _Erased]]:
    """Read where a log is and how the parent lies; a log that does not exist is a new one.

    After a first try the checkpoint itself may be stored, if it was the acknowledgement that got
    lost: then its items are there already, and are to be found.
    """
    store, new = attempt.store, attempt.new
    key, parent_id = new.target.key, new.target.checkpoint_id
    # Before the look: what is stored in between is then tried again rather than given up.
    parent_waits = new.parent_id is not None and store.held.has(Awaited(key, new.parent_id))
    wanted = [parent_id, *([new.checkpoint["id"]] if retried else [])]
    rows = yield Stmt(
        store.queries("get_lineage"),
        {
            **key._asdict(),
            "run_id": attempt.params["run_id"],
            "root_id": new.root.checkpoint_id if new.root is not None else None,
            "or_later": new.root is not None and new.root.or_later,
            "checkpoint_ids": [each for each in wanted if each is not None],
        },
    )
    thread_at, run, root_is_stored, epoch, appended, next_items, *_ = rows[0]
    digests: dict[int, bytes] = {}
    layouts: dict[str | None, Layout] = {}
    for *_, checkpoint_id, versions, channel_values, joined in rows:
        if checkpoint_id is not None:
            stored = load_stored(channel_values)
            layouts[checkpoint_id] = layout_of(orjson.loads(versions), stored)
            digests |= _digests_by_item(joined, numbers_of(runs_in(stored.values())))
    erased = _Erased(
        thread_at,
        run,
        root_is_stored,
        parent_is_stored=new.parent_id is not None and parent_id in layouts,
        parent_waits=parent_waits,
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

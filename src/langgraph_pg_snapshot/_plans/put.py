"""Storing checkpoints: how often it is tried, and what comes of a put that is not stored.

A try is in `attempt`, what it reads if nothing is known of the log in `lineage`.
"""

from __future__ import annotations

import logging
from functools import partial

from langgraph_pg_snapshot._plans.attempt import Attempt, Done
from langgraph_pg_snapshot._plans.fence import check_head, check_lease
from langgraph_pg_snapshot._plans.held import Awaited, give_up, hold, release
from langgraph_pg_snapshot._plans.known import KnownLog
from langgraph_pg_snapshot._plans.layout import Layout
from langgraph_pg_snapshot._plans.lineage import Late
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint, checkpoint_params
from langgraph_pg_snapshot._plans.remove import drop_unreferenced_items
from langgraph_pg_snapshot._plans.steps import Atomic, Heavy, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ConcurrentUpdateError, ConcurrentWriteError
from langgraph_pg_snapshot.models import NamespaceKey

logger = logging.getLogger("langgraph_pg_snapshot")

# Two runs on one thread rarely meet; who lost this often has the others wait.
OPTIMISTIC_TRIES = 3
# Even then the thread may be removed and made anew all the time; that has to end somewhere.
MAX_TRIES = 10


def put_checkpoint(store: Store, new: NewCheckpoint) -> Plan[None]:
    """Store a checkpoint: one statement if what is known of the log holds, a read more if not.

    A channel is stored anew if its version is new, taken over from the parent's lineage if not.
    A channel without a version is dropped, one with a new version and no value has none.

    A late one of a run, or of a run's thread, that was erased meanwhile is not stored.

    Raises:
        SerializationError: A value can't be stored; nothing was sent.
        ConcurrentWriteError: Other writers were faster, time after time; nothing was stored.
        LeaseLostError: The thread is not held any more; nothing was stored.
        ConcurrentUpdateError: Its parent is not the newest any more; nothing was stored.
    """
    values = new.checkpoint["channel_values"]
    yield Heavy(values[channel] for channel in new.new_versions if channel in values)
    attempt = Attempt(store, new, checkpoint_params(store.codec, new))
    key, checkpoint_id = new.target.key, new.checkpoint["id"]
    try:
        late = yield from _put(attempt)
    except ConcurrentUpdateError:
        yield from _drop_writes(store, key, checkpoint_id)
        raise
    if late is None:
        return
    if late.awaited is not None:
        attempt.encode()  # the application may change its values while this waits
        again = partial(_put_again, attempt)
        yield from hold(store.held, again, late.awaited, attempt.size, Awaited(key, checkpoint_id))
        return
    logger.info(
        "checkpoint %r of thread %r (namespace %r) comes too late and is not stored: the %s was "
        "erased",
        *(checkpoint_id, *key, late.what),
    )
    if new.parent_id is not None and late.what == "thread":
        give_up(store.held, key, new.parent_id)
    # (Also those that came before the erasure, which did not know them for what they are.)
    yield from _drop_writes(store, key, checkpoint_id)


def _drop_writes(store: Store, key: NamespaceKey, checkpoint_id: str) -> Plan[None]:
    """Remove pending writes that came before their checkpoint, which is not stored."""
    give_up(store.held, key, checkpoint_id)
    at = {**key._asdict(), "checkpoint_id": checkpoint_id}
    yield Stmt(store.queries("drop_writes_of_refused"), at)


def _put_again(attempt: Attempt) -> Plan[bool]:
    return (yield from _put(attempt)) is None


def _put(attempt: Attempt) -> Plan[Late | None]:
    """Returns what was erased, if that is why it was not stored."""
    store, new = attempt.store, attempt.new
    key, parent_id = new.target.key, new.target.checkpoint_id
    known = store.known.get(key, parent_id)
    if known is not None and _is_outdated(known.parent, new):
        known = None
    elif known is None and parent_id is None:
        known = KnownLog.new()
    done: Done | Late | None = None
    for tries in range(MAX_TRIES):
        if tries < OPTIMISTIC_TRIES:
            done = yield from attempt.on(known, retried=tries > 0)
        else:
            # Others are faster, time after time: have them wait.
            done = yield Atomic(attempt.locked)
        if done is not None:
            break
        yield from check_lease(store, attempt.params)
        if tries:  # the first may be late, too, and that is told by a look at the log
            yield from check_head(store, attempt.params)
        store.known.forget(key)
        known = None
    if done is None:
        raise ConcurrentWriteError
    if isinstance(done, Late):
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

"""Reading what DeltaChannels are rebuilt from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from langgraph_pg_snapshot._plans.layout import Items, load_stored, runs_in
from langgraph_pg_snapshot._plans.read import TRIES, fetch_items, load_writes
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import DamagedThreadError, about
from langgraph_pg_snapshot.models import Target


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
    for last_try in TRIES:
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

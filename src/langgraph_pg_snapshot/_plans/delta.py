"""Reading what DeltaChannels are rebuilt from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite

from langgraph_pg_snapshot._plans.fetch import fetch_items
from langgraph_pg_snapshot._plans.layout import Items, load_stored, runs_in
from langgraph_pg_snapshot._plans.read import consistently, load_writes
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import about
from langgraph_pg_snapshot.models import Target


def get_delta_history(
    store: Store, target: Target, channels: Sequence[str]
) -> Plan[dict[str, DeltaChannelHistory]]:
    """What DeltaChannels of a checkpoint are rebuilt from.

    One statement walks the ancestors, one more reads the items of the values that it ends at.
    Follows parents, not time. For each channel: the writes of ancestors, oldest first, back to and
    including the nearest one that holds a value, and that value as ``seed``.
    """
    return (yield from consistently(partial(_get_delta_history, store, target, channels)))


def _get_delta_history(
    store: Store, target: Target, channels: Sequence[str]
) -> Plan[dict[str, DeltaChannelHistory]]:
    which = "which_checkpoint" if target.checkpoint_id else "which_any"
    rows = yield Stmt(
        store.queries("get_delta_history", which),
        {
            **target.key._asdict(),
            "checkpoint_id": target.checkpoint_id,
            "channels": list(channels),
        },
    )
    seeds: dict[str, Any] = {}
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    epoch = rows[0][0] if rows else None
    for _, stored, texts, blobs in rows:  # nearest ancestor first
        for write in reversed(load_writes(store, texts, blobs)):
            writes[write[1]].append(write)
        for channel, value in load_stored(stored or "{}").items():
            seeds.setdefault(channel, value)
    items = Items(store.codec)
    yield from fetch_items(store, target.key, epoch, items, runs_in(seeds.values()))
    values = {}
    for channel, seed in seeds.items():
        with about(f"channel {channel!r}"):
            values[channel] = items.value(seed)
    history: dict[str, DeltaChannelHistory] = {}
    for channel in channels:
        history[channel] = {"writes": writes[channel][::-1]}
        if channel in values:
            history[channel]["seed"] = values[channel]
    return history

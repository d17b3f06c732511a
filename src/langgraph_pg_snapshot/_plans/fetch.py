"""Bringing in the items of checkpoints: those that this process has read before, and the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_pg_snapshot._plans.cache import NOTHING, ItemCache, KeptItems
from langgraph_pg_snapshot._plans.codec import NO_DIGEST, STAMP_BYTES, Blob, parse_json
from langgraph_pg_snapshot._plans.layout import Items
from langgraph_pg_snapshot._plans.pause import collector_paused
from langgraph_pg_snapshot._plans.runs import Run, multirange, numbers_of
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.models import NamespaceKey


def fetch_items(
    store: Store, key: NamespaceKey, epoch: int | None, items: Items, runs: Sequence[Run]
) -> Plan[None]:
    """Read those items of disjoint runs that were not read yet; none if the log's epoch is another.

    (None is any epoch.)
    """
    kept = store.cache.items_of(key)
    while wanted := items.missing(runs):
        [row] = yield Stmt(
            store.queries("get_items"),
            {
                "thread_id": key.thread_id,
                "checkpoint_ns": key.checkpoint_ns,
                "starts": [first for first, _ in wanted],
                "ends": [beyond for _, beyond in wanted],
                "held": multirange(kept.runs),
                "epoch": epoch,
            },
        )
        if take_items(store.cache, key, items, row, wanted, kept=kept) or kept is NOTHING:
            return
        kept = NOTHING


def take_items(
    cache: ItemCache,
    key: NamespaceKey,
    items: Items,
    columns: Sequence[Any],
    runs: Sequence[Run],
    *,
    kept: KeptItems,
) -> bool:
    """Take in items as the ``item_columns`` of a statement bring them, and those that are kept.

    Returns:
        Whether it took them. It takes none if some are missing, for nothing tells which ones, or
        if one that is kept has another stamp now: then what is kept is forgotten.
    """
    json_text, joined, blob_ids, blob_types, blobs = columns
    joined = joined or b""
    numbers = list(numbers_of(runs))
    if len(joined) != STAMP_BYTES * len(numbers):
        return False
    sent = {}
    if not all(map(kept.stamps.__contains__, numbers)):
        sent = {
            number: joined[STAMP_BYTES * place : STAMP_BYTES * (place + 1)]
            for place, number in enumerate(numbers)
            if number not in kept.stamps
        }
    stamps = {**kept.stamps, **sent} if sent else kept.stamps
    if joined != b"".join(map(stamps.__getitem__, numbers)):
        cache.forget(key)
        return False
    blob_by_number = dict(
        zip(blob_ids or (), map(Blob, blob_types or (), blobs or ()), strict=True)
    )
    items.trees.update(blob_by_number)
    if json_text:
        with collector_paused:
            trees = [*map(items.codec.made_ready, parse_json(json_text))]
        read = dict(zip([n for n in sent if n not in blob_by_number], trees, strict=True))
        items.trees.update(read)
        # (What has no digest could be edited without a trace.)
        lasting = {n: tree for n, tree in read.items() if not sent[n].startswith(NO_DIGEST)}
        cache.keep(key, lasting, sent)
    held = kept.trees
    if sent or len(held) != len(numbers):
        held = {number: held[number] for number in numbers if number in held}
    items.trees.update(held)
    items.stamps.update(stamps)
    return True

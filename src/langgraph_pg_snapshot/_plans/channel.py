"""Reading one channel without the others, and the end of a list without the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from langgraph_pg_snapshot._plans.codec import parse_json
from langgraph_pg_snapshot._plans.fetch import fetch_items
from langgraph_pg_snapshot._plans.layout import Items, Reference, load_reference, runs_in
from langgraph_pg_snapshot._plans.read import consistently
from langgraph_pg_snapshot._plans.runs import Run
from langgraph_pg_snapshot._plans.state import bare
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ChannelNotStoredError, InvalidArgumentError, about
from langgraph_pg_snapshot.models import Target


def get_channel(
    store: Store, target: Target, channel: str, last: int | None, default: Any
) -> Plan[Any]:
    """A channel's value, or the last elements of it: a statement for where it lies, one for items.

    Raises:
        ChannelNotStoredError: It is a DeltaChannel of which this checkpoint holds no snapshot.
        InvalidArgumentError: The last elements are asked for of what is no list or tuple.
    """
    return (yield from consistently(partial(_get_channel, store, target, channel, last, default)))


def _get_channel(
    store: Store, target: Target, channel: str, last: int | None, default: Any
) -> Plan[Any]:
    which = "which_checkpoint" if target.checkpoint_id else "which_any"
    rows = yield Stmt(
        store.queries("get_channel", which),
        {**target.key._asdict(), "checkpoint_id": target.checkpoint_id, "channel": channel},
    )
    if not rows:
        return default
    [(text, is_delta, epoch)] = rows
    if text is None:
        if is_delta:
            raise ChannelNotStoredError(
                f"channel {channel!r} is a DeltaChannel, whose value the graph rebuilds from what "
                "was written to it: graph.get_state(config).values has it"
            )
        return default
    stored = load_reference(channel, parse_json(text))
    if last is not None and isinstance(stored, Reference) and stored.kind == "$list":
        if last == 0:
            return []
        stored = Reference("$list", _end_of(stored.runs, last))
    items = Items(store.codec)
    yield from fetch_items(store, target.key, epoch, items, runs_in([stored]))
    with about(f"channel {channel!r}"):
        value = bare(items.value(stored))
    if last is None:
        return value
    if not isinstance(value, (list, tuple)):
        raise InvalidArgumentError(
            f"last={last} is for lists: channel {channel!r} holds a {type(value).__name__}; "
            "leave it out to get all of it"
        )
    return value[max(len(value) - last, 0) :]


def _end_of(runs: Sequence[Run], wanted: int) -> tuple[Run, ...]:
    """The last numbers of runs."""
    end: list[Run] = []
    for first, beyond in reversed(runs):
        if wanted <= 0:
            break
        end.append((max(first, beyond - wanted), beyond))
        wanted -= beyond - first
    return tuple(reversed(end))

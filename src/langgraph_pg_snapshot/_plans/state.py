"""The thread-keyed face: a thread's state as one dict, saved and loaded as a whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import orjson
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_pg_snapshot._plans.columns import load_header
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint
from langgraph_pg_snapshot._plans.put import put_checkpoint
from langgraph_pg_snapshot._plans.read import WIDTH, CheckpointRow, get_checkpoint
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot.models import NamespaceKey, Target

# The format of checkpoints that langgraph 1.x writes.
CHECKPOINT_FORMAT = 4
# How uuid6() writes ids.
UUID_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_state(channel: str) -> bool:
    """Whether a channel is part of what a person calls the state.

    LangGraph keeps its own book about inputs, tasks and edges in others; the view leaves out the
    same ones.
    """
    return channel not in ("__start__", "__pregel_tasks") and not channel.startswith(
        ("branch:to:", "join:")
    )


def load_state(store: Store, thread_id: str) -> Plan[dict[str, Any] | None]:
    """The newest state of a thread's root namespace.

    Nothing is rebuilt: of a DeltaChannel there is what LangGraph stored of it with this checkpoint,
    which is nothing or all (its reducer is the graph's).
    """
    found = yield from get_checkpoint(store, Target(NamespaceKey(thread_id, ""), None))
    if found is None:
        return None
    values = found.checkpoint["channel_values"]
    return {channel: bare(value) for channel, value in values.items() if is_state(channel)}


def bare(value: Any) -> Any:
    """A value as the graph has it: LangGraph wraps what it stores of a DeltaChannel."""
    return value.value if isinstance(value, _DeltaSnapshot) else value


def save_state(
    store: Store, thread_id: str, state: Mapping[str, Any], lease: int | None = None
) -> Plan[str]:
    """Store a state as the thread's newest checkpoint; returns the checkpoint's id.

    What the thread held before stays in its history. The state is a settled one: channels that it
    does not name have no value any more, and no task is left to run.
    """
    key = NamespaceKey(thread_id, "")
    head_id, header, step = yield from _read_head(store, key)
    versions: dict[str, Any] = header["channel_versions"]
    newest = max(map(next_version, versions.values()), default=next_version(None))
    # Every channel gets a new version: those that the state does not name have no value at theirs.
    changed = dict.fromkeys((*versions, *state), newest)
    checkpoint_id = _id_after(head_id, str(uuid6(clock_seq=step + 1)))
    yield from put_checkpoint(
        store,
        NewCheckpoint(
            Target(key, head_id),
            {
                "v": CHECKPOINT_FORMAT,
                "id": checkpoint_id,
                "ts": datetime.now(timezone.utc).isoformat(),
                "channel_values": dict(state),
                "channel_versions": changed,
                "versions_seen": header["versions_seen"],
                "updated_channels": sorted(state),
            },
            {"source": "update", "step": step + 1, "parents": {}},
            changed,
            # A DeltaChannel without a value is rebuilt from what ancestors wrote: there are none.
            is_root=True,
            lease=lease,
        ),
    )
    return checkpoint_id


def _read_head(store: Store, key: NamespaceKey) -> Plan[tuple[str | None, dict[str, Any], int]]:
    """Id, header and step of the newest checkpoint; its values need not even be loadable."""
    rows = yield Stmt(
        store.queries("list_checkpoints", "which_thread", "which_namespace"),
        {"thread_id": key.thread_id, "checkpoint_ns": key.checkpoint_ns, "limit": 1},
    )
    if not rows:
        return None, {"channel_versions": {}, "versions_seen": {}}, -1
    row = CheckpointRow(*rows[0][:WIDTH])
    header = {"versions_seen": {}, **load_header(store.codec, row.header)}
    step = orjson.loads(row.metadata).get("step")
    return row.checkpoint_id, header, step if isinstance(step, int) else -1


def _id_after(head_id: str | None, fresh: str) -> str:
    """An id larger than the newest one: a fresh one, as a rule.

    They grow with time, but another machine's clock may be ahead of ours, and an application may
    have made ids of another shape; then the fresh one comes behind the other.
    """
    if head_id is None or fresh > head_id:
        return fresh
    before, last = head_id[:-36], head_id[-36:]
    if UUID_SHAPE.fullmatch(last):
        larger = f"{int(last.replace('-', ''), 16) + 1:032x}"
        larger = "-".join((larger[:8], larger[8:12], larger[12:16], larger[16:20], larger[20:]))
        for candidate in (before + fresh, before + larger):
            if candidate > head_id:
                return candidate
    return head_id + fresh

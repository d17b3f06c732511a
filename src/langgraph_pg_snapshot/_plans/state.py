"""The thread-keyed face: a thread's state as one dict, saved and loaded as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, cast

from langgraph.checkpoint.base.id import uuid6

from langgraph_pg_snapshot._plans.put import NewCheckpoint, put_checkpoint
from langgraph_pg_snapshot._plans.read import get_checkpoint
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot.models import NamespaceKey, Target, ThreadInfo

# The format of checkpoints that langgraph 1.x writes.
CHECKPOINT_FORMAT = 4


def is_state(channel: str) -> bool:
    """Whether a channel is part of what a person calls the state.

    LangGraph keeps its own book about inputs, tasks and edges in others; the view leaves out the
    same ones.
    """
    return channel not in ("__start__", "__pregel_tasks") and not channel.startswith(
        ("branch:to:", "join:")
    )


def load_state(store: Store, thread_id: str) -> Plan[dict[str, Any] | None]:
    """The newest state of a thread's root namespace."""
    found = yield from get_checkpoint(store, Target(NamespaceKey(thread_id, ""), None))
    if found is None:
        return None
    values = found.checkpoint["channel_values"]
    return {channel: value for channel, value in values.items() if is_state(channel)}


def save_state(store: Store, thread_id: str, state: Mapping[str, Any]) -> Plan[str]:
    """Store a state as the thread's newest checkpoint; returns the checkpoint's id.

    What the thread held before stays in its history. The state is a settled one: channels that it
    does not name have no value any more, and no task is left to run.
    """
    key = NamespaceKey(thread_id, "")
    head = yield from get_checkpoint(store, Target(key, None))
    versions: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    step = -1
    if head is not None:
        versions = {**head.checkpoint["channel_versions"]}
        seen = head.checkpoint["versions_seen"]
        step = cast("Mapping[str, Any]", head.metadata).get("step", -1)
    # Every channel gets a new version: those that the state does not name have no value at theirs.
    newest = max(versions.values(), key=str, default=None)
    changed = {channel: next_version(newest) for channel in (*versions, *state)}
    # uuid6 ids grow with time; one that another machine's clock made may lie ahead of ours
    checkpoint_id = str(uuid6(clock_seq=step + 1))
    if head is not None and checkpoint_id <= head.checkpoint["id"]:
        checkpoint_id = _id_after(head.checkpoint["id"])
    yield from put_checkpoint(
        store,
        NewCheckpoint(
            Target(key, head.checkpoint["id"] if head is not None else None),
            {
                "v": CHECKPOINT_FORMAT,
                "id": checkpoint_id,
                "ts": datetime.now(timezone.utc).isoformat(),
                "channel_values": dict(state),
                "channel_versions": changed,
                "versions_seen": seen,
                "updated_channels": sorted(state),
            },
            {"source": "update", "step": step + 1, "parents": {}},
            changed,
        ),
    )
    return checkpoint_id


def _id_after(checkpoint_id: str) -> str:
    """An id of the same shape that is larger."""
    digits = checkpoint_id.replace("-", "")
    try:
        larger = f"{int(digits, 16) + 1:032x}"
    except ValueError:  # not a UUID: any longer text is larger
        return checkpoint_id + "0"
    return "-".join((larger[:8], larger[8:12], larger[12:16], larger[16:20], larger[20:]))


def list_threads(
    store: Store, limit: int | None, before: ThreadInfo | None
) -> Plan[list[ThreadInfo]]:
    """Threads, the most recently updated first."""
    rows = yield Stmt(
        store.queries("list_threads"),
        {
            "limit": limit,
            "updated_at": before.updated_at if before else None,
            "thread_id": before.thread_id if before else None,
        },
    )
    return [ThreadInfo(*row) for row in rows]

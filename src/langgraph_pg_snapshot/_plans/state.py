"""The thread-keyed face: a thread's state as one dict, saved and loaded as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import orjson
from langgraph.checkpoint.base.id import uuid6

from langgraph_pg_snapshot._plans.put import NewCheckpoint, put_checkpoint
from langgraph_pg_snapshot._plans.read import CheckpointRow, get_checkpoint
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
    head_id, header, metadata = yield from _read_head(store, key)
    versions: dict[str, Any] = header["channel_versions"]
    step: int = metadata.get("step", -1)
    # Every channel gets a new version: those that the state does not name have no value at theirs.
    newest = max(versions.values(), key=str, default=None)
    changed = {channel: next_version(newest) for channel in (*versions, *state)}
    # uuid6 ids grow with time; one that another machine's clock made may lie ahead of ours
    checkpoint_id = str(uuid6(clock_seq=step + 1))
    if head_id is not None and checkpoint_id <= head_id:
        checkpoint_id = _id_after(head_id)
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
        ),
    )
    return checkpoint_id


def _read_head(
    store: Store, key: NamespaceKey
) -> Plan[tuple[str | None, dict[str, Any], dict[str, Any]]]:
    """Id, header and metadata of the newest checkpoint; its values need not even be loadable."""
    rows = yield Stmt(
        store.queries("list_checkpoints", "which_thread", "which_namespace"),
        {"thread_id": key.thread_id, "checkpoint_ns": key.checkpoint_ns, "limit": 1},
    )
    if not rows:
        return None, {"channel_versions": {}, "versions_seen": {}}, {}
    row = CheckpointRow(*rows[0])
    decode = store.codec.snapshot.decode
    return row.checkpoint_id, decode(orjson.loads(row.header)), decode(orjson.loads(row.metadata))


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

"""A checkpoint on its way into the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph_pg_snapshot._plans.codec import Codec
from langgraph_pg_snapshot._plans.columns import dump_header, dump_metadata, seal, storable_run
from langgraph_pg_snapshot._plans.held import Awaited
from langgraph_pg_snapshot.models import NamespaceKey, Target


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
    on_head: bool = False  # stored only if its parent is the newest one
    lease: int | None = None  # stored only while the thread is held with this token

    @property
    def parent_id(self) -> str | None:
        """The checkpoint that it is a child of, as it says."""
        return None if self.is_root else self.target.checkpoint_id

    @property
    def run_id(self) -> str | None:
        """The run that it is of, as it says."""
        run_id = self.metadata.get("run_id")
        return storable_run(run_id) if isinstance(run_id, str) else None

    @property
    def running(self) -> str | None:
        """The run that is at work: none, if it is brought over from another saver."""
        return None if self.with_unversioned else self.run_id

    @property
    def root(self) -> Awaited | None:
        """The root checkpoint that a subgraph's call belongs to, if it is a subgraph's."""
        key, parents = self.target.key, self.metadata.get("parents")
        root_id = dict.get(parents, "") if isinstance(parents, dict) else None
        if key.checkpoint_ns == "" or not isinstance(root_id, str):
            return None
        # A call has its task's id after a ":"; the others have a memory of their own.
        or_later = self.is_at_exit and ":" not in key.checkpoint_ns
        return Awaited(NamespaceKey(key.thread_id, ""), root_id, or_later=or_later)


def checkpoint_params(codec: Codec, new: NewCheckpoint) -> dict[str, Any]:
    """The parameters of a put that do not depend on where the log is.

    Raises:
        SerializationError: The header or the metadata can't be stored.
    """
    checkpoint_id, parent_id = new.checkpoint["id"], new.parent_id
    header, hidden_header = dump_header(codec, new.checkpoint)
    metadata, hidden_metadata = dump_metadata(codec, new.metadata)
    sealed = seal(codec, hidden_metadata, hidden_header)
    return {
        "thread_id": new.target.key.thread_id,
        "checkpoint_ns": new.target.key.checkpoint_ns,
        "checkpoint_id": checkpoint_id,
        # "exit" durability puts a checkpoint over itself: that does not make it its own parent
        "parent_checkpoint_id": None if parent_id == checkpoint_id else parent_id,
        "run_id": new.run_id,
        "running": new.running,
        "header": header,
        "metadata": metadata,
        "sealed_type": sealed.type if sealed else None,
        "sealed": sealed.data if sealed else None,
        "created_at": new.created_at,
        "lease": new.lease,
        "on_head": new.on_head,
    }

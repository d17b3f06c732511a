"""Calls of LangGraph's hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_serializable_checkpoint_metadata,
)

from langgraph_pg_snapshot._addressed import AddressedId
from langgraph_pg_snapshot._calls.checks import (
    check_bool,
    check_filter,
    check_ids,
    check_limit,
    operation_on,
)
from langgraph_pg_snapshot._calls.leases import held_token
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import copy, delta, listing, read, remove, retention
from langgraph_pg_snapshot._plans import put as storing
from langgraph_pg_snapshot._plans import writes as pending
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import InvalidArgumentError
from langgraph_pg_snapshot.models import (
    Target,
    check_id,
    checkpoint_id_of,
    configurable_of,
)


def put(
    store: Store,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> Call[None]:
    """Store a checkpoint."""
    target = Target.of(config)
    for name in ("id", "channel_values", "channel_versions"):
        if name not in checkpoint:
            raise InvalidArgumentError(f"checkpoint has no {name!r}")
    check_id("checkpoint_id", checkpoint["id"])
    for channel in checkpoint["channel_versions"]:
        check_id("channel name", channel)
    said = cast("dict[str, Any]", get_serializable_checkpoint_metadata(config, metadata))
    if isinstance(parents := said.get("parents"), dict):
        said["parents"] = {ns: _plain(parent_id) for ns, parent_id in parents.items()}
    new = NewCheckpoint(
        target,
        cast("Mapping[str, Any]", checkpoint),
        said,
        new_versions,
        # LangGraph's own name for it; it hands it on to subgraphs
        is_at_exit=config["configurable"].get("__pregel_durability") == "exit",
        # Who named a checkpoint, or forks, means to leave the line.
        on_head=store.refuses_races
        and target.key.checkpoint_ns == ""
        and not isinstance(target.checkpoint_id, AddressedId)
        and said.get("source") != "fork",
        lease=held_token(store, target.key.thread_id),
    )
    return Call(operation_on("put", store, target.key), partial(storing.put_checkpoint, store, new))


def _plain(checkpoint_id: object) -> object:
    return str(checkpoint_id) if isinstance(checkpoint_id, AddressedId) else checkpoint_id


def config_after_put(config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
    """What put returns: exactly these three keys (LangGraph contract)."""
    return {
        "configurable": {
            "thread_id": config["configurable"]["thread_id"],
            "checkpoint_ns": config["configurable"].get("checkpoint_ns") or "",
            "checkpoint_id": checkpoint["id"],
        }
    }


def put_writes(
    store: Store,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Call[None]:
    """Store pending writes."""
    target = Target.of(config)
    if target.checkpoint_id is None:
        raise InvalidArgumentError(
            "config['configurable'] has no 'checkpoint_id': writes belong to a checkpoint"
        )
    check_id("task_id", task_id)
    check_id("task_path", task_path)
    for channel, _ in writes:
        check_id("channel name", channel)
    return Call(
        operation_on("put_writes", store, target.key),
        partial(
            pending.put_writes,
            *(store, target, writes, task_id, task_path),
            run_id=_run_id(config),
            lease=held_token(store, target.key.thread_id),
        ),
    )


def _run_id(config: RunnableConfig) -> str | None:
    """The run that a config names, in the places from which put takes it, too."""
    for part in (config.get("metadata"), config["configurable"]):
        if isinstance(part, Mapping) and isinstance(run_id := part.get("run_id"), str):
            return run_id.replace("\x00", "")
    return None


def get_tuple(store: Store, config: RunnableConfig) -> Call[CheckpointTuple | None]:
    """Read a checkpoint."""
    target = Target.of(config)
    return Call(
        operation_on("get_tuple", store, target.key), partial(read.get_checkpoint, store, target)
    )


class Lister:
    """A listing under way: one call a page."""

    def __init__(
        self,
        store: Store,
        config: RunnableConfig | None,
        filter_: Mapping[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        self._store = store
        self._target = None if config is None else Target.of(config)
        any_namespace = config is not None and config["configurable"].get("checkpoint_ns") is None
        before_id = None
        if before is not None:
            before_id = checkpoint_id_of(configurable_of(before, "before"))
        self._listing = listing.Listing(
            self._target, any_namespace, check_filter(filter_), before_id, check_limit(limit)
        )
        self._cursor = listing.Cursor()

    def operation(self, *, is_logged: bool = True) -> Operation:
        """The listing, for errors and logs; building what a page brought has no record itself."""
        key = self._target.key if self._target is not None else None
        namespace = None if key is None or self._listing.any_namespace else key.checkpoint_ns
        return Operation(
            "list", self._store.queries.label, key and key.thread_id, namespace, is_logged=is_logged
        )

    def next_page(self) -> Call[list[listing.Entry]]:
        """Read the next page; an empty one ends the listing."""
        return Call(
            self.operation(), partial(listing.list_page, self._store, self._listing, self._cursor)
        )


def get_delta_history(
    store: Store, config: RunnableConfig, channels: Sequence[str]
) -> Call[dict[str, DeltaChannelHistory]]:
    """Read what DeltaChannels are rebuilt from."""
    target = Target.of(config)
    names = check_ids("channels", channels, "channel name")
    return Call(
        operation_on("get_delta_channel_history", store, target.key),
        partial(delta.get_delta_history, store, target, names),
    )


def delete_thread(store: Store, thread_id: str) -> Call[None]:
    """Remove a thread."""
    check_id("thread_id", thread_id)
    return Call(
        Operation("delete_thread", store.queries.label, thread_id),
        partial(remove.erase_threads, store, [thread_id]),
    )


def delete_for_runs(store: Store, run_ids: Sequence[str]) -> Call[None]:
    """Remove what runs left behind."""
    ids = check_ids("run_ids", run_ids, "run_id")
    return Call(
        Operation("delete_for_runs", store.queries.label),
        partial(remove.delete_for_runs, store, ids),
    )


def copy_thread(store: Store, source: str, target: str, *, head_only: bool) -> Call[None]:
    """Copy a thread."""
    check_id("thread_id", source)
    check_id("thread_id", target)
    check_bool("head_only", head_only)
    return Call(
        Operation("copy_thread", store.queries.label, source),
        partial(copy.copy_thread, store, source, target, head_only=head_only),
    )


def prune(store: Store, thread_ids: Sequence[str], strategy: str) -> Call[None]:
    """Shorten or remove threads."""
    plans = {"keep_latest": retention.keep_latest, "delete": remove.erase_threads}
    ids = check_ids("thread_ids", thread_ids, "thread_id")
    if not isinstance(strategy, str) or strategy not in plans:
        raise InvalidArgumentError(
            f"unknown prune strategy {strategy!r}: it is one of {', '.join(map(repr, plans))}"
        )
    return Call(Operation("prune", store.queries.label), partial(plans[strategy], store, ids))

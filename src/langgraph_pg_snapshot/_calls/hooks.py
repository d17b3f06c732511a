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
from langgraph_pg_snapshot._arguments import (
    check_bool,
    check_dict,
    check_id,
    check_list,
    check_thread_id,
    reading_argument,
    shown,
)
from langgraph_pg_snapshot._calls.checks import check_filter, check_ids, check_limit, operation_on
from langgraph_pg_snapshot._calls.leases import held_token
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import copy, delta, listing, read, remove, retention
from langgraph_pg_snapshot._plans import put as storing
from langgraph_pg_snapshot._plans import writes as pending
from langgraph_pg_snapshot._plans.columns import storable_run
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import InvalidArgumentError
from langgraph_pg_snapshot.models import Target, checkpoint_id_of, configurable_of

PAIR = 2
# Formats of checkpoints are counted in an integer of 32 bits.
FORMAT_BITS = 31


def put(
    store: Store,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> tuple[Call[None], RunnableConfig]:
    """Store a checkpoint; with the config that names it then."""
    configurable = configurable_of(config)
    target = Target.of_configurable(configurable)
    said = _metadata(config, configurable, metadata)
    if type(parents := said.get("parents")) is dict:
        said["parents"] = {ns: _plain(parent_id) for ns, parent_id in parents.items()}
    new = NewCheckpoint(
        target,
        _checkpoint(checkpoint),
        said,
        _by_channel("new_versions", new_versions),
        # LangGraph's own name for it; it hands it on to subgraphs
        is_at_exit=_text(configurable.get("__pregel_durability")) == "exit",
        # Who named a checkpoint, or forks, means to leave the line.
        on_head=store.refuses_races
        and target.key.checkpoint_ns == ""
        and not isinstance(configurable.get("checkpoint_id"), AddressedId)
        and _text(said.get("source")) != "fork",
        lease=held_token(store, target.key.thread_id),
    )
    # Exactly these three keys (LangGraph contract)
    following = {**target.key._asdict(), "checkpoint_id": new.checkpoint["id"]}
    call = Call(operation_on("put", store, target.key), partial(storing.put_checkpoint, store, new))
    return call, {"configurable": following}


def _plain(checkpoint_id: object) -> object:
    return str(checkpoint_id) if isinstance(checkpoint_id, AddressedId) else checkpoint_id


def _checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    given = check_dict("checkpoint", checkpoint)
    for name in ("id", "channel_values", "channel_versions"):
        if name not in given:
            raise InvalidArgumentError(f"checkpoint has no {name!r}")
    checkpoint_id = check_id("checkpoint_id", given["id"])
    if not checkpoint_id:
        raise InvalidArgumentError('checkpoint_id is "", which names the newest checkpoint')
    values = check_dict("checkpoint['channel_values']", given["channel_values"])
    versions = _by_channel("checkpoint['channel_versions']", given["channel_versions"])
    # SQL goes by it.
    if (v := given.get("v")) is not None and (type(v) is not int or v.bit_length() > FORMAT_BITS):
        raise InvalidArgumentError(
            f"checkpoint['v'] must be LangGraph's number of the format, an int; got {shown(v)}"
        )
    return {
        **{check_id("checkpoint key", key): value for key, value in given.items()},
        "id": checkpoint_id,
        "channel_values": {name: values[name] for name in versions if name in values},
        "channel_versions": versions,
    }


def _by_channel(argument: str, given: object) -> dict[str, Any]:
    return {check_id("channel name", name): v for name, v in check_dict(argument, given).items()}


def _metadata(
    config: RunnableConfig, configurable: Mapping[Any, Any], metadata: CheckpointMetadata
) -> dict[str, Any]:
    """Metadata with what the config adds to it, as LangGraph puts them together."""
    parts = {"configurable": _named(configurable)}
    if (more := config.get("metadata")) is not None:
        parts["metadata"] = _named(check_dict("config['metadata']", more))
    with reading_argument("metadata"):
        return cast(
            "dict[str, Any]",
            get_serializable_checkpoint_metadata(
                cast("RunnableConfig", parts),
                cast("CheckpointMetadata", _named(check_dict("metadata", metadata))),
            ),
        )


def _named(metadata: Mapping[Any, Any]) -> dict[str, Any]:
    """Metadata never fails a run: what is no name is stored as text, as JSON has it."""
    return {key if type(key) is str else _name(key): value for key, value in metadata.items()}


def _name(key: object) -> str:
    return shown(key) if (name := _text(key)) is None else name


def _text(value: object) -> str | None:
    return str.__str__(value) if isinstance(value, str) else None


def put_writes(
    store: Store,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Call[None]:
    """Store pending writes."""
    configurable = configurable_of(config)
    target = Target.of_configurable(configurable)
    if target.checkpoint_id is None:
        raise InvalidArgumentError(
            "config['configurable'] has no 'checkpoint_id': writes belong to a checkpoint"
        )
    return Call(
        operation_on("put_writes", store, target.key),
        partial(
            pending.put_writes,
            *(store, target, _writes(writes)),
            *(check_id("task_id", task_id), check_id("task_path", task_path)),
            run_id=_run_id(config, configurable),
            lease=held_token(store, target.key.thread_id),
        ),
    )


def _writes(writes: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    pairs = []
    for each in check_list("writes", writes, "(channel, value) pairs"):
        pair = check_list("a write", each, "channel and value")
        if len(pair) != PAIR:
            raise InvalidArgumentError(f"a write is (channel, value), got {len(pair)} values")
        pairs.append((check_id("channel name", pair[0]), pair[1]))
    return pairs


def _run_id(config: RunnableConfig, configurable: Mapping[Any, Any]) -> str | None:
    """The run that a config names, in the places from which put takes it, too."""
    metadata = config.get("metadata")
    for part in (
        {} if metadata is None else check_dict("config['metadata']", metadata),
        configurable,
    ):
        if (run_id := _text(part.get("run_id"))) is not None:
            return storable_run(run_id)
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
        any_namespace = config is not None and configurable_of(config).get("checkpoint_ns") is None
        before_id = None
        if before is not None:
            before_id = checkpoint_id_of(configurable_of(before, "before"))
        self._listing = listing.Listing(
            self._target, any_namespace, check_filter(store, filter_), before_id, check_limit(limit)
        )
        self._cursor = listing.Cursor()

    def _operation(self, *, is_logged: bool = True) -> Operation:
        """The listing, for errors and logs; building what a page brought has no record itself."""
        key = self._target.key if self._target is not None else None
        namespace = None if key is None or self._listing.any_namespace else key.checkpoint_ns
        return Operation(
            "list", self._store.queries.label, key and key.thread_id, namespace, is_logged=is_logged
        )

    def next_page(self) -> Call[list[listing.Entry]]:
        """Read the next page; an empty one ends the listing."""
        return Call(
            self._operation(), partial(listing.list_page, self._store, self._listing, self._cursor)
        )

    def build(self, page: listing.Page) -> list[CheckpointTuple]:
        """Build the next few checkpoints of a page; none at its end."""
        with self._operation(is_logged=False):
            return page.build()


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
    thread_id = check_thread_id(thread_id)
    return Call(
        Operation("delete_thread", store.queries.label, thread_id),
        partial(remove.erase_threads, store, [thread_id]),
    )


def delete_for_runs(store: Store, run_ids: Sequence[str]) -> Call[None]:
    """Remove what runs left behind."""
    ids = [storable_run(run_id) for run_id in check_ids("run_ids", run_ids, "run_id")]
    return Call(
        Operation("delete_for_runs", store.queries.label),
        partial(remove.delete_for_runs, store, ids),
    )


def copy_thread(store: Store, source: str, target: str, *, head_only: bool) -> Call[None]:
    """Copy a thread."""
    source, target = check_thread_id(source), check_thread_id(target)
    check_bool("head_only", head_only)
    return Call(
        Operation("copy_thread", store.queries.label, source),
        partial(copy.copy_thread, store, source, target, head_only=head_only),
    )


def prune(store: Store, thread_ids: Sequence[str], strategy: str) -> Call[None]:
    """Shorten or remove threads."""
    plans = {"keep_latest": retention.keep_latest, "delete": remove.erase_threads}
    ids = check_ids("thread_ids", thread_ids, "thread_id")
    plan = plans.get(_text(strategy) or "")
    if plan is None:
        raise InvalidArgumentError(
            f"unknown prune strategy {shown(strategy)}: it is one of {', '.join(map(repr, plans))}"
        )
    return Call(Operation("prune", store.queries.label), partial(plan, store, ids))

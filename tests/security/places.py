"""Where in the arguments of the public methods a hostile value can stand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from helpers import checkpoint_of, config_of, next_version
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy, ThreadInfo

Place = Callable[[Any], Any]

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
COUNTERS = "counters_since_delta_snapshot"


def itself(value: Any) -> Any:
    return value


def config(**configurable: Any) -> dict[str, Any]:
    return {"configurable": {**config_of("t", "c")["configurable"], **configurable}}


def checkpoint(values: Any = None, versions: Any = None, **more: Any) -> dict[str, Any]:
    values = {"a": "x" * 300, "l": [{"n": "y" * 60}] * 9} if values is None else values
    versions = dict.fromkeys(values, "1") if versions is None else versions
    return {**checkpoint_of({}, {}), "channel_values": values, "channel_versions": versions, **more}


def keyed(key: Any, value: Any = 1) -> Any:
    """A dict with that key; one that can't be a key stands in its own place."""
    try:
        return {key: value}
    except (TypeError, RuntimeError):
        return key


CONFIG: dict[str, Place] = {
    "config": itself,
    "configurable": lambda v: {"configurable": v},
    "thread_id": lambda v: config(thread_id=v),
    "checkpoint_ns": lambda v: config(checkpoint_ns=v),
    "checkpoint_id": lambda v: config(checkpoint_id=v),
    "a value of configurable": lambda v: config(user=v),
    "run_id of configurable": lambda v: config(run_id=v),
    "a key of configurable": lambda v: {"configurable": {**config()["configurable"], **_dict(v)}},
    "metadata of config": lambda v: {**config(), "metadata": v},
    "a value of config's metadata": lambda v: {**config(), "metadata": {"user": v, "run_id": v}},
    "a key of config's metadata": lambda v: {**config(), "metadata": keyed(v)},
}
IDS: dict[str, Place] = {"itself": itself, "an element": lambda v: ["a", v]}
FILTER: dict[str, Place] = {
    "filter": itself,
    "a key": lambda v: keyed(v, "nothing"),
    "a value": lambda v: {"user": v},
    "a value beside": lambda v: {"user": "u", "other": v},
    "deep inside": lambda v: {"user": {"deep": [v]}},
}


def _dict(key: Any) -> dict[Any, Any]:
    made = keyed(key)
    return made if type(made) is dict else {"odd": made}


# By the parameter's name, or by method and parameter where a name means different things.
PLACES: dict[str, dict[str, Place]] = {
    "config": CONFIG,
    "checkpoint": {
        "checkpoint": itself,
        "id": lambda v: checkpoint(id=v),
        "channel_values": lambda v: {**checkpoint(), "channel_values": v},
        "a channel": lambda v: checkpoint(_dict(v), _dict(v)),
        "a channel without a value": lambda v: checkpoint({}, _dict(v)),
        "a value": lambda v: checkpoint({"a": v}),
        "deep in a value": lambda v: checkpoint({"a": {"deep": [v, "x" * 300]}}),
        "an element": lambda v: checkpoint({"a": ["x" * 300, v]}),
        "channel_versions": lambda v: {**checkpoint(), "channel_versions": v},
        "a version": lambda v: checkpoint({"a": 1}, {"a": v}),
        "versions_seen": lambda v: checkpoint(versions_seen=v),
        "a version that was seen": lambda v: checkpoint(versions_seen={"node": {"a": v}}),
        "updated_channels": lambda v: checkpoint(updated_channels=v),
        "ts": lambda v: checkpoint(ts=v),
        "v": lambda v: checkpoint(v=v),
        "another member": lambda v: {**checkpoint(), **_dict(v)},
    },
    "metadata": {
        "metadata": itself,
        "a key": keyed,
        "a value": lambda v: {"user": v},
        "deep inside": lambda v: {"user": {"deep": [v]}},
        "source": lambda v: {"source": v},
        "step": lambda v: {"step": v},
        "parents": lambda v: {"parents": v},
        "a parent": lambda v: {"parents": {"": v}},
        "run_id": lambda v: {"run_id": v},
        "counters": lambda v: {COUNTERS: v},
        "a counter": lambda v: {COUNTERS: {"a": v}},
    },
    "new_versions": {
        "new_versions": itself,
        "a channel": keyed,
        "a version": lambda v: {"a": v, "l": v},
    },
    "writes": {
        "writes": itself,
        "a write": lambda v: [v],
        "a channel": lambda v: [(v, 1)],
        "a value": lambda v: [("a", v)],
        "deep in a value": lambda v: [("a", {"deep": [v]})],
        "too much": lambda v: [("a", v, v)],
    },
    "task_id": {"task_id": itself},
    "task_path": {"task_path": itself},
    "thread_id": {"thread_id": itself},
    "source_thread_id": {"source_thread_id": itself},
    "target_thread_id": {"target_thread_id": itself},
    "checkpoint_ns": {"checkpoint_ns": itself},
    "checkpoint_id": {"checkpoint_id": itself},
    "channel": {"channel": itself},
    "channels": IDS,
    "thread_ids": IDS,
    "run_ids": IDS,
    "strategy": {"strategy": itself},
    "head_only": {"head_only": itself},
    "filter": FILTER,
    "limit": {"limit": itself},
    "last": {"last": itself},
    "order": {"order": itself},
    "default": {"default": itself},
    "policy": {"policy": itself},
    "batch": {"batch": itself},
    "dry_run": {"dry_run": itself},
    "allow_all": {"allow_all": itself},
    "state": {
        "state": itself,
        "a channel": keyed,
        "a value": lambda v: {"a": v},
        "deep in a value": lambda v: {"a": {"deep": [v]}},
    },
    "extra_allowlist": {
        "extra_allowlist": itself,
        "a class": lambda v: [v],
        "a module": lambda v: [(v, "Name")],
        "a name": lambda v: [("module", v)],
    },
    "current": {"current": itself},
    "ttl": {"ttl": itself},
    "timeout": {"timeout": itself},
    "list.before": CONFIG,
    "list_threads.before": {
        "before": itself,
        "updated_at": lambda v: ThreadInfo("t", NOW, v),
        "its thread": lambda v: ThreadInfo(v, NOW, NOW),
    },
    "history.before": {"before": itself},
}

# Good arguments, where an argument has no default; none of them touches the canary.
GOOD: dict[str, Callable[[], Any]] = {
    "config": config,
    "checkpoint": checkpoint,
    "metadata": lambda: {"source": "loop", "step": 1, "user": "u"},
    "new_versions": lambda: {"a": next_version(None), "l": next_version(None)},
    "writes": lambda: [("a", 1)],
    "task_id": lambda: "task",
    "thread_id": lambda: "t",
    "source_thread_id": lambda: "t",
    "target_thread_id": lambda: "copy",
    "channel": lambda: "a",
    "channels": lambda: ["a"],
    "thread_ids": lambda: ["t"],
    "run_ids": lambda: ["r"],
    "state": lambda: {"a": "x" * 300},
    "policy": lambda: RetentionPolicy(keep_last=5, max_age=timedelta(days=900)),
    "extra_allowlist": lambda: [("module", "Name")],
    "current": lambda: None,
    "erase.filter": lambda: {"user": "nobody"},
}
# Of these only one may be given.
EITHER = {("erase", "thread_ids"): "filter"}

# What makes a saver is fuzzed by itself; what ends one takes no argument.
MAKERS = {"from_conn_string", "embedded"}


def public_methods() -> list[str]:
    """Every public method of the saver, its own and those that it inherits, the makers aside."""
    names = (name for name, _ in inspect.getmembers(PostgresSnapshotSaver, inspect.isroutine))
    return sorted(name for name in names if not name.startswith("_") and name not in MAKERS)


def sync_name(method: str) -> str:
    """A method's name without the "a" of an async twin."""
    bare = method.removeprefix("a")
    return bare if method != bare and hasattr(PostgresSnapshotSaver, bare) else method


def places(method: str) -> Iterator[tuple[str, str, Place]]:
    """Each place in the arguments of a method: the parameter, the place's name, what fills it.

    A parameter of which no place is known is an error: add it above.
    """
    for parameter in parameters(method):
        specific = PLACES.get(f"{method}.{parameter}")
        known = PLACES.get(parameter) if specific is None else specific
        if known is None:
            raise LookupError(f"{method}({parameter}=…) has no hostile arguments: add some")
        for name, place in known.items():
            yield parameter, name, place


def parameters(method: str) -> list[str]:
    found = inspect.signature(getattr(PostgresSnapshotSaver, method)).parameters
    return [name for name in found if name != "self"]


def arguments(method: str, hostile: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a call: these hostile ones, and good ones for all others that it needs."""
    made = dict(hostile)
    found = inspect.signature(getattr(PostgresSnapshotSaver, method)).parameters
    for name, parameter in found.items():
        if name in hostile or name in {EITHER.get((method, given)) for given in hostile}:
            continue
        if f"{method}.{name}" in GOOD:
            made[name] = GOOD[f"{method}.{name}"]()
        elif parameter.default is inspect.Parameter.empty and name != "self":
            made[name] = GOOD[name]()
    return made

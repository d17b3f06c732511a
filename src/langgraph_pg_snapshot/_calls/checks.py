"""What several operations ask of their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langgraph_pg_snapshot._arguments import (
    check_count,
    check_dict,
    check_id,
    check_list,
    check_thread_id,
    shown,
)
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ArgumentTypeError, about
from langgraph_pg_snapshot.models import NamespaceKey


def check_limit(limit: int | None, argument: str = "limit") -> int | None:
    """Return a limit that is None (for no limit) or an int from 0 to 2^63 - 1.

    Raises:
        InvalidArgumentError: It is neither.
    """
    return None if limit is None else check_count(argument, limit, "; None means no limit")


def check_filter(store: Store, filter_: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a filter by metadata; none is an empty one.

    Raises:
        InvalidArgumentError: It is no dict with str keys.
        SerializationError: A value of it is nothing that metadata could hold.
    """
    if filter_ is None:
        return {}
    if not isinstance(filter_, Mapping):
        raise ArgumentTypeError(f"filter must be a dict of metadata, got {type(filter_).__name__}")
    checked = {
        check_id("filter key", key): value for key, value in check_dict("filter", filter_).items()
    }
    for key, value in checked.items():
        with about(f"filter[{shown(key)}]"):
            store.codec.snapshot.encode(value)
    return checked


def check_ids(argument: str, ids: Sequence[str], each: str) -> list[str]:
    """Return a list of ids.

    Raises:
        InvalidArgumentError: It is a single str (its characters are hardly meant), or no sequence.
    """
    check = check_thread_id if each == "thread_id" else partial(check_id, each)
    return [check(one) for one in check_list(argument, ids, "str", f": pass [{each}]")]


def operation_on(name: str, store: Store, key: NamespaceKey) -> Operation:
    """An operation on one namespace of a thread."""
    return Operation(name, store.queries.label, key.thread_id, key.checkpoint_ns)

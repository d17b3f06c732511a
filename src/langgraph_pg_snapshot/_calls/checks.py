"""What several operations ask of their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError
from langgraph_pg_snapshot.models import LARGEST_COUNT, NamespaceKey, check_id


def check_limit(limit: int | None, argument: str = "limit") -> int | None:
    """Return a limit that is None or an int from 0 to 2^63 - 1.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
        raise ArgumentTypeError(f"{argument} must be an int or None, got {type(limit).__name__}")
    if limit is not None and limit < 0:
        raise InvalidArgumentError(
            f"{argument} must be at least 0, got {limit}; None means no limit"
        )
    if limit is not None and limit > LARGEST_COUNT:
        raise InvalidArgumentError(
            f"{argument} must be at most {LARGEST_COUNT} (2^63 - 1); None means no limit"
        )
    return limit


def check_bool(argument: str, value: bool) -> bool:  # noqa: FBT001 -- it is the value to check
    """Return a bool.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{argument} must be True or False, got {type(value).__name__}")
    return value


def check_filter(filter_: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a filter by metadata; none is an empty one.

    Raises:
        InvalidArgumentError: It is no dict with str keys.
    """
    if filter_ is None:
        return {}
    if not isinstance(filter_, Mapping):
        raise ArgumentTypeError(f"filter must be a dict of metadata, got {type(filter_).__name__}")
    for key in filter_:
        check_id("filter key", key)
    return filter_


def check_ids(argument: str, ids: Sequence[str], each: str) -> list[str]:
    """Return a list of ids.

    Raises:
        InvalidArgumentError: It is a single str (its characters are hardly meant), or no sequence.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise ArgumentTypeError(
            f"{argument} must be a list of str, got {type(ids).__name__}: pass [{each}]"
        )
    return [check_id(each, one) for one in ids]


def operation_on(name: str, store: Store, key: NamespaceKey) -> Operation:
    """An operation on one namespace of a thread."""
    return Operation(name, store.queries.label, key.thread_id, key.checkpoint_ns)

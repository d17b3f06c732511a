"""Calls of the thread-keyed methods."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from langgraph_pg_snapshot._arguments import check_dict, check_id, check_thread_id
from langgraph_pg_snapshot._calls.checks import operation_on
from langgraph_pg_snapshot._calls.leases import held_token
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import check as checking
from langgraph_pg_snapshot._plans import state as saving
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ArgumentTypeError
from langgraph_pg_snapshot.models import NamespaceKey, UnloadableValue


def save_state(store: Store, thread_id: str, values: Mapping[str, Any]) -> Call[str]:
    """Store a thread's whole state."""
    key = NamespaceKey(check_thread_id(thread_id), "")
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(
            f"state must be a dict of values by channel, got {type(values).__name__}"
        )
    state = {
        check_id("channel name", channel): value
        for channel, value in check_dict("state", values).items()
    }
    return Call(
        operation_on("save_state", store, key),
        partial(saving.save_state, store, key.thread_id, state, held_token(store, key.thread_id)),
    )


def load_state(store: Store, thread_id: str) -> Call[dict[str, Any] | None]:
    """Read a thread's whole state."""
    key = NamespaceKey(check_thread_id(thread_id), "")
    return Call(
        operation_on("load_state", store, key), partial(saving.load_state, store, key.thread_id)
    )


def check_thread(store: Store, thread_id: str) -> Call[list[UnloadableValue]]:
    """Try to load all of a thread."""
    thread_id = check_thread_id(thread_id)
    return Call(
        Operation("check", store.queries.label, thread_id),
        partial(checking.check_thread, store, thread_id),
    )

"""Calls that remove what is not wanted any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langgraph_pg_snapshot._arguments import check_bool, shown
from langgraph_pg_snapshot._calls.checks import check_filter, check_ids
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import erase as erasing
from langgraph_pg_snapshot._plans import retention
from langgraph_pg_snapshot._plans.steps import taking_long
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError
from langgraph_pg_snapshot.models import RemovalReport, RetentionPolicy
from langgraph_pg_snapshot.sql import STEP_METADATA

# More threads are not locked at once; and statements have this as a constant, for the planner.
MAX_BATCH = 1_000


def sweep(
    store: Store, policy: RetentionPolicy, batch: int, *, dry_run: bool
) -> Call[RemovalReport]:
    """Apply a policy to every thread."""
    if not isinstance(policy, RetentionPolicy):
        raise ArgumentTypeError(
            f"policy must be a RetentionPolicy, got {type(policy).__name__}: pass "
            "RetentionPolicy(keep_last=…, max_age=…, max_idle=…)"
        )
    if not isinstance(batch, int) or isinstance(batch, bool):
        raise ArgumentTypeError(f"batch must be an int, got {type(batch).__name__}")
    batch = int.__int__(batch)
    if not 1 <= batch <= MAX_BATCH:
        raise InvalidArgumentError(f"batch must be from 1 to {MAX_BATCH}, got {shown(batch)}")
    check_bool("dry_run", dry_run)
    return Call(
        Operation("sweep", store.queries.label),
        partial(taking_long, partial(retention.sweep, store, policy, batch, dry_run=dry_run)),
    )


def erase(
    store: Store,
    wanted: Mapping[str, Any] | None,
    thread_ids: Sequence[str] | None,
    *,
    dry_run: bool,
    allow_all: bool,
) -> Call[RemovalReport]:
    """Erase threads by what they say, or by their ids."""
    check_bool("dry_run", dry_run)
    check_bool("allow_all", allow_all)
    if thread_ids is not None:
        if wanted is not None:
            raise InvalidArgumentError("pass filter= or thread_ids=, not both")
        ids = check_ids("thread_ids", thread_ids, "thread_id")
        return Call(
            Operation("erase", store.queries.label),
            partial(erasing.erase_these, store, ids, dry_run=dry_run),
        )
    if wanted is None:
        raise ArgumentTypeError(
            "filter must be a dict of metadata, got None; or pass thread_ids=[…]"
        )
    checked = check_filter(store, wanted)
    for key, value in checked.items():
        if key in STEP_METADATA and key != "run_id":
            raise InvalidArgumentError(
                f"filter has {key!r}, which LangGraph says of a checkpoint, whosever thread it is: "
                "it would erase the threads of everyone"
            )
        if value is None:
            raise InvalidArgumentError(
                f"filter has None for {key!r}: list() takes that for a missing key, too, which "
                "here would erase the threads of everyone who has none"
            )
    if not checked and not allow_all:
        raise InvalidArgumentError(
            "an empty filter erases every thread: pass allow_all=True if that is meant"
        )
    return Call(
        Operation("erase", store.queries.label),
        partial(taking_long, partial(erasing.erase, store, checked, dry_run=dry_run)),
    )

"""Under which conditions something is stored, besides those that it takes to store it at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_pg_snapshot._plans.lease import lost_lease
from langgraph_pg_snapshot._plans.steps import Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ConcurrentUpdateError


def fence_of(params: Mapping[str, Any], *, has_log: bool = False) -> tuple[str, ...]:
    """The conditions of a statement with these parameters; of a put also whether there is a log."""
    held = () if params["lease"] is None else ("which_held",)
    return (*held, "which_on_head") if has_log and params["on_head"] else held


def check_lease(store: Store, params: Mapping[str, Any]) -> Plan[None]:
    """See whether a lost lease is why a statement with these parameters stored nothing.

    Raises:
        LeaseLostError: It is.
    """
    if params["lease"] is None:
        return
    [(is_held,)] = yield Stmt(store.queries("holds_lease"), params)
    if not is_held:
        raise lost_lease(params["thread_id"], params["lease"])


def check_head(
    store: Store, params: Mapping[str, Any], *, parent_was_refused: bool = False
) -> Plan[None]:
    """See whether another run is why a put with these parameters stored nothing, or is not to.

    A run whose puts go on in the background may have made the next checkpoint before it is told
    that its parent was refused: that one has no place in the line either.

    Raises:
        ConcurrentUpdateError: It is.
    """
    if not params["on_head"]:
        return
    [(head, is_stored)] = yield Stmt(store.queries("newest_checkpoint"), params)
    parent = params["parent_checkpoint_id"]
    is_overtaken = head is not None and (parent is None or head > parent or parent_was_refused)
    if is_stored or not is_overtaken:
        return
    error = ConcurrentUpdateError(
        f"checkpoint {params['checkpoint_id']!r} follows "
        + ("an empty thread" if parent is None else repr(parent))
        + f", and the newest is {head!r} by now: another run was faster. It is not stored, and the "
        "run ends here. Run it again, from the newest one; or have turns wait for one another "
        "(saver.exclusive). To fork on purpose, name the checkpoint_id in the config"
    )
    error.thread_id, error.checkpoint_ns = params["thread_id"], params["checkpoint_ns"]
    error.checkpoint_id, error.parent_checkpoint_id = params["checkpoint_id"], parent
    error.head_checkpoint_id = head
    raise error

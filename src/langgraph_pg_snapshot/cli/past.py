"""history, diff: how a thread came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from langgraph_pg_snapshot._plans.state import is_state
from langgraph_pg_snapshot.cli.changes import Change, changes
from langgraph_pg_snapshot.cli.drawing import drawn
from langgraph_pg_snapshot.cli.output import age, shortened
from langgraph_pg_snapshot.cli.readable import readable
from langgraph_pg_snapshot.cli.session import Session, command
from langgraph_pg_snapshot.cli.state import (
    Namespace,
    Thread,
    check_exists,
    config_of,
    described,
    find_checkpoint,
)
from langgraph_pg_snapshot.models import CheckpointInfo
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_STYLES = {"added": "green", "removed": "red", "changed": "yellow"}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for run in (history, diff):
        command(app)(run)


def history(
    session: Session,
    thread: Thread,
    namespace: Namespace = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the newest ones.", show_default=False)
    ] = None,
) -> None:
    """Show a thread's checkpoints as a tree: steps, nodes, what changed, forks."""
    with session.saver() as saver:
        found = list(saver.history(thread, checkpoint_ns=namespace, limit=limit))
        check_exists(found, thread, namespace)
        rows = session.rows(
            "steps_of",
            thread_id=thread,
            checkpoint_ns=namespace,
            checkpoint_ids=[each.checkpoint_id for each in found],
        )
    steps = {row[0]: row[1:] for row in rows}
    checkpoints = [_step(info, steps.get(info.checkpoint_id, (None,) * 5)) for info in found]
    output = session.output

    def render() -> None:
        output.line(thread, "bold")
        by_id = {each["checkpoint_id"]: each for each in checkpoints}
        parents = {each: by_id[each]["parent_checkpoint_id"] for each in by_id}
        for prefix, each in drawn(parents):
            output.line(prefix + _step_line(by_id[each]))

    output.show(
        {"thread_id": thread, "checkpoint_ns": namespace, "checkpoints": checkpoints}, render
    )


def _step(info: CheckpointInfo, told: Sequence[Any]) -> dict[str, Any]:
    nodes, changed, interrupts, error, run_id = told
    return {
        **described(info),
        "nodes": nodes,
        "changed_channels": changed or [],
        "interrupts": interrupts or [],
        "error": error,
        "run_id": run_id,
    }


def _step_line(step: Mapping[str, Any]) -> str:
    parts = [str(step["checkpoint_id"]), age(step["created_at"])]
    if step["step"] is not None:
        parts.append(f"step {step['step']}")
    if step["source"] not in (None, "loop"):
        parts.append(step["source"])
    if step["nodes"]:
        parts.append(f"ran {', '.join(step['nodes'])}")
    if step["changed_channels"]:
        parts.append(f"changed {', '.join(step['changed_channels'])}")
    if step["interrupts"]:
        parts.append(f"asked {shortened(', '.join(map(readable, step['interrupts'])), 60)}")
    if step["error"]:
        parts.append(f"failed: {shortened(step['error'], 60)}")
    return "  ".join(parts)


def diff(
    session: Session,
    thread: Thread,
    before: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint: its id, or a part of it that no other has."
        ),
    ],
    after: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="The one to compare it with.")
    ] = "newest",
    namespace: Namespace = "",
) -> None:
    """Show what changed between two states of a thread, channel by channel."""
    with session.saver() as saver:
        infos = [find_checkpoint(saver, thread, namespace, each) for each in (before, after)]
        states = [_state(saver, thread, info) for info in infos]
    found = changes(*states)
    data = {
        "thread_id": thread,
        "checkpoint_ns": namespace,
        "from": infos[0].checkpoint_id,
        "to": infos[1].checkpoint_id,
        "channels": found,
    }
    output = session.output

    def render() -> None:
        if not found:
            output.line("nothing changed")
        for channel, change in found.items():
            for style, line in _lines(channel, change, ""):
                output.line(line, style)

    output.show(data, render)


def _state(saver: PostgresSnapshotSaver, thread: str, info: CheckpointInfo) -> dict[str, Any]:
    found = saver.get_tuple(config_of(thread, info))
    values = found.checkpoint["channel_values"] if found else {}
    return {channel: value for channel, value in values.items() if is_state(channel)}


def _lines(name: str, change: Change, indent: str) -> Iterator[tuple[str, str]]:
    kind = change["change"]
    head = f"{indent}{_SIGNS[kind]} {name}"
    if kind != "changed":
        value = change["after" if kind == "added" else "before"]
        yield _STYLES[kind], f"{head}: {shortened(readable(value), 200)}"
    elif "items" in change:
        yield _STYLES[kind], head
        for item in change["items"]:
            yield from _lines(f"[{item['position']}]", item, f"{indent}  ")
    elif "entries" in change:
        yield _STYLES[kind], head
        for key, entry in change["entries"].items():
            yield from _lines(key, entry, f"{indent}  ")
    else:
        old, new = (shortened(readable(change[each]), 200) for each in ("before", "after"))
        yield _STYLES[kind], f"{head}: {old} → {new}"

"""show, history, diff: what is in a thread, and how it came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from langgraph_pg_snapshot._plans.state import is_state
from langgraph_pg_snapshot.cli.changes import Change, changes
from langgraph_pg_snapshot.cli.drawing import drawn
from langgraph_pg_snapshot.cli.output import Output, age, counted, shortened
from langgraph_pg_snapshot.cli.readable import (
    bare,
    elements,
    entries,
    is_message,
    is_opaque,
    readable,
)
from langgraph_pg_snapshot.cli.session import Session, command
from langgraph_pg_snapshot.errors import SnapshotError
from langgraph_pg_snapshot.models import CheckpointInfo
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver

Thread = Annotated[str, typer.Argument(help="The thread.")]
Namespace = Annotated[str, typer.Option(help="Its namespace; the root one without it.")]
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_STYLES = {"added": "green", "removed": "red", "changed": "yellow"}
_NOTHING = object()


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for run in (show, history, diff):
        command(app)(run)


def show(
    session: Session,
    thread: Thread,
    checkpoint: Annotated[
        str, typer.Option(help="A checkpoint: its id, or a part of it that no other has.")
    ] = "newest",
    *,
    namespace: Namespace = "",
    channel: Annotated[
        str | None, typer.Option(help="Only this channel.", show_default=False)
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(min=0, help="Of lists only so many elements, the last.", show_default=False),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Do not shorten values.")] = False,
) -> None:
    """Show a thread's state. The application's classes need not be there."""
    with session.saver() as saver:
        info = _checkpoint(saver, thread, namespace, checkpoint)
        if channel is not None:
            values = {channel: _channel(saver, info, thread, channel, last)}
            interrupts: list[Any] = []
        else:
            found = saver.get_tuple(_config(thread, info))
            stored = found.checkpoint["channel_values"] if found else {}
            values = {name: bare(stored[name]) for name in sorted(stored) if is_state(name)}
            interrupts = _interrupts((found.pending_writes if found else None) or ())
    if last is not None:
        values = {name: _end_of(value, last) for name, value in values.items()}
    data = {
        "thread_id": thread,
        **_described(info),
        "metadata": dict(info.metadata),
        "state": values,
        "interrupts": interrupts,
        "opaque": [name for name, value in values.items() if is_opaque(value)],
    }
    session.output.show(data, lambda: _show_state(session.output, data, info, full=full))


def _described(info: CheckpointInfo) -> dict[str, Any]:
    return {
        "checkpoint_ns": info.checkpoint_ns,
        "checkpoint_id": info.checkpoint_id,
        "parent_checkpoint_id": info.parent_checkpoint_id,
        "created_at": info.created_at,
        "step": info.step,
        "source": info.source,
    }


def _config(thread: str, info: CheckpointInfo) -> Any:
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": info.checkpoint_ns,
            "checkpoint_id": info.checkpoint_id,
        }
    }


def _channel(
    saver: PostgresSnapshotSaver, info: CheckpointInfo, thread: str, channel: str, last: int | None
) -> Any:
    place: dict[str, Any] = {
        "checkpoint_id": info.checkpoint_id,
        "checkpoint_ns": info.checkpoint_ns,
        "default": _NOTHING,
    }
    try:
        value = saver.get_channel(thread, channel, last=last, **place)
    except ValueError:  # no list, as it is stored: a tuple, or a DeltaChannel's snapshot
        value = saver.get_channel(thread, channel, **place)
    if value is _NOTHING:
        raise SnapshotError(
            f"checkpoint {info.checkpoint_id!r} of thread {thread!r} has no channel {channel!r}"
        )
    return bare(value)


def _end_of(value: Any, last: int) -> Any:
    if isinstance(value, list):
        return value[max(len(value) - last, 0) :]
    if (parts := elements(value)) is not None:
        return {**value, "items": parts[max(len(parts) - last, 0) :]}
    return value


def _interrupts(writes: Sequence[tuple[str, str, Any]]) -> list[Any]:
    asked: list[Any] = []
    for _, channel, value in writes:
        if channel == "__interrupt__":
            asked += [
                each.get("value", each) if isinstance(each, dict) else each
                for each in elements(value) or [value]
            ]
    return asked


def _show_state(
    output: Output, data: Mapping[str, Any], info: CheckpointInfo, *, full: bool
) -> None:
    length = 1_000_000 if full else 200
    place = f" in {info.checkpoint_ns!r}" if info.checkpoint_ns else ""
    output.line(f"{data['thread_id']}{place}", "bold")
    step = "" if info.step is None else f", step {info.step}"
    output.line(f"checkpoint {info.checkpoint_id}{step}, {age(info.created_at)}", "dim")
    for name, value in data["state"].items():
        output.line()
        parts, fields = elements(value), None if is_message(value) else entries(value)
        if name in data["opaque"]:
            output.line(f"{name}: stored by another serializer; only the application can read it")
        elif parts and readable(value) != "[]":
            output.line(f"{name} ({len(parts)})", "bold")
            for part in parts:
                output.line(f"  {shortened(readable(part), length)}")
        elif fields and "$type" not in value:
            output.line(name, "bold")
            for key, field in fields.items():
                output.line(f"  {key}: {shortened(readable(field), length)}")
        else:
            output.line(f"{name}: {shortened(readable(value), length)}")
    for asked in data["interrupts"]:
        output.line()
        output.line(f"waits for an answer: {shortened(readable(asked), length)}", "yellow")


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
        _exists(found, thread, namespace)
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
        **_described(info),
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
        infos = [_checkpoint(saver, thread, namespace, each) for each in (before, after)]
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
    found = saver.get_tuple(_config(thread, info))
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


def _checkpoint(
    saver: PostgresSnapshotSaver, thread: str, namespace: str, wanted: str
) -> CheckpointInfo:
    """The checkpoint that a person means."""
    limit = 1 if wanted == "newest" else None
    found = list(saver.history(thread, checkpoint_ns=namespace, limit=limit))
    _exists(found, thread, namespace)
    if wanted == "newest":
        return found[0]
    if wanted == "oldest":
        return found[-1]
    exact = [each for each in found if each.checkpoint_id == wanted]
    alike = exact or [each for each in found if wanted in each.checkpoint_id]
    if len(alike) != 1:
        how_many = counted(len(alike), "checkpoint") if alike else "no checkpoint"
        raise SnapshotError(
            f"thread {thread!r} has {how_many} like {wanted!r}: "
            f"'langgraph-pg-snapshot history' lists them"
        )
    return alike[0]


def _exists(found: Sequence[CheckpointInfo], thread: str, namespace: str) -> None:
    if not found:
        place = f" in namespace {namespace!r}" if namespace else ""
        raise SnapshotError(f"there is no thread {thread!r}{place}")

"""show: what is in a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from langgraph_pg_snapshot.cli.output import Output, age
from langgraph_pg_snapshot.cli.places import (
    NotThereError,
    config_of,
    described,
    find_checkpoint,
    find_namespace,
    state_of,
    told_below,
)
from langgraph_pg_snapshot.cli.session import Session, command
from langgraph_pg_snapshot.listings import CheckpointInfo
from langgraph_pg_snapshot.pictures.readable import (
    bare,
    elements,
    entries,
    is_message,
    is_opaque,
    readable,
)
from langgraph_pg_snapshot.pictures.words import shortened
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver

Thread = Annotated[str, typer.Argument(help="The thread.")]
Namespace = Annotated[
    str, typer.Option(help="Its namespace, or how that begins; the root one without it.")
]
NOT_STORED = (
    "a DeltaChannel, not stored in this checkpoint: the application's graph.get_state(config) has "
    "its value, and the view of messages those of the newest state"
)
_NOTHING = object()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(show)


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
        namespace, below = find_namespace(session, thread, namespace)
        info = find_checkpoint(saver, thread, namespace, checkpoint)
        if channel is not None:
            values = {channel: _channel(saver, info, thread, channel, last)}
            not_stored: list[str] = []
            interrupts: list[Any] = []
        else:
            found = saver.get_tuple(config_of(thread, info))
            values, not_stored = state_of(found)
            interrupts = _interrupts((found.pending_writes if found else None) or ())
    if last is not None:
        values = {name: _end_of(value, last) for name, value in values.items()}
    data = {
        "thread_id": thread,
        **described(info, namespace),
        "metadata": dict(info.metadata),
        "state": values,
        "not_stored": not_stored,
        "interrupts": interrupts,
        "namespaces": below,
        "opaque": [name for name, value in values.items() if is_opaque(value)],
    }
    session.output.show(data, lambda: _show_state(session.output, data, info, full=full))


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
        raise NotThereError(
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
        _show_channel(output, name, value, length)
    for name in data["not_stored"]:
        output.line()
        output.line(f"{name}: {NOT_STORED}")
    for asked in data["interrupts"]:
        output.line()
        output.line(f"waits for an answer: {shortened(readable(asked), length)}", "yellow")
    if below := [*told_below(data["namespaces"])]:
        output.line()
        for line in below:
            output.line(line)


def _show_channel(output: Output, name: str, value: Any, length: int) -> None:
    parts, fields = elements(value), None if is_message(value) else entries(value)
    if is_opaque(value):
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

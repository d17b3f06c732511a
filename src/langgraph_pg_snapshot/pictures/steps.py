"""A checkpoint as a picture shows it, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from langgraph_pg_snapshot.pictures.readable import readable
from langgraph_pg_snapshot.pictures.words import clean, shortened

Kind: TypeAlias = Literal["step", "source", "ran", "changed", "asks", "asked", "failed"]


class HistoryStep(NamedTuple):
    """A checkpoint, and what happened on the way to it and from it.

    Attributes:
        checkpoint_id: Its id.
        parent_checkpoint_id: The checkpoint that it follows; None if there is none (any more).
        created_at: When it was stored (time zone aware).
        step: LangGraph's count of supersteps; -1 is the first input. None if it has none.
        source: "input", "loop", "update" or "fork", or None.
        nodes: The nodes that ran since the checkpoint before, by name; None if that is not there.
        changed_channels: The channels that changed since then, without LangGraph's own.
        is_interrupted: Whether a node that ran from here asked something.
        is_waiting: Whether one of these has not gone on since.
        interrupts: What was asked, as it is stored; empty also where another serializer stored it.
        error: What nodes that ran from here failed with; of another serializer's only its format.
        run_id: The run that left it.
        is_newest: Whether it is the newest of its thread and namespace, where the thread stands.
    """

    checkpoint_id: str
    parent_checkpoint_id: str | None
    created_at: datetime
    step: int | None = None
    source: str | None = None
    nodes: Sequence[str] | None = None
    changed_channels: Sequence[str] = ()
    is_interrupted: bool = False
    is_waiting: bool = False
    interrupts: Sequence[Any] = ()
    error: str | None = None
    run_id: str | None = None
    is_newest: bool = False


def told(step: HistoryStep, length: int = 60) -> Iterator[tuple[Kind, str]]:
    """What is said of a checkpoint, part by part, each in one line.

    Questions and errors are cut to a length.
    """
    if step.step is not None:
        yield "step", f"step {step.step}"
    if step.source not in (None, "loop"):
        yield "source", _line(str(step.source), length)
    if step.nodes:
        yield "ran", _line(f"ran {', '.join(step.nodes)}")
    if step.changed_channels:
        yield "changed", _line(f"changed {', '.join(step.changed_channels)}")
    if step.is_interrupted:
        verb: Kind = "asks" if step.is_waiting else "asked"
        question = _line(", ".join(map(readable, step.interrupts)), length)
        yield verb, f"{verb}: {question}" if step.interrupts else f"{verb} something"
    if step.error is not None:
        yield "failed", f"failed: {_line(step.error, length)}"


def _line(text: str, length: int = 10_000) -> str:
    return clean(shortened(text, length))

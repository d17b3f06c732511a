"""history, diff: how a thread came about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from langgraph_pg_snapshot.cli.changes import Change, changes
from langgraph_pg_snapshot.cli.output import age
from langgraph_pg_snapshot.cli.places import (
    check_exists,
    config_of,
    described,
    find_checkpoint,
    find_namespace,
    state_of,
    told_below,
)
from langgraph_pg_snapshot.cli.session import Session, command
from langgraph_pg_snapshot.cli.state import Namespace, Thread
from langgraph_pg_snapshot.pictures import HistoryStep
from langgraph_pg_snapshot.pictures.graph import tree_lines
from langgraph_pg_snapshot.pictures.mermaid import exceeds_limits
from langgraph_pg_snapshot.pictures.readable import readable
from langgraph_pg_snapshot.pictures.words import not_shown, shortened

NOT_COMPARED = (
    "a DeltaChannel, which one of these checkpoints or both do not store: the application's "
    "graph.get_state(config) has its values"
)
# As many checkpoints as `history_graph` draws by default.
PICTURED = 100
TOO_LARGE = (
    "Mermaid draws no more than 500 arrows and 50,000 characters, unless it is told to: "
    "pass a smaller --limit"
)
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
        int | None,
        typer.Option(
            min=1,
            help=f"Only the newest ones. [default: all; {PICTURED} in a picture]",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Literal["tree", "mermaid", "svg"],
        typer.Option("--as", help="As a tree of lines, a Mermaid flowchart, or an SVG image."),
    ] = "tree",
) -> None:
    """Show a thread's checkpoints as a tree: steps, nodes, what changed, forks."""
    if session.output.as_json and form != "tree":
        raise typer.BadParameter(f"--json and --as {form} are two forms: pass one of them")
    if limit is None and form != "tree":
        limit = PICTURED
    with session.saver() as saver:
        namespace, below = find_namespace(session, thread, namespace)
        found = saver.history_graph(thread, checkpoint_ns=namespace, limit=limit)
    check_exists(found.steps, thread, namespace)
    output = session.output

    def render() -> None:
        if form == "tree":
            output.line(f"{thread} in {namespace!r}" if namespace else thread, "bold")
            for line in (*tree_lines(found.steps, age), *told_below(below)):
                output.line(line)
        else:
            drawn = found.svg if form == "svg" else found.mermaid
            typer.echo(drawn)
            if form == "mermaid" and exceeds_limits(drawn):
                output.note(TOO_LARGE)
        if found.left_out:
            output.note(not_shown(found.left_out))

    checkpoints = [_described(step, namespace) for step in found.steps]
    output.show(
        {
            "thread_id": thread,
            "checkpoint_ns": namespace,
            "namespaces": below,
            "checkpoints": checkpoints,
        },
        render,
    )


def _described(step: HistoryStep, namespace: str) -> dict[str, Any]:
    return {
        **described(step, namespace),
        "nodes": step.nodes,
        "changed_channels": step.changed_channels,
        "interrupts": step.interrupts,
        "error": step.error,
        "run_id": step.run_id,
    }


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
        namespace, _ = find_namespace(session, thread, namespace)
        infos = [find_checkpoint(saver, thread, namespace, each) for each in (before, after)]
        (old, not_before), (new, not_after) = (
            state_of(saver.get_tuple(config_of(thread, info))) for info in infos
        )
    # What one of the two does not store can't be compared.
    not_stored = sorted({*not_before, *not_after}) if infos[0] != infos[1] else []
    found = changes(
        *({name: each[name] for name in each if name not in not_stored} for each in (old, new))
    )
    data = {
        "thread_id": thread,
        "checkpoint_ns": namespace,
        "from": infos[0].checkpoint_id,
        "to": infos[1].checkpoint_id,
        "channels": found,
        "not_stored": not_stored,
    }
    output = session.output

    def render() -> None:
        if not found:
            output.line("nothing that is stored changed" if not_stored else "nothing changed")
        for channel, change in found.items():
            for style, line in _lines(channel, change, ""):
                output.line(line, style)
        for channel in not_stored:
            output.line(f"? {channel}: {NOT_COMPARED}")

    output.show(data, render)


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

"""threads, copy, stats: threads as a whole."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote, unquote

import typer

from langgraph_pg_snapshot.cli.output import age
from langgraph_pg_snapshot.cli.places import NotThereError
from langgraph_pg_snapshot.cli.session import Session, command, parsed_pairs
from langgraph_pg_snapshot.listings import ThreadInfo, counts_of, tables_of
from langgraph_pg_snapshot.pictures.readable import readable
from langgraph_pg_snapshot.pictures.words import counted, said, shortened

Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="What runs must have said of the thread. May be repeated; all must match.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for run in (threads, copy, stats):
        command(app)(run)


def threads(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    filters: Filter = None,
    order: Annotated[
        Literal["newest", "oldest"], typer.Option(help="Which come first, by last update.")
    ] = "newest",
    after: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR",
            help="Go on after a page: what it printed as its next one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List threads, or search them by what their runs said."""
    before = None if after is None else _cursor(after)
    wanted = parsed_pairs(filters)
    with session.saver() as saver:
        found = list(saver.list_threads(limit=limit + 1, before=before, filter=wanted, order=order))
    page = found[:limit]
    following = None
    if len(found) > limit:
        # In characters that no shell and no terminal takes for anything else.
        following = f"{page[-1].updated_at.isoformat()}/{quote(page[-1].thread_id)}"
    output = session.output

    def render() -> None:
        output.table(
            ("thread", ">checkpoints", ">updated", "metadata"),
            [(t.thread_id, t.checkpoints, age(t.updated_at), _said(t)) for t in page],
        )
        if following is not None:
            output.note(f"more: --after {shlex.quote(following)}")

    output.show(
        {"threads": [t._replace(metadata=dict(t.metadata)) for t in page], "next": following},
        render,
    )


def _said(thread: ThreadInfo) -> str:
    return shortened(said(thread.metadata, readable), 80)


def _cursor(text: str) -> ThreadInfo:
    moment, slash, thread_id = text.partition("/")
    try:
        updated_at = datetime.fromisoformat(moment)
    except ValueError:
        updated_at = None
    if updated_at is None or updated_at.tzinfo is None or not slash:
        raise typer.BadParameter(
            f"--after takes what the page before printed as its next one, not {text!r}"
        )
    return ThreadInfo(unquote(thread_id), updated_at, updated_at)


def copy(
    session: Session,
    source: Annotated[str, typer.Argument(help="The thread to copy.")],
    target: Annotated[str, typer.Argument(help="The copy.")],
    *,
    head_only: Annotated[
        bool, typer.Option("--head-only", help="Only the newest checkpoint of each namespace.")
    ] = False,
) -> None:
    """Copy a thread inside the server."""
    if source == target:
        raise typer.BadParameter(f"SOURCE and TARGET are both {source!r}: name another target")
    with session.saver() as saver:
        if not saver.history(source, limit=1):
            raise NotThereError(f"there is no thread {source!r}")
        saver.copy_thread(source, target, head_only=head_only)
        copied = len(saver.history(target))
    session.output.show(
        {"source": source, "target": target, "head_only": head_only, "checkpoints": copied},
        lambda: session.output.line(
            f"copied {source!r} to {target!r}, which has {counted(copied, 'checkpoint')}"
        ),
    )


def stats(session: Session) -> None:
    """Count what is stored, and what it takes; reads every row."""
    with session.saver() as saver:
        found = saver.stats()
    output = session.output

    def render() -> None:
        output.line(counts_of(found))
        for columns, rows in tables_of(found):
            output.line()
            output.table(columns, rows)

    output.show(found, render)

"""sweep, erase: what is to go. Both say what that is before they do it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from langgraph_pg_snapshot.cli.session import Session, command, parsed_pairs
from langgraph_pg_snapshot.errors import SnapshotError
from langgraph_pg_snapshot.models import RemovalReport, RetentionPolicy
from langgraph_pg_snapshot.pictures.words import counted, size_of

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Remove = Callable[[bool], RemovalReport]
"""Removes, or with True says what would be removed."""

_UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,5})\s*(s|min|h|d|w)")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for run in (sweep, erase):
        command(app)(run)


def sweep(
    session: Session,
    *,
    keep_last: Annotated[
        int | None,
        typer.Option(
            min=1, help="Keep so many of the newest checkpoints of a thread.", show_default=False
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Checkpoints that are older go, but for a thread's newest: 30d, 12h, 90min.",
            show_default=False,
        ),
    ] = None,
    max_idle: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="Threads that were not updated for longer go.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Shorten and remove threads by a retention policy. Asks, unless --yes or --dry-run."""
    if keep_last is None and max_age is None and max_idle is None:
        raise typer.BadParameter(
            "without a limit everything is kept: pass --keep-last, --max-age or --max-idle"
        )
    policy = RetentionPolicy(
        keep_last=keep_last,
        max_age=_span("--max-age", max_age),
        max_idle=_span("--max-idle", max_idle),
    )
    with session.saver() as saver:
        _removed(session, lambda dry: saver.sweep(policy, dry_run=dry), dry_run=dry_run, yes=yes)


def erase(
    session: Session,
    thread_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[THREAD]...", help="The threads.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE",
            help="Threads of which any checkpoint's metadata says so. May be repeated; "
            "all must match.",
        ),
    ] = None,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Erase threads, by their ids or by what was ever said of them. Asks, unless --yes."""
    if bool(thread_ids) == bool(filters):
        raise typer.BadParameter("pass either threads or --filter key=value")
    wanted = parsed_pairs(filters)
    with session.saver() as saver:
        if filters and session.rows("has_sealed_metadata") == [(True,)]:
            raise SnapshotError(
                "metadata of some threads was sealed by a serializer that encrypts, so nobody but "
                "the application can tell whose they are: use saver.erase(filter=…) there, or "
                "name the threads"
            )
        _removed(
            session,
            lambda dry: (
                saver.erase(thread_ids=thread_ids, dry_run=dry)
                if thread_ids
                else saver.erase(filter=wanted, dry_run=dry)
            ),
            dry_run=dry_run,
            yes=yes,
        )


def _removed(session: Session, remove: Remove, *, dry_run: bool, yes: bool) -> None:
    """Remove, and say what; ask before."""
    output = session.output
    if output.as_json and not yes and not dry_run:
        raise typer.BadParameter("with --json nobody is asked: pass --yes or --dry-run")
    if not yes and not dry_run:
        planned = remove(True)
        output.line(_told(planned))
        if planned == RemovalReport(dry_run=True):
            return
        typer.confirm("Remove this?", abort=True)
    report = remove(dry_run)
    output.show(asdict(report), lambda: output.line(_told(report)))


def _told(report: RemovalReport) -> str:
    done = ("would remove", "shorten") if report.dry_run else ("removed", "shortened")
    left = f"; left {counted(report.skipped, 'thread')} that others held" if report.skipped else ""
    return (
        f"{done[0]} {counted(report.threads, 'thread')}, {done[1]} {report.shortened}: "
        f"{counted(report.checkpoints, 'checkpoint')}, {counted(report.items, 'item')}, "
        f"{counted(report.writes, 'pending write')}, {size_of(report.bytes)} of values{left}"
    )


def _span(option: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{option} is a number with s, min, h, d or w, such as 30d, not {text!r}"
        )
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])

"""import and export: threads from other savers, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from langgraph_pg_snapshot.cli.output import console
from langgraph_pg_snapshot.cli.session import Imports, Session, checked, command, import_modules
from langgraph_pg_snapshot.cli.sources import serializer, source_of
from langgraph_pg_snapshot.pictures.words import clean, counted
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.transfer import (
    OfficialTables,
    Progress,
    TransferReport,
    export_threads,
    import_threads,
)

Ids = Annotated[
    list[str] | None,
    typer.Option("--thread", help="Only this thread. May be repeated.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do.")]
Verify = Annotated[
    bool, typer.Option("--verify/--no-verify", help="Compare what was copied, both ways.")
]
Serde = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="The serializer of our tables, if it is another one: it, or what makes it.",
        show_default=False,
    ),
]
TheirSerde = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="The serializer of the other saver, likewise.",
        show_default=False,
    ),
]
INTERRUPTED = 130


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "import")(import_)
    command(app)(export)


def import_(
    session: Session,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A connection string, or a file of SqliteSaver; without it the same database.",
            show_default=False,
        ),
    ] = None,
    *,
    kind: Annotated[
        Literal["official", "plain"],
        typer.Option(help="Of a database: tables of PostgresSaver, or a table of states."),
    ] = "official",
    source_schema: Annotated[
        str | None, typer.Option(help="The schema of its tables.", show_default=False)
    ] = None,
    source_table: Annotated[
        str | None,
        typer.Option(
            help="With --kind plain: the table; default agent_checkpoints.", show_default=False
        ),
    ] = None,
    to_state: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="With --kind plain: makes channel values of a row's JSON.",
            show_default=False,
        ),
    ] = None,
    serde: Serde = None,
    source_serde: TheirSerde = None,
    thread_ids: Ids = None,
    imports: Imports = None,
    dry_run: DryRun = False,
    verify: Verify = True,
) -> None:
    """Copy threads from another saver; the source is only read. Do it again to go on.

    Name the modules of the application's classes with --import.
    """
    import_modules(imports)
    given = {
        "--source-schema": source_schema,
        "--source-table": source_table,
        "--to-state": to_state,
        "--source-serde": source_serde,
    }
    threads = source_of(session, source, kind, given)
    ours = serializer(serde, "--serde") or SnapshotSerializer()
    with (
        session.saver(ours, needs_tables=False) as saver,
        _watched(session) as on_progress,
    ):
        if not dry_run:
            with threads.open():  # a source that can't be read makes no tables
                saver.setup()
        report = import_threads(
            saver,
            threads,
            thread_ids=thread_ids,
            dry_run=dry_run,
            verify=verify,
            on_progress=on_progress,
        )
    _tell(session, report)


def export(
    session: Session,
    target: Annotated[
        str | None,
        typer.Argument(
            help="The connection string of a database; without it the same one.",
            show_default=False,
        ),
    ] = None,
    target_schema: Annotated[
        str | None, typer.Option(help="The schema of its tables.", show_default=False)
    ] = None,
    *,
    serde: Serde = None,
    target_serde: TheirSerde = None,
    thread_ids: Ids = None,
    imports: Imports = None,
    dry_run: DryRun = False,
    verify: Verify = True,
) -> None:
    """Copy threads to the tables of PostgresSaver, which are made if they are not there.

    Name the modules of the application's classes with --import.
    """
    import_modules(imports)
    conninfo = session.conninfo() if target is None else checked(target, "TARGET")
    theirs = serializer(target_serde, "--target-serde") or JsonPlusSerializer()
    ours = serializer(serde, "--serde") or SnapshotSerializer()
    with session.saver(ours) as saver, _watched(session) as on_progress:
        report = export_threads(
            saver,
            OfficialTables(conninfo, target_schema, theirs),
            thread_ids=thread_ids,
            dry_run=dry_run,
            verify=verify,
            on_progress=on_progress,
        )
    _tell(session, report)


@contextmanager
def _watched(session: Session) -> Iterator[Callable[[Progress], object]]:
    """What is to be told of the progress; Ctrl-C ends it with a word on how far it was."""
    done = 0

    def watch(progress: Progress) -> None:
        nonlocal done
        done = progress.threads_done
        show(progress)

    try:
        with _shown(session) as show:
            yield watch
    except KeyboardInterrupt:
        said = f"stopped after {counted(done, 'thread')}; do it again to go on"
        session.output.note(f"langgraph-pg-snapshot: {said}")
        session.output.show({"error": {"kind": "interrupted", "message": said}}, lambda: None)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _shown(session: Session) -> Iterator[Callable[[Progress], object]]:
    """A progress bar on stderr, if that is a terminal."""
    if session.output.as_json or not sys.stderr.isatty():
        yield _ignore
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*columns, console=console(stderr=True), transient=True) as bar:
        threads, thread = bar.add_task("threads"), bar.add_task("")

        def show(progress: Progress) -> None:
            bar.update(threads, completed=progress.threads_done, total=progress.threads)
            doing = "comparing" if progress.verifying else "copying"
            bar.update(
                thread,
                description=clean(f"{doing} {progress.thread_id}"),
                completed=progress.checkpoints_done,
                total=progress.checkpoints,
            )

        yield show


def _ignore(progress: Progress) -> None:
    pass


def _tell(session: Session, report: TransferReport) -> None:
    output = session.output

    def render() -> None:
        done = "there would be" if report.dry_run else "done:"
        copied = f"{counted(report.checkpoints, 'checkpoint')} and "
        copied += counted(report.writes, "pending write")
        output.line(
            f"looked at {counted(report.threads, 'thread')}, {done} {report.new} new, "
            f"{report.continued} continued, {report.unchanged} unchanged; "
            + (
                f"{copied} to copy"
                if report.dry_run
                else f"{copied} copied, {counted(report.verified, 'checkpoint')} compared"
            )
        )
        for problem in report.problems:
            output.line(str(problem), "red")

    output.show(report.as_dict(), render)
    if not report.ok:
        raise typer.Exit(1)

"""import and export: threads from other savers, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from langgraph_pg_snapshot.cli.output import console
from langgraph_pg_snapshot.cli.session import Imports, Session, checked, command, import_modules
from langgraph_pg_snapshot.pictures.words import clean, counted
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.transfer import (
    OfficialTables,
    PlainTable,
    Progress,
    SqliteFile,
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
        str, typer.Option(help="With --kind plain: the table.")
    ] = "agent_checkpoints",
    thread_ids: Ids = None,
    imports: Imports = None,
    dry_run: DryRun = False,
    verify: Verify = True,
) -> None:
    """Copy threads from another saver; the source is only read. Do it again to go on.

    Name the modules of the application's classes with --import.
    """
    import_modules(imports)
    threads = _source(session, source, kind, source_schema, source_table)
    with (
        session.saver(SnapshotSerializer(), needs_tables=False) as saver,
        _shown(session) as on_progress,
    ):
        if not dry_run:
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


def _source(
    session: Session, source: str | None, kind: str, schema: str | None, table: str
) -> OfficialTables | PlainTable | SqliteFile:
    if source is not None and "=" not in source and "://" not in source:
        if not Path(source).is_file():
            raise typer.BadParameter(
                f"SOURCE is a connection string or a file of SqliteSaver, and there is no file "
                f"{source!r}"
            )
        return SqliteFile(source)
    conninfo = session.conninfo() if source is None else checked(source, "SOURCE")
    if kind == "plain":
        return PlainTable(conninfo, table, schema)
    return OfficialTables(conninfo, schema)


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
    thread_ids: Ids = None,
    imports: Imports = None,
    *,
    dry_run: DryRun = False,
    verify: Verify = True,
) -> None:
    """Copy threads to the tables of PostgresSaver, which are made if they are not there.

    Name the modules of the application's classes with --import.
    """
    import_modules(imports)
    conninfo = session.conninfo() if target is None else checked(target, "TARGET")
    with session.saver(SnapshotSerializer()) as saver, _shown(session) as on_progress:
        report = export_threads(
            saver,
            OfficialTables(conninfo, target_schema),
            thread_ids=thread_ids,
            dry_run=dry_run,
            verify=verify,
            on_progress=on_progress,
        )
    _tell(session, report)


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
        output.line(
            f"looked at {counted(report.threads, 'thread')}, {done} {report.new} new, "
            f"{report.continued} continued, {report.unchanged} unchanged; "
            f"{counted(report.checkpoints, 'checkpoint')} and "
            f"{counted(report.writes, 'pending write')} copied, "
            f"{counted(report.verified, 'checkpoint')} compared"
        )
        for problem in report.problems:
            output.line(str(problem), "red")

    output.show(report.as_dict(), render)
    if not report.ok:
        raise typer.Exit(1)

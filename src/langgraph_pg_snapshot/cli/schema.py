"""setup, check, sql: the tables themselves."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from langgraph_pg_snapshot.cli.places import check_exists, namespaces_of
from langgraph_pg_snapshot.cli.session import Imports, Session, command, import_modules
from langgraph_pg_snapshot.pictures.words import counted, shortened
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.sql import migrations
from langgraph_pg_snapshot.sql.script import rights_sql, schema_sql

Owner = Annotated[
    str | None,
    typer.Option(metavar="ROLE", help="Who is to make and own the tables.", show_default=False),
]
Runtime = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE", help="Who runs graphs: reads and writes rows.", show_default=False
    ),
]
Reader = Annotated[
    str | None, typer.Option(metavar="ROLE", help="Who reads the views only.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for run in (setup, check, sql):
        command(app)(run)


def setup(session: Session) -> None:
    """Make the tables, or bring them up to date."""
    with session.saver(needs_tables=False) as saver:
        before = saver.check_schema()
        saver.setup()
        after = saver.check_schema()
    data = {"version": after.version, "applied": list(before.pending)}
    done = f"applied {', '.join(before.pending)}" if before.pending else "nothing to do"
    session.output.show(
        data,
        lambda: session.output.line(
            f"{session.queries.label}: schema version {after.version}, {done}"
        ),
    )


def check(
    session: Session,
    thread: Annotated[
        str | None,
        typer.Option(help="Try to load every value of this thread.", show_default=False),
    ] = None,
    imports: Imports = None,
) -> None:
    """See whether the tables are up to date, or whether a thread can be loaded: exit code 0 or 1.

    With --thread, name the modules of the application's classes with --import: what this process
    has not imported can't be loaded.
    """
    if thread is not None:
        _check_thread(session, thread, imports)
        return
    with session.saver(needs_tables=False) as saver:
        status = saver.check_schema()
    output = session.output

    def render() -> None:
        output.line(
            f"{session.queries.label}: schema version {status.version} of {status.newest}, "
            + ("up to date" if status.ok else "not up to date: run 'langgraph-pg-snapshot setup'")
        )
        for name in status.missing:
            output.line(f"missing: {name}")
        for name in status.pending:
            output.line(f"to be applied: {name}")

    output.show({"ok": status.ok, **status._asdict()}, render)
    if not status.ok:
        raise typer.Exit(1)


def _check_thread(session: Session, thread: str, imports: list[str] | None) -> None:
    import_modules(imports)
    with session.saver(SnapshotSerializer()) as saver:
        found = list(saver.check(thread))
        check_exists(namespaces_of(session, thread), thread, "")
    output = session.output

    def render() -> None:
        if not found:
            output.line(f"thread {thread!r}: every value can be loaded")
            return
        output.line(f"thread {thread!r}: {counted(len(found), 'value')} can't be loaded")
        # The same class is missing in many checkpoints.
        kinds = Counter((p.checkpoint_ns, p.kind, p.channel, p.reason) for p in found)
        output.table(
            ("namespace", "kind", "channel", ">times", "reason"),
            [
                (namespace, kind, channel, times, shortened(reason, 90))
                for (namespace, kind, channel, reason), times in kinds.items()
            ],
        )

    output.show({"ok": not found, "thread_id": thread, "unloadable": found}, render)
    if found:
        raise typer.Exit(1)


def sql(
    session: Session,
    *,
    owner: Owner = None,
    runtime: Runtime = None,
    reader: Reader = None,
    since: Annotated[
        int, typer.Option(min=0, help="The newest migration that was applied; 0: none.")
    ] = 0,
    until: Annotated[
        int | None,
        typer.Option(
            min=1, help="The newest migration to apply; all without it.", show_default=False
        ),
    ] = None,
    tenants: Annotated[bool, typer.Option("--tenants", help="The tables are for tenants.")] = False,
) -> None:
    """Print the DDL and the GRANTs, for a DBA or a migration tool; no database is needed."""
    names = (session.table_name, session.schema)
    tenants = tenants or session.tenant is not None
    statements = schema_sql(*names, since=since, until=until, tenants=tenants)
    rights = rights_sql(*names, owner=owner, runtime=runtime, reader=reader, tenants=tenants)
    version = migrations()[-1].version if until is None else until
    output = session.output

    def render() -> None:
        output.line(f"-- The tables of langgraph-pg-snapshot, up to version {version}.")
        output.line("-- Run it in one transaction.")
        for part in filter(None, (statements, rights)):
            output.line()
            for line in part.rstrip().split("\n"):
                output.line(line)

    output.show({"version": version, "ddl": statements, "grants": rights}, render)

"""embedded: a PostgreSQL of one's own, as long as the command runs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from langgraph_pg_snapshot.cli.session import Session, command
from langgraph_pg_snapshot.embedded import EmbeddedServer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(embedded)


def embedded(
    session: Session,
    path: Annotated[
        Path | None,
        typer.Argument(help="Where the data stays; without it, it is temporary."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Listen on 127.0.0.1, with a password that is new each time (it is printed).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a PostgreSQL server in the foreground and print its DSN; Ctrl-C ends it.

    Needs the extra ``embedded``.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with EmbeddedServer.start(path, port=port) as server:
        data = {"dsn": server.dsn, "version": server.version, "pid": server.pid}
        try:
            session.output.show(data, lambda: session.output.line(server.dsn))
            session.output.note(f"PostgreSQL {server.version} runs; Ctrl-C ends it")
            while True:
                signal.pause()
        except KeyboardInterrupt:
            session.output.note("stopped")

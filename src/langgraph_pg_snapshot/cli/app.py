"""The command line: its commands, and how it ends when something is the matter."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from langgraph_pg_snapshot.cli import past, removal, schema, state, threads, transfer
from langgraph_pg_snapshot.cli import server as embedded
from langgraph_pg_snapshot.cli.output import note, scrubbed, without_passwords
from langgraph_pg_snapshot.errors import SnapshotError
from langgraph_pg_snapshot.pictures.words import shortened

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
logger = logging.getLogger("langgraph_pg_snapshot")
# The base of click's errors, which typer has a copy of in some versions and not in others.
_CommandLineError = cast("type[Exception]", typer.BadParameter.__mro__[2])


class Tool(TyperGroup):
    """Ends with a line on stderr and an exit code, whatever happens; for programs also JSON."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run; without arguments it is a call for help."""
        del standalone_mode
        given = args[0] if args else options.pop("args", None)
        given = sys.argv[1:] if given is None else given
        given = list(given)
        try:
            try:
                code = super().main(given or ["--help"], standalone_mode=False, **options)
                sys.stdout.flush()
            except BrokenPipeError:
                raise
            except Exception as error:
                logger.debug("a command failed", exc_info=True)
                code = _complain(error, given)
        except BrokenPipeError:
            code = _hang_up()
        sys.exit(code or 0)


def _complain(error: Exception, given: Sequence[str]) -> int:
    """Say what is the matter: on stderr, and with --json also where JSON is expected."""
    kind, said, code = _failure(error)
    said = shortened(scrubbed(without_passwords(said, given)), 2_000)
    note(f"langgraph-pg-snapshot: {said}")
    if "--json" in takewhile("--".__ne__, given):
        failure = {"error": {"kind": kind, "message": said}}
        # (Text from the command line need not be Unicode.)
        sys.stdout.write(json.dumps(failure, indent=2) + "\n")
        sys.stdout.flush()
    return code


def _failure(error: Exception) -> tuple[str, str, int]:
    """What kind of error it is, what is to be said of it, and the exit code."""
    if isinstance(error, _CommandLineError):
        return "misuse", _said_by(error), getattr(error, "exit_code", MISUSED)
    if isinstance(error, typer.Abort):
        # A prompt makes this of Ctrl-C.
        interrupted = isinstance(error.__context__, KeyboardInterrupt)
        return "aborted", "nothing was done", INTERRUPTED if interrupted else FAILED
    kind = type(error).__name__
    if isinstance(error, SnapshotError):
        return kind, str(error), FAILED
    return kind, f"{kind}: {error}", FAILED


def _said_by(error: Any) -> str:
    """What is wrong; our own complaints name the option themselves."""
    is_ours = isinstance(error, typer.BadParameter) and error.param is None
    return str(error.message if is_ours else error.format_message())


def _hang_up() -> int:
    """Whoever reads our output has enough; Python would complain when it flushes the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


app = typer.Typer(
    cls=Tool,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="LangGraph threads in PostgreSQL, as langgraph-pg-snapshot keeps them.",
)
for room in (schema, threads, state, past, removal, transfer, embedded):
    room.add_to(app)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 -- here only

        typer.echo(version("langgraph-pg-snapshot"))
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda v: _version(wanted=v),
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """What is common to all commands is said with each of them: see COMMAND --help."""
    del version

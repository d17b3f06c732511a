"""The command line: its commands, and how it ends when something is the matter."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from langgraph_pg_snapshot.cli import past, removal, schema, state, threads, transfer
from langgraph_pg_snapshot.cli import server as embedded
from langgraph_pg_snapshot.cli.output import note
from langgraph_pg_snapshot.errors import SnapshotError
from langgraph_pg_snapshot.pictures.words import shortened

FAILED, MISUSED = 1, 2
logger = logging.getLogger("langgraph_pg_snapshot")
# The base of click's errors, which typer has a copy of in some versions and not in others.
_CommandLineError = cast("type[Exception]", typer.BadParameter.__mro__[2])


class Tool(TyperGroup):
    """Ends with a line on stderr and an exit code, whatever happens."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run; without arguments it is a call for help."""
        del standalone_mode
        given = args[0] if args else options.pop("args", None)
        given = sys.argv[1:] if given is None else given
        try:
            code = super().main(list(given) or ["--help"], standalone_mode=False, **options)
            sys.stdout.flush()
        except SnapshotError as error:
            code = _complain(str(error), FAILED)
        except _CommandLineError as error:
            code = _complain(_said_by(error), getattr(error, "exit_code", MISUSED))
        except typer.Abort:
            code = _complain("nothing was done", FAILED)
        except BrokenPipeError:
            code = _hang_up()
        except Exception as error:
            logger.debug("a command failed", exc_info=True)
            code = _complain(f"{type(error).__name__}: {error}", FAILED)
        sys.exit(code or 0)


def _said_by(error: Any) -> str:
    """What is wrong; our own complaints name the option themselves."""
    is_ours = isinstance(error, typer.BadParameter) and error.param is None
    return str(error.message if is_ours else error.format_message())


def _complain(said: str, code: int) -> int:
    note(f"langgraph-pg-snapshot: {shortened(said, 2_000)}")
    return code


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

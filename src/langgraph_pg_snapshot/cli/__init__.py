"""The command line `langgraph-pg-snapshot`; what it is made of comes with the extra ``cli``."""

from __future__ import annotations

import sys

NEEDED = ("typer", "rich")
HINT = 'the command line needs typer and rich: pip install "langgraph-pg-snapshot[cli]"'


def main() -> None:
    """Run a command; what the installed script calls."""
    try:
        from langgraph_pg_snapshot.cli.app import app  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        sys.exit(f"langgraph-pg-snapshot: {HINT}")
    app(prog_name="langgraph-pg-snapshot")

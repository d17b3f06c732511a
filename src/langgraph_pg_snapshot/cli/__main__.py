"""Runs the command line: ``python -m langgraph_pg_snapshot.cli``."""

from __future__ import annotations

from langgraph_pg_snapshot.cli import main

if __name__ == "__main__":
    main()

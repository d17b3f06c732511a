"""``python -m benchmarks``: measure, print the table, and write it down."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.measure import Bench, Figure
from benchmarks.scale import FULL, QUICK
from benchmarks.workloads import WORKLOADS
from langgraph_pg_snapshot.embedded import EmbeddedServer

# Everything that has to do with durability is as PostgreSQL comes. This only keeps the server from
# writing all its pages in the middle of somebody's turn.
SERVER_SETTINGS = {"max_wal_size": "4GB", "max_connections": "200"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the workloads that were asked for."""
    options = _parser().parse_args(arguments)
    if options.stored:
        stored = json.loads(options.stored.read_text())
        _write(options, stored, report.from_json(stored))
        return
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    begun = time.monotonic()
    with _server(options.dsn) as dsn:
        found = report.surroundings(dsn)
        print(report.heading(found), flush=True)
        figures: list[Figure] = []
        for name in options.only or WORKLOADS:
            print(f"\n{name}", flush=True)
            for figure in WORKLOADS[name](Bench(dsn, scale)):
                print(report.line(figure), flush=True)
                figures.append(figure)
    print(f"\n{report.summary(figures)}\n{time.monotonic() - begun:.0f} s")
    _write(options, found, figures)


def _write(options: argparse.Namespace, found: Mapping[str, Any], figures: list[Figure]) -> None:
    if options.json:
        options.json.write_text(json.dumps(report.as_json(found, figures), indent=1) + "\n")
    if options.page:
        options.page.write_text(report.page(found, figures))
    if options.chart:
        from benchmarks.chart import draw  # noqa: PLC0415 -- its library is optional

        draw(found, figures, options.chart)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        help=f"workloads to run, with commas between them: {', '.join(WORKLOADS)}",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds")
    parser.add_argument("--rounds", type=int, help=f"rounds of each case, instead of {FULL.rounds}")
    parser.add_argument(
        "--dsn", help="a server to run on as superuser, instead of one started here"
    )
    parser.add_argument("--json", type=Path, help="a file to write all figures to")
    parser.add_argument("--page", type=Path, help="a Markdown file to write the main ones to")
    parser.add_argument(
        "--stored", type=Path, help="what --json wrote, to draw it again instead of measuring"
    )
    parser.add_argument("--chart", type=Path, help="an SVG file to draw (needs matplotlib)")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - WORKLOADS.keys():
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return names


@contextmanager
def _server(dsn: str | None) -> Iterator[str]:
    if dsn:
        yield dsn
    else:
        with EmbeddedServer.start(settings=SERVER_SETTINGS) as server:
            yield server.dsn


if __name__ == "__main__":
    main()

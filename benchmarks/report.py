"""What a run found, for people and for programs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.contenders import FLOOR, IDLE, NONE, OFFICIAL, OURS
from benchmarks.measure import Figure, Spread

COLUMNS = (NONE, IDLE, FLOOR, OURS, OFFICIAL)
# Workloads that a page shows without a target.
UNTARGETED = {"fan-out", "tools", "files", "window", "growth", "put", "processes", "memory"}
SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "default_toast_compression",
    "shared_buffers",
    "max_wal_size",
    "autovacuum",
    "jit",
)
_ABOUT = "[performance.md](performance.md)"
_CASE, _QUANTITY, _VALUE = 44, 24, 14


def surroundings(dsn: str) -> dict[str, Any]:
    """When, where, and with what a run was made."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SHOW server_version").fetchone()
        settings = dict(
            conn.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY (%s)",
                [list(SETTINGS)],
            ).fetchall()
        )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": _processor(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "versions": {
            "Python": platform.python_version(),
            "PostgreSQL": row[0] if row else "",
            **{
                name: version(name)
                for name in (
                    "langgraph-pg-snapshot",
                    "langgraph-checkpoint-postgres",
                    "langgraph",
                    "langchain-core",
                    "psycopg",
                )
            },
        },
        "settings": settings,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else ""


def heading(found: Mapping[str, Any]) -> str:
    """The run's surroundings, and the table's head."""
    versions = ", ".join(f"{name} {each}" for name, each in found["versions"].items())
    settings = ", ".join(f"{name}={each}" for name, each in found["settings"].items())
    head = f"{'':<{_CASE}}{'':<{_QUANTITY}}"
    head += "".join(f"{name:>{_VALUE}}" for name in COLUMNS)
    return (
        f"{found['date']}, {found['machine']}, load {found['load'][0]} at the beginning\n"
        f"{versions}\n{settings}\n"
        "medians ± half of the distance between the quartiles; the ratio is ours / official\n"
        "(floor: that of the floor, and of an idle saver in a turn: below it no saver can go)\n"
        f"\n{head}{'ratio':>9}{'floor':>8}  target"
    )


def line(figure: Figure) -> str:
    """A figure as a line of the table."""
    quantity = f"{figure.quantity}, {figure.unit}"
    cells = "".join(f"{_cell(figure.of.get(name)):>{_VALUE}}" for name in COLUMNS)
    if not figure.of:
        quantity, cells = figure.quantity, f"{figure.between:>{len(COLUMNS) * _VALUE}}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
    ground = "" if figure.floor_ratio is None else f"{figure.floor_ratio:.2g}"
    row = f"{figure.case:<{_CASE}}{quantity:<{_QUANTITY}}{cells}{ratio:>9}{ground:>8}"
    return f"{row}  {_target(figure)}".rstrip()


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    verdict = {True: "met", False: "MISSED", None: "?"}[figure.met]
    return f"{'≥' if figure.at_least else '≤'} {figure.target:<5g}{verdict}"


def _cell(spread: Spread | None) -> str:
    if spread is None:
        return ""
    digits = 0 if spread.median >= 1_000 else 1 if spread.median >= 10 else 2
    text = f"{spread.median:.{digits}f}"
    if spread.rounds > 1:
        text += f" ±{(spread.high - spread.low) / 2:.{digits}f}"
    return text


def summary(figures: Sequence[Figure]) -> str:
    """How many targets were met, and which were not."""
    held = [figure for figure in figures if figure.target is not None]
    missed = [figure for figure in held if not figure.met]
    return "\n".join([summary_line(figures), *(f"  missed: {line(each)}" for each in missed)])


def page(found: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """What has a target, and what else is worth a line, as a table in Markdown."""
    rows = [
        "# The last whole run",
        "",
        f"Made by `python -m benchmarks --page`. What is measured: {_ABOUT}.",
        "",
        f"{found['date']}, {found['machine']}, load {found['load'][0]} at the beginning; "
        + ", ".join(f"{name} {each}" for name, each in found["versions"].items())
        + ".",
        "",
        f"| | | {' | '.join(COLUMNS)} | ratio | floor's ratio | target |",
        f"|---|---|{'---|' * (len(COLUMNS) + 3)}",
    ]
    for figure in figures:
        if figure.target is None and not (
            figure.workload in UNTARGETED and ", async" not in figure.case
        ):
            continue
        cells = " | ".join(_cell(figure.of.get(name)) for name in COLUMNS)
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2g}"
        ground = "" if figure.floor_ratio is None else f"{figure.floor_ratio:.2g}"
        between = figure.between if not figure.of else figure.unit
        rows.append(
            f"| {figure.workload}: {figure.case} | {figure.quantity}, {between} | {cells} "
            f"| {ratio} | {ground} | {_target(figure)} |"
        )
    return "\n".join([*rows, "", summary_line(figures), ""])


def summary_line(figures: Sequence[Figure]) -> str:
    """How many targets were met."""
    held = [figure for figure in figures if figure.target is not None]
    return f"{sum(bool(figure.met) for figure in held)} of {len(held)} targets are met."


def from_json(stored: Mapping[str, Any]) -> list[Figure]:
    """The figures of `as_json`."""
    return [
        Figure(
            **{
                **{key: value for key, value in figure.items() if key != "met"},
                "of": {name: Spread(**spread) for name, spread in figure["of"].items()},
            }
        )
        for figure in stored["figures"]
    ]


def as_json(found: Mapping[str, Any], figures: Sequence[Figure]) -> dict[str, Any]:
    """All of a run."""
    return {
        **found,
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }

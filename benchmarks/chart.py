"""A run as a picture. Needs matplotlib, which is in the dependency group ``bench``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import FLOOR, OFFICIAL, OURS
from benchmarks.measure import Figure

COLOURS = {OFFICIAL: "#9a9a9a", OURS: "#2f6fab", FLOOR: "#c9a227"}
# What of each workload stands among the bars.
BARS = (
    ("small", ", sync, sync", "added time of a turn", "small graph, turn"),
    ("fan-out", ", sync, sync", "added time of a turn", "8 nodes in parallel, turn"),
    ("tools", ", sync, sync", "added time of a turn", "tool agent, turn"),
    ("files", ", sync, sync", "added time of a turn", "a file of 200, turn"),
    ("window", ", sync, sync", "added time of a turn", "window of 50, turn"),
    ("delta", "all 200 turns, sync", "added time of a turn", "DeltaChannel, turn"),
    ("read", "800 messages, sync", "get_tuple", "get_tuple, 800 messages"),
    ("list", "800 messages, sync", "list, 20", "list of 20, 800 messages"),
    ("writes", "a message and a branch, sync", "put_writes", "put_writes"),
    ("growth", "the first 250 turns", "tables", "tables after 250 turns"),
    ("growth", "the first 250 turns", "WAL", "WAL of 250 turns"),
    ("memory", "the same", "more than without a saver", "memory that it takes"),
)


def draw(found: Mapping[str, Any], figures: Sequence[Figure], path: Path) -> None:
    """Draw added time and WAL by length, and the ratios of the rest."""
    import matplotlib as mpl  # noqa: PLC0415 -- only who draws needs it

    mpl.use("svg")
    # text stays text, and two runs with equal figures give equal files
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9})
    from matplotlib import pyplot as plt  # noqa: PLC0415

    plot, (time, wal, rest) = plt.subplots(
        1, 3, figsize=(12, 4.2), width_ratios=[1, 1, 1.1], layout="constrained"
    )
    _lines(time, figures, "added time of a turn", "added time of a chat turn, ms")
    _lines(wal, figures, "WAL a turn", "WAL of a chat turn, kB")
    _bars(rest, figures)
    versions = found["versions"]
    plot.supxlabel(
        f"langgraph-checkpoint-postgres {versions['langgraph-checkpoint-postgres']}, "
        f"PostgreSQL {versions['PostgreSQL'].split()[0]}, Python {versions['Python']}, "
        f'{found["date"]}; medians, durability "sync"',
        fontsize=8,
    )
    plot.savefig(path, metadata={"Date": None})
    plt.close(plot)


def _lines(axes: Any, figures: Sequence[Figure], quantity: str, title: str) -> None:
    from matplotlib.ticker import LogLocator  # noqa: PLC0415 -- only who draws needs it

    points = {
        int(re.match(r"\d+", figure.case)[0]): figure  # type: ignore[index]
        for figure in figures
        if figure.workload == "chat"
        and figure.quantity == quantity
        and figure.case.endswith(" messages, sync, sync")
        and figure.of
    }
    for name, colour in COLOURS.items():
        values = [points[length].of[name].median for length in sorted(points)]
        label = "psycopg alone (floor)" if name == FLOOR else name
        axes.plot(sorted(points), values, marker="o", color=colour, label=label)
    if points:
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(sorted(points), [f"{length:,}" for length in sorted(points)])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
    axes.set(title=title, xlabel="messages in the thread")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def _bars(axes: Any, figures: Sequence[Figure]) -> None:
    found = {
        label: figure.ratio
        for workload, case, quantity, label in BARS
        for figure in figures
        if (figure.workload, figure.quantity) == (workload, quantity)
        and figure.case.endswith(case)
        and figure.of
        and figure.ratio is not None
    }
    drawn = axes.barh(list(found), [max(0, ratio) for ratio in found.values()], color=COLOURS[OURS])
    axes.bar_label(drawn, [f"{ratio:.2g}" for ratio in found.values()], padding=3)
    axes.axvline(1, color=COLOURS[OFFICIAL])
    axes.invert_yaxis()
    axes.set(
        title="ours, where the official saver is 1", xlim=(0, 1.15 * max([1, *found.values()]))
    )
    axes.spines[["top", "right"]].set_visible(False)

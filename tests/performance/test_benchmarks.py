"""Each workload of the benchmarks runs, in its smallest size; no time is looked at."""

from __future__ import annotations

import json
import math

import pytest
from benchmarks import __main__ as command
from benchmarks import report
from benchmarks.contenders import OFFICIAL, OURS
from benchmarks.measure import Bench, Figure, Spread
from benchmarks.scale import TINY
from benchmarks.workloads import WORKLOADS


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload(server, name):
    figures = list(WORKLOADS[name](Bench(server.dsn, TINY)))
    assert figures
    assert {figure.workload for figure in figures} == {name}
    for figure in figures:
        assert {OURS, OFFICIAL} <= figure.of.keys() or figure.ratio is not None
        assert all(math.isfinite(spread.median) for spread in figure.of.values())
        assert figure.case in report.line(figure)
    json.dumps(report.as_json({}, figures))


def test_command(monkeypatch, server, tmp_path, capsys):
    """The table, and what is written: figures as JSON, from which the page is made again."""
    monkeypatch.setattr(command, "QUICK", TINY)
    stored, page, again = tmp_path / "all.json", tmp_path / "page.md", tmp_path / "again.md"
    where = ["--dsn", server.dsn, "--json", str(stored), "--page", str(page)]
    command.main(["--quick", "--only", "growth,writes", *where])
    printed = capsys.readouterr().out
    figures = report.from_json(json.loads(stored.read_text()))
    assert {figure.workload for figure in figures} == {"growth", "writes"}
    for figure in figures:
        assert report.line(figure) in printed
    command.main(["--stored", str(stored), "--page", str(again)])
    assert again.read_text() == page.read_text()
    assert page.read_text().count("\n| ") > 5


def test_command_says_which_workloads_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["--only", "chat,nothing"])
    assert "there is no nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ours", "target", "at_least", "met"),
    [(2, 0.5, False, True), (2.1, 0.5, False, False), (8, 2, True, True), (7, 2, True, False)],
)
def test_target(ours, target, at_least, met):
    of = {OURS: Spread.of([ours]), OFFICIAL: Spread.of([4])}
    figure = Figure("chat", "case", "time", "ms", of, target=target, at_least=at_least)
    assert figure.met is met
    assert ("MISSED" in report.line(figure)) is not met


def test_spread_is_of_quartiles():
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(3, 2, 4, 5)
    assert Spread.of([7]) == Spread(7, 7, 7, 1)

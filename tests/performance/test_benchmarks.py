"""Each workload of the benchmarks runs, in its smallest size; no time is looked at."""

from __future__ import annotations

import json
import math

import pytest
from benchmarks import report
from benchmarks.contenders import OFFICIAL, OURS
from benchmarks.measure import Bench
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

"""Which programs the faults' tests find."""

from __future__ import annotations

import os

import pytest
from pgbouncer import PROGRAM

# (As with the versions of PostgreSQL: what a machine has not is not tested there.)
collect_ignore = [] if PROGRAM else ["test_poolers.py"]


def pytest_report_header() -> str | None:
    return None if PROGRAM else "no PgBouncer here: test_poolers.py is left out"


def pytest_collection() -> None:
    if os.environ.get("REQUIRE_PGBOUNCER") and not PROGRAM:
        raise pytest.UsageError("REQUIRE_PGBOUNCER is set and there is none: install pgbouncer")

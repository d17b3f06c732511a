"""What the questions of docs/sql.md are asked of."""

from __future__ import annotations

import pytest
from talks import Said, talk


@pytest.fixture
def said(any_ready_database: str) -> Said:
    """Talks of three users, on each version of PostgreSQL."""
    return talk(any_ready_database)

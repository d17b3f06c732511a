"""What running a plan took, for log records."""

from __future__ import annotations

import logging
from dataclasses import dataclass

logger = logging.getLogger("langgraph_pg_snapshot")


@dataclass
class Trace:
    """Counts of one operation.

    Attributes:
        statements: Statements that were run, without those of a transaction block.
        rows: Rows that they returned or changed.
        retries: How often work was begun again on another connection.
    """

    statements: int = 0
    rows: int = 0
    retries: int = 0

    def statement(self, rows: int) -> None:
        """Count a statement."""
        self.statements += 1
        self.rows += max(rows, 0)

    def retry(self, error: Exception) -> None:
        """Count a second try, and say why."""
        self.retries += 1
        logger.debug("retrying on another connection after %s", type(error).__name__)

"""What pools of our own are made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

TCP_USER_TIMEOUT_SINCE = 120_000  # libpq 12

# A network or host that is gone is noticed in 5 s by what waits to be sent, in about 15 s by an
# answer that does not come. (They do nothing on a unix socket.) Times
# are in seconds, but tcp_user_timeout in milliseconds.
LIVELINESS: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    **({"tcp_user_timeout": 5_000} if psycopg.pq.version() >= TCP_USER_TIMEOUT_SINCE else {}),
}


@dataclass(frozen=True)
class PoolSettings:
    """What pools of our own are made from: psycopg_pool's own names, units and defaults."""

    conninfo: str
    min_size: int
    max_size: int
    timeout: float
    max_idle: float
    max_lifetime: float
    kwargs: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Arguments of ConnectionPool and AsyncConnectionPool."""
        return {
            "conninfo": self.conninfo,
            "min_size": self.min_size,
            "max_size": self.max_size,
            "timeout": self.timeout,
            "max_idle": self.max_idle,
            "max_lifetime": self.max_lifetime,
            "kwargs": {
                # single statements need no transaction block: one round trip instead of three
                "autocommit": True,
                # every statement comes again and again: planned once, at its first use
                "prepare_threshold": 0,
                "fallback_application_name": "langgraph-pg-snapshot",
                **self._liveliness(),
                **self.kwargs,
            },
            "open": False,
        }

    def _liveliness(self) -> dict[str, int]:
        """What the connection string leaves open, and may not get from elsewhere."""
        given = conninfo_to_dict(self.conninfo)
        if "service" in (given | self.kwargs) or "PGSERVICE" in os.environ:
            return {}  # its file says it, perhaps
        if "PGCONNECT_TIMEOUT" in os.environ:
            given["connect_timeout"] = os.environ["PGCONNECT_TIMEOUT"]
        return {name: value for name, value in LIVELINESS.items() if name not in given}

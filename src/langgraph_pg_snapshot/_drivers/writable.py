"""Connections that turn out to lead to a standby."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg


@contextmanager
def for_writing(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Have a connection that turns out to lead to a standby replaced: it stays one for long."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        conn.close()
        raise


@asynccontextmanager
async def for_writing_async(conn: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    """The same for an async connection."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        await conn.close()
        raise

"""What goes wrong with an embedded server."""

from __future__ import annotations

from langgraph_pg_snapshot.errors import StorageError


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL server can't be started."""

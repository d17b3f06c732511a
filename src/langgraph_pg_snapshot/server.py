"""A saver for the LangGraph server, made from environment variables; see docs/server.md.

In `langgraph.json`: ``"checkpointer": {"path": "langgraph_pg_snapshot.server.make_saver"}``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langgraph_pg_snapshot._conninfo import parsed
from langgraph_pg_snapshot.errors import (
    ConnectionUnavailableError,
    InvalidArgumentError,
    SchemaError,
)
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver

DATABASE = "DATABASE_URL"
PREFIX = "PG_SNAPSHOT_"


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


# The saver's arguments that a variable may set, and how its text is read.
SETTINGS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "table_name": (str, "a name"),
    "schema": (str, "a name"),
    "min_size": (int, "a whole number"),
    "max_size": (int, "a whole number"),
    "timeout": (float, "a number of seconds"),
    "deadline": (float, "a number of seconds"),
    "pooler": (_boolean, "true or false"),
    "auto_setup": (_boolean, "true or false"),
    "cache_bytes": (int, "a whole number"),
}


@asynccontextmanager
async def make_saver(**options: Any) -> AsyncIterator[PostgresSnapshotSaver]:
    """The saver that the environment describes, open and with its tables up to date.

    ``DATABASE_URL`` is a PostgreSQL connection string or URL. ``PG_SNAPSHOT_TABLE_NAME`` and so on
    (see `SETTINGS`) are arguments of `PostgresSnapshotSaver`, with its defaults. The server enters
    this once for each of its event loops, and each gets pools of its own.

    Args:
        options: Further arguments of `PostgresSnapshotSaver`, such as ``serde``; what is passed
            here counts, whatever the environment says.

    Raises:
        InvalidArgumentError: A variable is missing or says what the saver does not take.
        ConnectionUnavailableError: No connection could be had for ``timeout`` seconds.
        SchemaError: The tables are not usable; with ``auto_setup`` false: not up to date.
    """
    arguments = _arguments(os.environ)
    variables = ", ".join((DATABASE, *(PREFIX + name.upper() for name in arguments)))
    arguments |= options

    def made() -> PostgresSnapshotSaver:
        try:
            return PostgresSnapshotSaver(os.environ[DATABASE], **arguments)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{error} (set by {variables})") from None

    async with made() as saver:
        try:
            if arguments.get("auto_setup", True):
                await saver.asetup()
            elif not (status := await saver.acheck_schema()).ok:
                raise SchemaError(
                    f"the tables have schema version {status.version} of {status.newest} or are "
                    "incomplete, and auto_setup is off: run your migrations, or "
                    f"'langgraph-pg-snapshot setup', or set {PREFIX}AUTO_SETUP=true"
                )
        except ConnectionUnavailableError as error:
            raise ConnectionUnavailableError(
                f"{DATABASE} leads to no database that can be used: {error}"
            ) from error
        yield saver


def _arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """The saver's arguments, from the variables that are set and not empty."""
    if not environment.get(DATABASE):
        raise InvalidArgumentError(
            f"{DATABASE} is not set: it says where checkpoints go, as in {DATABASE}="
            "postgresql://user:pass@host/db; set it, or have it in the file that langgraph.json "
            'names as "env"'
        )
    parsed(environment[DATABASE], DATABASE)
    arguments = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or not text:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in SETTINGS:
            known = ", ".join(PREFIX + each.upper() for each in SETTINGS)
            raise InvalidArgumentError(f"{variable} is no setting: there are {known}")
        read, kind = SETTINGS[name]
        try:
            arguments[name] = read(text)
        except (ValueError, KeyError):
            raise InvalidArgumentError(f"{variable} must be {kind}, got {text[:80]!r}") from None
    return arguments

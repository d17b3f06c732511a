"""Connection strings, looked at before a connection is tried."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError


def parsed(conninfo: str, named: str) -> dict[str, Any]:
    """The parameters of a connection string, if libpq takes it apart as it was meant.

    Args:
        conninfo: The string, or a URL.
        named: What the caller knows it as: an argument, an option, a variable.

    Raises:
        InvalidArgumentError: It is none. Its text is not repeated, since it may hold a password.
    """
    if not isinstance(conninfo, str):
        raise ArgumentTypeError(f"{named} must be a str, got {type(conninfo).__name__}")
    conninfo = str.__str__(conninfo)  # a subclass may say something else each time
    scheme, is_url, rest = conninfo.partition("://")
    if is_url and scheme in ("postgresql", "postgres"):
        # libpq ends the credentials at the first "@", if that is before the first "/". What comes
        # after would be part of the host's name, and errors name that.
        authority, _, path = rest.partition("/")
        if authority.count("@") > 1 or "@" in path.partition("?")[0]:
            raise InvalidArgumentError(
                f"{named} has a user name or password with a character that must be "
                "percent-encoded in a URL ('@' is %40, '/' is %2F, ':' is %3A)"
            )
    found = _parsed(conninfo)
    if found is None:
        hint = "; a URL of SQLAlchemy's has to lose its '+driver'" if "+" in scheme else ""
        raise InvalidArgumentError(
            f"{named} is not a PostgreSQL connection string ('postgresql://user@host/db' or "
            f"'host=… dbname=…'){hint}"
        )
    return found


def _parsed(conninfo: str) -> dict[str, Any] | None:
    """None if it can't be parsed: libpq's error quotes it, so it may be nobody's context."""
    if "\x00" in conninfo:  # where libpq would stop to read
        return None
    try:
        return conninfo_to_dict(conninfo)
    except (psycopg.ProgrammingError, UnicodeEncodeError):
        return None

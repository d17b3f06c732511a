"""What `import` and `export` are told of other savers: where their threads are, and how stored."""

from __future__ import annotations

import importlib
from operator import attrgetter
from pathlib import Path
from typing import Any

import typer
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot.cli.session import Session, checked
from langgraph_pg_snapshot.transfer import OfficialTables, PlainTable, SqliteFile

# What an option says something about; all others are for any source.
_FITS = {
    "file": {"--source-serde"},
    "official": {"--source-schema", "--source-serde"},
    "plain": {"--source-schema", "--source-table", "--to-state"},
}


def source_of(
    session: Session, source: str | None, kind: str, given: dict[str, str | None]
) -> OfficialTables | PlainTable | SqliteFile:
    """Where threads are to be read, by what SOURCE, --kind and the given options say.

    Raises:
        BadParameter: They don't fit together, or there is nothing of that name.
    """
    is_file = source is not None and _is_file(source)
    if not is_file and source is not None and "=" not in source and "://" not in source:
        raise typer.BadParameter(
            "SOURCE is a connection string or a file of SqliteSaver, and there is no file "
            f"{source!r}"
        )
    if is_file and kind == "plain":
        raise typer.BadParameter("--kind plain is about a database, and SOURCE is a file")
    for option, value in given.items():
        if value is not None and option not in _FITS["file" if is_file else kind]:
            raise typer.BadParameter(
                f"{option} says nothing about "
                + ("a file of SqliteSaver" if is_file else f"a source of --kind {kind}")
            )
    serde = serializer(given["--source-serde"], "--source-serde") or JsonPlusSerializer()
    if source is not None and is_file:
        return SqliteFile(source, serde)
    conninfo = session.conninfo() if source is None else checked(source, "SOURCE")
    schema = given["--source-schema"]
    if kind == "official":
        return OfficialTables(conninfo, schema, serde)
    to_state = given["--to-state"]
    return PlainTable(
        conninfo,
        given["--source-table"] or "agent_checkpoints",
        schema,
        None if to_state is None else _named(to_state, "--to-state"),
    )


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except OSError:  # it is too long for a name, say
        return False


def _named(given: str, option: str) -> Any:
    """What the application calls MODULE:NAME; it can be called, or is a serializer.

    Raises:
        BadParameter: There is no such thing.
    """
    module, colon, name = given.partition(":")
    if not (module and colon and name):
        raise typer.BadParameter(f"{option} is of the form MODULE:NAME, not {given!r}")
    try:
        found = attrgetter(name)(importlib.import_module(module))
    except Exception as error:
        raise typer.BadParameter(f"{option} {given}: {type(error).__name__}: {error}") from error
    if not callable(found) and not isinstance(found, SerializerProtocol):
        raise typer.BadParameter(f"{option} {given}: it is a {type(found).__name__}")
    return found


def serializer(given: str | None, option: str) -> SerializerProtocol | None:
    """The serializer that MODULE:NAME is, or what a class or function of that name makes.

    Raises:
        BadParameter: It is none, or there is nothing of that name.
    """
    if given is None:
        return None
    found = _named(given, option)
    if isinstance(found, type) or not isinstance(found, SerializerProtocol):
        try:
            found = found()
        except Exception as error:
            raise typer.BadParameter(
                f"{option} {given}: {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, SerializerProtocol):
        raise typer.BadParameter(
            f"{option} {given}: a {type(found).__name__} is no serializer: it has no dumps_typed "
            "and loads_typed"
        )
    return found

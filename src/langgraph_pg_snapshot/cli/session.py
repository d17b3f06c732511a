"""What commands share: the options that say which database, and the saver that they give."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import psycopg
import typer
from langgraph.checkpoint.serde.base import SerializerProtocol
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot._conninfo import parsed
from langgraph_pg_snapshot.cli.output import Output
from langgraph_pg_snapshot.errors import (
    NOT_KEPT_APART,
    ConnectionUnavailableError,
    InvalidArgumentError,
    SchemaError,
    StorageError,
    TenantError,
    is_not_kept_apart,
)
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver
from langgraph_pg_snapshot.serializer.stored import StoredForm
from langgraph_pg_snapshot.sql import Queries

# Seconds to wait for a server that does not answer, unless the DSN says otherwise.
CONNECT_TIMEOUT = 10

Dsn = Annotated[
    str | None,
    typer.Option(
        help="PostgreSQL connection string or URL.", envvar="DATABASE_URL", show_default=False
    ),
]
TableName = Annotated[str, typer.Option(help="Name of the view, and prefix of the tables.")]
Schema = Annotated[
    str | None,
    typer.Option(help="Schema of the tables; without it search_path tells.", show_default=False),
]
Tenant = Annotated[
    str | None,
    typer.Option(help="Whose threads, where there are tenants.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import this module first: it defines classes that are stored. May be repeated.",
    ),
]


@dataclass
class Session:
    """Which database a command is about, and where its result goes.

    Attributes:
        dsn: The connection string, if there is one.
        table_name: Name of the view, and prefix of the tables.
        schema: Schema of the tables.
        tenant: Whose threads they are, if the tables are for tenants.
        output: Where the result goes.
        open_connection: The connection of the saver that is open.
    """

    dsn: str | None
    table_name: str
    schema: str | None
    tenant: str | None
    output: Output
    open_connection: psycopg.Connection[Any] | None = None

    @property
    def queries(self) -> Queries:
        """The statements for these tables."""
        return Queries(self.table_name, self.schema, tenants=self.tenant is not None)

    def conninfo(self) -> str:
        """The connection string, checked."""
        if not self.dsn:
            raise typer.BadParameter("there is no database: pass --dsn, or set DATABASE_URL")
        return checked(self.dsn, "--dsn")

    def rows(self, name: str, **params: Any) -> list[tuple[Any, ...]]:
        """What a statement finds that asks one of the views, on the open saver's connection."""
        assert self.open_connection is not None  # noqa: S101 -- the saver is open
        try:
            with self.open_connection.transaction():
                if self.tenant is not None:
                    set_tenant = self.queries("set_tenant")
                    self.open_connection.execute(set_tenant, {"tenant": self.tenant})
                return self.open_connection.execute(self.queries(name), params).fetchall()
        except psycopg.Error as error:
            if is_not_kept_apart(error):
                raise TenantError(NOT_KEPT_APART) from error
            raise StorageError(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def saver(
        self, serde: SerializerProtocol | None = None, *, needs_tables: bool = True
    ) -> Iterator[PostgresSnapshotSaver]:
        """A saver on the database; by default one that shows what is stored.

        Raises:
            SchemaError: The tables are not there, or not up to date.
        """
        with connected(self.conninfo()) as connection:
            self.open_connection = connection
            saver = PostgresSnapshotSaver(
                connection,
                table_name=self.table_name,
                schema=self.schema,
                tenant=self.tenant,
                serde=serde or StoredForm(),
                auto_setup=False,
                cache_bytes=0,
            )
            if needs_tables:
                self._check_tables(saver)
            yield saver

    def _check_tables(self, saver: PostgresSnapshotSaver) -> None:
        status = saver.check_schema()
        label = self.queries.label
        if status.version == 0:
            raise SchemaError(
                f"there are no tables of {label!r} in this database: make them with "
                "'langgraph-pg-snapshot setup', or name others with --table-name and --schema"
            )
        if not status.ok:
            raise SchemaError(
                f"the tables of {label!r} are not up to date: run 'langgraph-pg-snapshot setup' "
                "('langgraph-pg-snapshot check' says what is missing)"
            )


def command(app: typer.Typer, name: str | None = None) -> Callable[..., Any]:
    """Make a function of a `Session` and further options a command that has the common options."""

    def decorate(run: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(run)
        def main(
            dsn: str | None,
            table_name: str,
            schema: str | None,
            tenant: str | None,
            *,
            as_json: bool,
            **options: Any,
        ) -> None:
            run(Session(dsn or None, table_name, schema, tenant, Output(as_json)), **options)

        own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
        common = [
            _option("dsn", Dsn, None),
            _option("table_name", TableName, "agent_checkpoints"),
            _option("schema", Schema, None),
            _option("tenant", Tenant, None),
            _option("as_json", Json, default=False),
        ]
        keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *common)]
        main.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # read by inspect
        main.__annotations__ = {each.name: each.annotation for each in keyword}
        app.command(name)(main)
        return run

    return decorate


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def checked(dsn: str, option: str) -> str:
    """A connection string that can be parsed, and that libpq takes apart as it was meant.

    Raises:
        BadParameter: It is none. Its text is not repeated, since there may be a password in it.
    """
    try:
        given = parsed(dsn, option)
    except InvalidArgumentError as error:
        raise typer.BadParameter(str(error)) from None
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        dsn = make_conninfo(dsn, connect_timeout=CONNECT_TIMEOUT)
    return make_conninfo(dsn, fallback_application_name="langgraph-pg-snapshot")


@contextmanager
def connected(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection, for as long as the block lasts.

    Raises:
        ConnectionUnavailableError: There is none to be had.
    """
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
    except psycopg.Error as error:
        raise ConnectionUnavailableError(f"no connection could be had: {error}") from error
    # (Not in a block of its own: that would roll back, and warn where a statement was interrupted.)
    with closing(connection):
        yield connection


def import_modules(names: Sequence[str] | None) -> None:
    """Import the application's modules, as found from the working directory.

    Raises:
        BadParameter: One can't be imported.
    """
    sys.path.insert(0, str(Path.cwd()))
    for name in names or ():
        _import(name)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        raise typer.BadParameter(f"--import {name}: {type(error).__name__}: {error}") from error


def parsed_pairs(pairs: Sequence[str] | None) -> dict[str, Any]:
    """What ``--filter key=value`` says; a value that is JSON is that, any other is text.

    Raises:
        BadParameter: One is not of this form.
    """
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"--filter is of the form key=value, not {pair!r}")
        try:
            found[key] = orjson.loads(text)
        except orjson.JSONDecodeError:
            found[key] = text
    return found

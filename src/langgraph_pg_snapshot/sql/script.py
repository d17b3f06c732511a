"""The schema as a script, for who runs DDL by hand or by a migration tool."""

from __future__ import annotations

from psycopg import sql

from langgraph_pg_snapshot._arguments import shown
from langgraph_pg_snapshot.errors import InvalidArgumentError
from langgraph_pg_snapshot.sql import Queries, check_identifier, definitions, migrations

# What a role that runs graphs reads and writes; it reads the others.
WRITTEN = ("threads", "history", "items", "writes", "metadata", "erased", "leases")
VIEWS = ("view", "messages", "steps")


def schema_sql(
    table_name: str = "agent_checkpoints",
    schema: str | None = None,
    *,
    since: int = 0,
    until: int | None = None,
    tenants: bool = False,
) -> str:
    """The statements that make the tables as `setup` does, or bring them up to date.

    For a DBA, or for a migration tool such as Alembic, beside savers with ``auto_setup=False``. It
    is to be run in one transaction, which ``setup`` then finds done.

    Args:
        table_name: As the saver's; default "agent_checkpoints".
        schema: As the saver's; None (default) leaves it to ``search_path``.
        since: The newest migration that was applied; 0 (default) means that there is nothing yet.
        until: The newest migration to apply; None (default) is the newest of this package. A
            migration tool's revision should say it, so that a later package changes nothing there.
        tenants: Whether they are tables for savers with ``tenant=``; default False.

    Returns:
        Statements, each ended by a semicolon; "" if nothing came after ``since``.

    Raises:
        InvalidArgumentError: A name is no legal identifier, or there is no migration ``since`` or
            ``until``.
    """
    queries = Queries(table_name, schema, tenants=tenants)
    newest = migrations()[-1].version
    _check_version("since", since, 0, newest)
    if until is None:
        until = newest
    _check_version("until", until, max(since, 1), newest)
    parts = []
    if since == 0:
        if queries.schema is not None:
            parts.append(_statement(queries, "create_schema"))
        parts.append(_statement(queries, "create_migrations"))
    for migration in migrations():
        if since < migration.version <= until:
            parts.append(f"-- Migration {migration.version}: {migration.name}\n")
            parts.append(queries.script(migration.text).decode().strip() + "\n")
            parts.append(_record(queries, migration.version, migration.name))
    return "\n".join(parts)


def _check_version(argument: str, version: int, low: int, high: int) -> None:
    if type(version) is not int or not low <= version <= high:
        raise InvalidArgumentError(
            f"{argument} must be an int from {low} to {high} (the migrations that this version of "
            f"langgraph-pg-snapshot knows), got {shown(version)}"
        )


def rights_sql(
    table_name: str = "agent_checkpoints",
    schema: str | None = None,
    *,
    owner: str | None = None,
    runtime: str | None = None,
    reader: str | None = None,
    tenants: bool = False,
) -> str:
    """The statements that give roles the rights that they need, once the tables are there.

    The roles have to be there, too. (Without ``schema``, the right to use ``public`` is given.)

    Args:
        table_name: As the saver's; default "agent_checkpoints".
        schema: As the saver's; None (default) is ``public``.
        owner: The role that is to own the tables, and may upgrade them (``setup``).
        runtime: The role that runs graphs: it reads and writes rows, and makes nothing. Every
            method but ``setup`` works with it.
        reader: A role that reads the views only, as for a dashboard. (Views for tenants need the
            right to read the tables, which it is given, too: row security then goes by who reads.
            It says itself whose turn it is, so it may read every tenant's rows.)
        tenants: Whether they are tables for savers with ``tenant=``; default False.

    Returns:
        Statements, each on a line of its own; "" if no role is named.

    Raises:
        InvalidArgumentError: A name is no legal identifier.
    """
    queries = Queries(table_name, schema, tenants=tenants)
    place = queries.relations.get("schema", "public")
    relations = queries.relations
    parts = []
    if owner is not None:
        owner = _role("owner", owner)
        parts.append(f"GRANT USAGE, CREATE ON SCHEMA {place} TO {owner};")
        parts += [
            f"ALTER {'VIEW' if name in VIEWS else 'TABLE'} {relation} OWNER TO {owner};"
            for name, relation in relations.items()
            if name != "schema"
        ]
    if runtime is not None:
        runtime = _role("runtime", runtime)
        written = ", ".join(relations[name] for name in WRITTEN)
        read = ", ".join(relations[name] for name in (*VIEWS, "migrations"))
        parts.append(f"GRANT USAGE ON SCHEMA {place} TO {runtime};")
        parts.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {written} TO {runtime};")
        parts.append(f"GRANT SELECT ON {read} TO {runtime};")
    if reader is not None:
        reader = _role("reader", reader)
        seen = [relations[name] for name in (*VIEWS, *(WRITTEN if tenants else ()))]
        parts.append(f"GRANT USAGE ON SCHEMA {place} TO {reader};")
        parts.append(f"GRANT SELECT ON {', '.join(seen)} TO {reader};")
    return "".join(f"{part}\n" for part in parts)


def _role(argument: str, name: str) -> str:
    return sql.Identifier(check_identifier(argument, name)).as_string(None)


def _statement(queries: Queries, name: str) -> str:
    return queries.script(definitions()[name]).decode() + ";\n"


def _record(queries: Queries, version: int, name: str) -> str:
    """The same as the statement record_migration, which has parameters."""
    quoted = sql.Literal(name).as_string(None)
    table = queries.relations["migrations"]
    return f"INSERT INTO {table} (version, name) VALUES ({version}, {quoted});\n"  # noqa: S608 -- ours, quoted

"""The schema as a script, for who runs DDL by hand or by a migration tool."""

from __future__ import annotations

from psycopg import sql

from langgraph_pg_snapshot.sql import Queries, definitions, migrations

# What a role that runs graphs reads and writes; it reads the others.
WRITTEN = ("threads", "history", "items", "writes", "metadata", "erased")
VIEWS = ("view", "messages", "steps")


def ddl(queries: Queries, since: int = 0) -> str:
    """Statements that make the tables as `setup` would, or bring them up to date.

    Args:
        queries: The tables' names.
        since: The newest migration that was applied; 0 (default) means that there is nothing yet.
    """
    parts = []
    if since == 0:
        if queries.schema is not None:
            parts.append(_statement(queries, "create_schema"))
        parts.append(_statement(queries, "create_migrations"))
    for migration in migrations():
        if migration.version > since:
            parts.append(f"-- Migration {migration.version}: {migration.name}\n")
            parts.append(queries.script(migration.text).decode().strip() + "\n")
            parts.append(_record(queries, migration.version, migration.name))
    return "\n".join(parts)


def grants(queries: Queries, owner: str | None, role: str | None, reader: str | None) -> str:
    """Statements that give roles the rights that they need; "" if none is named.

    Args:
        queries: The tables' names.
        owner: The role that is to make and upgrade the tables.
        role: The role that runs graphs: reads and writes rows, makes nothing.
        reader: A role that reads the views, as for a dashboard.
    """
    schema = queries.relations.get("schema", "public")
    relations = queries.relations
    parts = []
    if owner is not None:
        owner = _quoted(owner)
        parts.append(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {owner};")
        parts += [
            f"ALTER {'VIEW' if name in VIEWS else 'TABLE'} {relation} OWNER TO {owner};"
            for name, relation in relations.items()
            if name != "schema"
        ]
    if role is not None:
        role = _quoted(role)
        written = ", ".join(relations[name] for name in WRITTEN)
        read = ", ".join(relations[name] for name in (*VIEWS, "migrations"))
        parts.append(f"GRANT USAGE ON SCHEMA {schema} TO {role};")
        parts.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {written} TO {role};")
        parts.append(f"GRANT SELECT ON {read} TO {role};")
    if reader is not None:
        reader = _quoted(reader)
        parts.append(f"GRANT USAGE ON SCHEMA {schema} TO {reader};")
        parts.append(f"GRANT SELECT ON {', '.join(relations[v] for v in VIEWS)} TO {reader};")
    return "".join(f"{part}\n" for part in parts)


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _statement(queries: Queries, name: str) -> str:
    return queries.script(definitions()[name]).decode() + ";\n"


def _record(queries: Queries, version: int, name: str) -> str:
    """The same as the statement record_migration, which has parameters."""
    quoted = sql.Literal(name).as_string(None)
    table = queries.relations["migrations"]
    return f"INSERT INTO {table} (version, name) VALUES ({version}, {quoted});\n"  # noqa: S608 -- ours, quoted

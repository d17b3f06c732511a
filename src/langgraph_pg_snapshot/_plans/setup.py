"""Making and checking the schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot.errors import SchemaConflictError, SchemaVersionError
from langgraph_pg_snapshot.models import SchemaStatus
from langgraph_pg_snapshot.sql import Queries, migrations


def set_up(queries: Queries) -> Plan[None]:
    """Bring the schema up to date; where it is, nothing but two reads is issued.

    Raises:
        SchemaConflictError: A relation of that name is there and is not ours.
        SchemaVersionError: The schema is newer than this package.
    """
    if (yield from _applied_version(queries)) < migrations()[-1].version:
        yield Atomic(partial(_migrate, queries), takes_long=True)


def schema_status(queries: Queries) -> Plan[SchemaStatus]:
    """What of the schema is there; two reads.

    Raises:
        SchemaConflictError: A relation of that name is there and is not ours.
        SchemaVersionError: The schema is newer than this package.
    """
    version = yield from _applied_version(queries)
    names = _names(queries)
    [(taken, _)] = yield _look_for(queries, names)
    return SchemaStatus(
        version,
        migrations()[-1].version,
        [each.name for each in migrations() if each.version > version],
        [quoted for quoted in names.values() if quoted not in taken],
    )


def _names(queries: Queries) -> dict[str, str]:
    return {name: quoted for name, quoted in queries.relations.items() if name != "schema"}


def _look_for(queries: Queries, names: Mapping[str, str]) -> Stmt:
    return Stmt(
        queries("schema_state"),
        {"names": list(names.values()), "migrations": names["migrations"]},
    )


def _applied_version(queries: Queries) -> Plan[int]:
    """The newest migration in the database; 0 if there is none."""
    [(taken, has_migrations)] = yield _look_for(queries, _names(queries))
    if not has_migrations:
        if taken:
            raise SchemaConflictError(
                f"a relation named {taken[0]} is in this database already and was not made by "
                "langgraph-pg-snapshot: nothing was changed. Pass another table_name=, or place "
                "our tables apart with schema=, or rename the other relation"
            )
        return 0
    [(version,)] = yield Stmt(queries("schema_version"), {})
    newest = migrations()[-1].version
    if version is not None and version > newest:
        raise SchemaVersionError(
            f"the tables of {queries.label} have schema version {version}, this package knows "
            f"{newest}: nothing was touched. Upgrade langgraph-pg-snapshot in this process"
        )
    return int(version or 0)


def _migrate(queries: Queries) -> Plan[None]:
    yield Stmt(queries("lock_schema"), {"name": "langgraph-pg-snapshot"})
    if queries.schema is not None:
        known = yield Stmt(queries("schema_exists"), {"schema": queries.schema})
        if not known:
            yield Stmt(queries("create_schema"), {})
    # Whoever held the lock may have done it all.
    version = yield from _applied_version(queries)
    if version == 0:
        yield Stmt(queries("create_migrations"), {})
    for migration in migrations():
        if migration.version > version:
            yield Stmt(queries.script(migration.text))
            yield Stmt(
                queries("record_migration"),
                {"version": migration.version, "name": migration.name},
            )

"""Making and checking the schema."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot.errors import SchemaConflictError, SchemaVersionError, TenantError
from langgraph_pg_snapshot.models import SchemaStatus
from langgraph_pg_snapshot.sql import Queries, migrations


def set_up(queries: Queries) -> Plan[None]:
    """Bring the schema up to date; where it is, nothing but two reads is issued.

    Raises:
        SchemaConflictError: A relation of that name is there and is not ours.
        SchemaVersionError: The schema is newer than this package.
        TenantError: The tables were made for tenants, and should not have been, or the other way
            round.
    """
    if (yield from _applied_version(queries)) < migrations()[-1].version:
        yield Atomic(partial(_migrate, queries), takes_long=True, of_schema=True)


def schema_status(queries: Queries) -> Plan[SchemaStatus]:
    """What of the schema is there; two reads.

    Raises:
        SchemaConflictError: A relation of that name is there and is not ours.
        SchemaVersionError: The schema is newer than this package.
        TenantError: As `set_up`.
    """
    version = yield from _applied_version(queries)
    state = yield from _look(queries)
    return SchemaStatus(
        version,
        migrations()[-1].version,
        [each.name for each in migrations() if each.version > version],
        [quoted for quoted in _names(queries).values() if quoted not in state.taken],
    )


def check_tenancy(queries: Queries) -> Plan[None]:
    """See that the tables are for tenants if, and only if, the saver has one; one read.

    Raises:
        TenantError: They are not.
    """
    _check_kind(queries, (yield from _look(queries)))


class _State(NamedTuple):
    """What is there.

    Attributes:
        taken: Those of our names that something in the database has.
        is_ours: Whether the table of migrations is ours.
        is_for_tenants: Whether the tables have a tenant in their keys.
    """

    taken: list[str]
    is_ours: bool
    is_for_tenants: bool


def _look(queries: Queries) -> Plan[_State]:
    names = _names(queries)
    [row] = yield Stmt(
        queries("schema_state"),
        {
            "names": list(names.values()),
            "migrations": names["migrations"],
            "threads": names["threads"],
        },
        of_schema=True,
    )
    return _State(*row)


def _names(queries: Queries) -> dict[str, str]:
    return {name: quoted for name, quoted in queries.relations.items() if name != "schema"}


def _check_kind(queries: Queries, state: _State) -> None:
    if not state.is_ours or queries.tenants == state.is_for_tenants:
        return
    if queries.tenants:
        raise TenantError(
            f"the tables of {queries.label} were made without tenants, and this saver has "
            "tenant=: nothing was touched. Pass another table_name= or schema=, and "
            "import_threads brings a tenant's threads there"
        )
    raise TenantError(
        f"the tables of {queries.label} were made for tenants, and this saver has none: nothing "
        "was touched. Pass tenant=, or another table_name= or schema="
    )


def _applied_version(queries: Queries) -> Plan[int]:
    """The newest migration in the database; 0 if there is none."""
    state = yield from _look(queries)
    if not state.is_ours:
        if state.taken:
            raise SchemaConflictError(
                f"a relation named {state.taken[0]} is in this database already and was not made "
                "by langgraph-pg-snapshot: nothing was changed. Pass another table_name=, or "
                "place our tables apart with schema=, or rename the other relation"
            )
        return 0
    [(version,)] = yield Stmt(queries("schema_version"), {}, of_schema=True)
    newest = migrations()[-1].version
    if version is not None and version > newest:
        raise SchemaVersionError(
            f"the tables of {queries.label} have schema version {version}, this package knows "
            f"{newest}: nothing was touched. Upgrade langgraph-pg-snapshot in this process"
        )
    if version:
        _check_kind(queries, state)
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

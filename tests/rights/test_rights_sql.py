"""The printed DDL and rights are enough for the owner, the runtime and the reader, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot import (
    InvalidArgumentError,
    PostgresSnapshotSaver,
    rights_sql,
    schema_sql,
)
from langgraph_pg_snapshot.sql import TENANTS_TABLES, Queries, migrations

HOSTILE = 'x"; DROP TABLE canary; --'
ROLES = ("owner", "runtime", "reader")


@pytest.fixture
def roles(database: str) -> Iterator[dict[str, str]]:
    """Roles without any rights, under names that would do harm if they were not quoted."""
    names = {each: f"{HOSTILE} {each}" for each in ROLES}
    with psycopg.connect(database, autocommit=True) as admin:
        for name in names.values():
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            yield names
        finally:
            for name in names.values():
                role = sql.Identifier(name)
                admin.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(role))


@pytest.mark.parametrize("schema", [None, HOSTILE], ids=["public", "schema"])
def test_names_are_quoted_and_every_role_can_do_its_work(
    database: str, roles: dict[str, str], schema: str | None
):
    where = {"table_name": f"{HOSTILE} %", "schema": schema}
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("CREATE TABLE canary ()")
        admin.execute(schema_sql(**where))
        admin.execute(rights_sql(**where, **roles))
        assert admin.execute("SELECT FROM canary").fetchall() == []
    dsn = {each: make_conninfo(database, user=name) for each, name in roles.items()}
    with PostgresSnapshotSaver(dsn["runtime"], auto_setup=False, **where) as saver:
        assert saver.check_schema().ok
        saver.save_state("thread", {"a": 1})
        assert saver.load_state("thread") == {"a": 1}
    with psycopg.connect(dsn["reader"]) as reader:
        view = sql.Identifier(*filter(None, (schema, where["table_name"])))
        states = reader.execute(sql.SQL("SELECT state FROM {}").format(view)).fetchall()
        assert states == [({"a": 1},)]
    # The owner can do again what a later version's setup() would.
    with psycopg.connect(dsn["owner"], autocommit=True) as owner:
        owner.execute(sql.SQL("DROP VIEW {}").format(view))


def test_tables_can_be_made_by_a_role_that_is_no_superuser(database: str, roles: dict[str, str]):
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(roles["owner"]))
        )
    with psycopg.connect(make_conninfo(database, user=roles["owner"])) as owner:
        owner.execute(schema_sql())
        owner.execute(rights_sql(runtime=roles["runtime"]))
    with PostgresSnapshotSaver(make_conninfo(database, user=roles["runtime"])) as saver:
        saver.save_state("thread", {"a": 1})
        assert saver.load_state("thread") == {"a": 1}


@pytest.mark.parametrize("tenants", [False, True])
def test_reader_reads_views_and_tables_of_tenants(
    database: str, roles: dict[str, str], tenants: bool
):
    with psycopg.connect(database) as admin:
        admin.execute(schema_sql(tenants=tenants))
        admin.execute(rights_sql(reader=roles["reader"], tenants=tenants))
        granted = admin.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = %s",
            [roles["reader"]],
        ).fetchall()
    tables = [Queries("agent_checkpoints", tenants=True).relations[name] for name in TENANTS_TABLES]
    read = {f"agent_checkpoints{view}" for view in ("", "_messages", "_steps")}
    if tenants:
        assert len(tables) == 7
        read |= {table.strip('"') for table in tables}
    assert sorted(granted) == sorted((name, "SELECT") for name in read)


def test_only_what_came_later_is_printed():
    newest = migrations()[-1].version
    whole = schema_sql()
    for since in range(1, newest):
        rest = schema_sql(since=since)
        assert whole == f"{schema_sql(until=since)}\n{rest}"
        assert schema_sql(since=since, until=newest) == rest
    assert schema_sql(since=newest) == schema_sql(since=2, until=2) == ""
    assert rights_sql() == ""


@pytest.mark.parametrize(
    ("call", "named"),
    [
        *((lambda bad=bad: schema_sql(since=bad), "since") for bad in (-1, 999, "1", None, True)),
        *((lambda bad=bad: schema_sql(until=bad), "until") for bad in (-1, 0, 999, "1", True)),
        (lambda: schema_sql(since=3, until=2), "until must be an int from 3 to"),
        (lambda: schema_sql(""), "table_name"),
        (lambda: rights_sql("x" * 64, owner="o"), "table_name"),
        (lambda: schema_sql(schema="a\0b"), "schema"),
        *(
            (lambda role=role, bad=bad: rights_sql(**{role: bad}), role)
            for role in ROLES
            for bad in ("", "a\0b", "x" * 64, 7)
        ),
    ],
)
def test_what_is_no_name_is_refused(call, named: str):
    with pytest.raises(InvalidArgumentError, match=named):
        call()

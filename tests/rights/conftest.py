"""Databases whose tables one role owns and another one uses, neither of them a superuser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from langgraph_pg_snapshot import rights_sql, schema_sql
from servers import Server

ROLES = ("tables_owner", "runs_graphs", "only_reads")


@dataclass(frozen=True)
class Place:
    """A database, as each role connects to it.

    Attributes:
        admin: As the superuser.
        owner: As the role that owns the tables.
        runtime: As the role that runs graphs.
        reader: As the role that reads the views.
    """

    admin: str
    owner: str
    runtime: str
    reader: str

    @classmethod
    def of(cls, dsn: str) -> Place:
        return cls(dsn, *(make_conninfo(dsn, user=role) for role in ROLES))


def set_up(dsn: str, *, tenants: bool) -> None:
    owner, runtime, reader = ROLES
    with psycopg.connect(dsn, autocommit=True) as admin:
        for role in ROLES:
            # Roles are the server's, which other databases share.
            admin.execute(
                f"DO $$ BEGIN CREATE ROLE {role} LOGIN;"
                " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        admin.execute("CREATE TABLE canary AS SELECT 'not for everyone' AS secret")
        admin.execute(schema_sql(tenants=tenants))
        admin.execute(rights_sql(owner=owner, runtime=runtime, reader=reader, tenants=tenants))


@pytest.fixture
def make_place(server: Server) -> Callable[..., object]:
    """A context manager for a place with plain tables, or with tables for tenants."""

    class Making:
        def __init__(self, *, tenants: bool) -> None:
            kind = "tenants" if tenants else "roles"
            self.clone = server.clone(server.template(kind, partial(set_up, tenants=tenants)))

        def __enter__(self) -> Place:
            return Place.of(self.clone.__enter__())

        def __exit__(self, *error: object) -> None:
            self.clone.__exit__(*error)

    return Making


@pytest.fixture
def plain_place(make_place) -> Iterator[Place]:
    """A database with tables that know no tenants."""
    with make_place(tenants=False) as place:
        yield place


@pytest.fixture
def place(make_place) -> Iterator[Place]:
    """A database with tables for tenants."""
    with make_place(tenants=True) as place:
        yield place


@pytest.fixture(params=[None, "acme"], ids=["no-tenants", "tenant"])
def either(request, make_place) -> Iterator[tuple[Place, dict[str, object]]]:
    """A database of either kind, and the options of a saver that runs graphs in it."""
    with make_place(tenants=request.param is not None) as place:
        yield place, {"tenant": request.param, "auto_setup": False}

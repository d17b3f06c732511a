"""Where nobody said whose turn it is, or row security does not hold, nothing is shown or stored."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from itertools import pairwise

import psycopg
import pytest
from methods import METHODS, TABLES, fill, rows_of

from helpers import Driven, Variant, config_of
from langgraph_pg_snapshot import (
    InvalidArgumentError,
    PostgresSnapshotSaver,
    SchemaError,
    TenantError,
    schema_sql,
)
from langgraph_pg_snapshot._arguments import MAX_ID_BYTES
from langgraph_pg_snapshot.sql import Queries
from langgraph_pg_snapshot.transfer import import_threads
from servers import available_bindirs

SET = "SELECT set_config('langgraph_pg_snapshot.tenant', %s, true)"
INSERT = (
    "INSERT INTO agent_checkpoints_threads (thread_id, checkpoint_ns, appended, next_items, epoch)"
    " VALUES ('new', '', 0, '{}', 0)"
)


@pytest.fixture
def filled(place):
    """A database in which tenant a has something in every table."""
    with PostgresSnapshotSaver(place.runtime, tenant="a") as saver:
        driven = Driven(saver, None)
        fill(driven, "mark of a")
        saver.delete_thread("other")
        with saver.exclusive("thread"):
            pass
    return place


def test_every_table_of_ours_is_a_tenants(place):
    """By the catalogue, so that a table that is added can't be forgotten."""
    with psycopg.connect(place.admin) as admin:
        found = admin.execute(
            """
            SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,
                (SELECT array_agg(p.polcmd::text || ' ' || p.polpermissive::text || ' '
                    || (p.polroles = '{0}')::text || ' ' || pg_get_expr(p.polqual, p.polrelid)
                    ORDER BY p.polpermissive)
                 FROM pg_policy AS p WHERE p.polrelid = c.oid),
                (SELECT array_agg(a.attname::text ORDER BY i.position)
                 FROM pg_index AS x, unnest(x.indkey) WITH ORDINALITY AS i (number, position)
                 JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.number
                 WHERE x.indrelid = c.oid AND x.indisprimary AND a.attrelid = x.indrelid),
                (SELECT count(*) FROM pg_index AS x
                 WHERE x.indrelid = c.oid AND x.indisunique AND NOT x.indisprimary),
                (SELECT count(*) FROM pg_constraint AS f
                 WHERE f.conrelid = c.oid AND f.contype = 'f')
            FROM pg_class AS c
            WHERE c.relkind IN ('r', 'p') AND c.relname LIKE 'agent\\_checkpoints%'
                AND c.relname <> 'agent_checkpoints_migrations'
            """
        ).fetchall()
        views = admin.execute(
            "SELECT reloptions FROM pg_class WHERE relkind = 'v' AND relname LIKE 'agent\\_%'"
        ).fetchall()
        functions = admin.execute(
            "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert {f'"{name}"' for name, *_ in found} == set(TABLES)
    for _, is_forced, policies, key, unique, foreign in found:
        assert is_forced
        restrictive, permissive = policies
        assert restrictive.startswith("* false true (tenant = NULLIF(current_setting(")
        assert permissive == "* true true true"
        assert key[0] == "tenant"
        assert (unique, foreign) == (0, 0)
    assert views == [(["security_invoker=true"],)] * 3
    assert functions == []


@pytest.mark.parametrize("said", [None, "", "A", "a ", "b"])
@pytest.mark.parametrize("role", ["runtime", "owner", "reader"])
def test_rows_are_seen_by_their_tenant_only(filled, role, said):
    with psycopg.connect(getattr(filled, role)) as conn:
        if said is not None:
            conn.execute(SET, [said])
        for table in (*TABLES, *(f'"agent_checkpoints{v}"' for v in ("", "_messages", "_steps"))):
            assert conn.execute(f"SELECT * FROM {table}").fetchall() == []  # noqa: S608 -- ours
        conn.rollback()
        conn.execute(SET, ["a"])
        for table in TABLES:
            assert conn.execute(f"SELECT * FROM {table}").fetchall() != [], table  # noqa: S608 -- ours


@pytest.mark.parametrize("role", ["runtime", "owner"])
def test_rows_are_written_for_the_tenant_whose_turn_it_is_only(filled, role):
    with psycopg.connect(getattr(filled, role), autocommit=True) as conn:
        for said in (None, ""):
            with conn.transaction(force_rollback=True):
                if said is not None:
                    conn.execute(SET, [said])
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
                    conn.execute(INSERT)
        foreign = INSERT.replace("(thread_id", "(tenant, thread_id").replace(
            "('new'", "('a', 'new'"
        )
        for statement in (foreign, "UPDATE agent_checkpoints_threads SET tenant = 'a'"):
            with conn.transaction(force_rollback=True):
                conn.execute(SET, ["b"])
                conn.execute(INSERT)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
                    conn.execute(statement)
        with conn.transaction(force_rollback=True):
            conn.execute(SET, ["b"])
            for table in TABLES:
                assert conn.execute(f"DELETE FROM {table}").rowcount == 0  # noqa: S608 -- ours


def test_policy_that_someone_adds_opens_nothing(filled):
    with psycopg.connect(filled.admin, autocommit=True) as admin:
        for table in TABLES:
            admin.execute(f"CREATE POLICY dashboard ON {table} USING (true) WITH CHECK (true)")
    test_rows_are_seen_by_their_tenant_only(filled, "runtime", "b")
    test_rows_are_seen_by_their_tenant_only(filled, "reader", None)
    test_rows_are_written_for_the_tenant_whose_turn_it_is_only(filled, "runtime")
    with PostgresSnapshotSaver(filled.runtime, tenant="b", auto_setup=False) as saver:
        assert saver.list_threads() == []
        assert list(saver.list(None)) == []


@pytest.mark.parametrize("auto_setup", [True, False])
@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_role_that_row_security_does_not_hold_for_is_refused(filled, colour, auto_setup):
    async with PostgresSnapshotSaver(filled.admin, tenant="a", auto_setup=auto_setup) as saver:

        async def refused() -> None:
            with pytest.raises(TenantError, match=r"superuser.*rights_sql"):
                _ = saver.load_state("t") if colour == "sync" else await saver.aload_state("t")

        await refused()
        await refused()
        # It may make the tables, or find them made.
        saver.setup()
        await refused()


def test_nor_is_such_a_role_read_from_by_an_import(filled):
    with (
        PostgresSnapshotSaver(filled.runtime, tenant="b") as target,
        PostgresSnapshotSaver(filled.admin, tenant="a", auto_setup=False) as source,
        pytest.raises(TenantError, match="superuser"),
    ):
        import_threads(target, source)


@pytest.mark.parametrize(
    ("done", "undone"),
    [
        ("ALTER ROLE {role} BYPASSRLS", "ALTER ROLE {role} NOBYPASSRLS"),
        *(
            (
                f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            )
            for table in TABLES
        ),
    ],
)
def test_row_security_that_is_switched_off_is_noticed(filled, done, undone):
    with psycopg.connect(filled.admin, autocommit=True) as admin:
        admin.execute(done.format(role="runs_graphs"))
        try:
            with (
                PostgresSnapshotSaver(filled.runtime, tenant="b", auto_setup=False) as saver,
                pytest.raises(TenantError, match="row security does not hold"),
            ):
                saver.list_threads()
        finally:
            admin.execute(undone.format(role="runs_graphs"))
    with PostgresSnapshotSaver(filled.runtime, tenant="b", auto_setup=False) as saver:
        assert saver.list_threads() == []


WAYS = [
    *(Variant("sync", "conninfo", "snapshot"), Variant("async", "conninfo", "snapshot")),
    *(Variant("sync", "no-autocommit", "snapshot"), Variant("async", "no-autocommit", "snapshot")),
]


@pytest.mark.parametrize("variant", WAYS, ids=str)
def test_role_that_changes_while_a_saver_is_at_work_is_noticed(filled, variant):
    """By every method, on connections that it has worked on, with statements that are prepared."""
    with (
        psycopg.connect(filled.admin, autocommit=True) as admin,
        variant.open(filled.runtime, tenant="b", auto_setup=False) as saver,
    ):
        for _ in range(8):
            assert saver.list_threads() == []
        before = rows_of(filled.admin, "a")
        admin.execute("ALTER ROLE runs_graphs BYPASSRLS")
        try:
            for name, call in METHODS.items():
                with pytest.raises(TenantError, match=r"superuser.*rights_sql"):
                    pytest.fail(f"{name}: {call(saver)}")
        finally:
            admin.execute("ALTER ROLE runs_graphs NOBYPASSRLS")
        assert rows_of(filled.admin, "a") == before
        assert saver.list_threads() == []
        saver.save_state("thread", {"who": "b"})
        assert saver.load_state("thread") == {"who": "b"}


def test_so_is_one_that_the_application_sets_on_its_connection(filled):
    with (
        psycopg.connect(filled.admin) as conn,
        contextlib.closing(PostgresSnapshotSaver(conn, tenant="b", auto_setup=False)) as saver,
    ):
        for role, is_refused in (("runs_graphs", False), ("none", True), ("runs_graphs", False)):
            conn.execute(f"SET ROLE {role}")
            conn.commit()
            if is_refused:
                with pytest.raises(TenantError, match="row security does not hold"):
                    saver.load_state("thread")
            else:
                assert saver.load_state("thread") is None


@pytest.mark.parametrize("table", TABLES)
def test_row_security_that_is_switched_off_meanwhile_is_noticed(filled, table):
    with (
        psycopg.connect(filled.admin, autocommit=True) as admin,
        PostgresSnapshotSaver(filled.runtime, tenant="b", auto_setup=False) as saver,
    ):
        assert saver.list_threads() == []
        admin.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        with pytest.raises(TenantError, match="row security does not hold"):
            saver.list_threads()
        admin.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        assert saver.list_threads() == []


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_dumps_are_a_superusers(filled, role):
    """Rather than one without the rows."""
    programs = available_bindirs()
    dsn = getattr(filled, role)
    done = subprocess.run(
        [programs[max(programs)] / "pg_dump", "--table=agent_checkpoints_items", f"--dbname={dsn}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if role == "admin":
        assert done.returncode == 0, done.stderr
        assert "mark of a" in done.stdout
    else:
        assert done.returncode != 0
        assert "row-level security" in done.stderr
        assert "mark of a" not in done.stdout


@pytest.mark.parametrize("name", METHODS)
def test_saver_without_a_tenant_works_on_no_tenants_tables(filled, name):
    """Not even a superuser's, who may see everything, and which looks at nothing first."""
    with (
        PostgresSnapshotSaver(filled.admin, auto_setup=False) as saver,
        pytest.raises(SchemaError, match="for tenants"),
    ):
        METHODS[name](Driven(saver, None))
    with PostgresSnapshotSaver(filled.admin) as saver:
        for call in (saver.list_threads, saver.setup, saver.check_schema):
            with pytest.raises(TenantError, match=r"made for tenants.*Pass tenant="):
                call()


@pytest.mark.parametrize("auto_setup", [True, False])
def test_tables_without_tenants_are_refused_to_a_saver_with_one(plain_place, auto_setup):
    for dsn in (plain_place.admin, plain_place.runtime):
        with PostgresSnapshotSaver(dsn, tenant="a", auto_setup=auto_setup) as saver:
            for call in (saver.list_threads, saver.setup, saver.check_schema):
                with pytest.raises(TenantError, match=r"without tenants.*import_threads"):
                    call()


@pytest.mark.parametrize(
    "tenant", ["", "a\0b", "\ud800", "x" * 101, "é" * 51, 7, b"acme", True, ["acme"]]
)
def test_what_is_no_tenant_is_refused(tenant):
    with pytest.raises(InvalidArgumentError, match="tenant"):
        PostgresSnapshotSaver("host=nowhere", tenant=tenant)


ODD = ["é" * 50, "'; DROP TABLE canary; --", " ", "a\nb", "%s", "{threads}", "🐘", "*", "null"]


def test_odd_tenants_are_apart(place):
    savers = {
        tenant: PostgresSnapshotSaver(place.runtime, tenant=tenant, min_size=1) for tenant in ODD
    }
    for tenant, saver in savers.items():
        saver.save_state("thread", {"who": tenant})
    for tenant, saver in savers.items():
        assert saver.load_state("thread") == {"who": tenant}
        assert len(saver.list_threads()) == 1
        saver.close()
    with psycopg.connect(place.admin) as admin:
        assert len(admin.execute("SELECT * FROM canary").fetchall()) == 1


def test_longest_ids_fit_beside_the_longest_tenant(place):
    def id_of(name):
        return secrets.token_hex(MAX_ID_BYTES[name])[: MAX_ID_BYTES[name]]

    config = config_of(id_of("thread_id"), id_of("checkpoint_id"), id_of("checkpoint_ns"))
    with PostgresSnapshotSaver(place.runtime, tenant=id_of("tenant")) as saver:
        saver.put_writes(config, [("w", 1)], id_of("task_id"))
        saver.put(config, {**EMPTY, "id": id_of("checkpoint_id")}, {}, {})
        assert len(list(saver.list(None))) == 1


EMPTY = {
    "v": 4,
    "id": "",
    "ts": "",
    "channel_values": {},
    "channel_versions": {},
    "versions_seen": {},
}


NAMESPACE = {"thread_id": "t5", "checkpoint_ns": ""}
# Statements of the saver, the relations whose primary keys they go by, and how far.
PLANS = {
    ("get_checkpoint", "which_checkpoint"): (
        {**NAMESPACE, "checkpoint_id": "c7", "held": "{}"},
        {
            "history_by_tenant": "checkpoint_id = ",
            "threads": "checkpoint_ns = ",
            "items": "item_id < ",
            "writes": "checkpoint_id = ",
        },
    ),
    ("get_lineage",): (
        {
            **NAMESPACE,
            "parent_id": "c7",
            "tried_id": None,
            "root_id": "c7",
            "or_later": True,
            "running": "r",
        },
        {"history_by_tenant": "checkpoint_id = ", "threads": "ns = ", "items": "item_id < "},
    ),
    ("get_items",): (
        {**NAMESPACE, "starts": [3], "ends": [5], "held": "{}", "epoch": None},
        {"items": "item_id < "},
    ),
    ("history_steps",): (
        {**NAMESPACE, "limit": 20},
        {"history_by_tenant": "checkpoint_id ", "writes": "checkpoint_id = "},
    ),
}
MANY = """
    INSERT INTO agent_checkpoints_threads (thread_id, checkpoint_ns, appended, next_items, epoch)
    SELECT 't' || t, '', 100, '{}', 0 FROM generate_series(1, 300) AS t;
    INSERT INTO agent_checkpoints_items (thread_id, checkpoint_ns, item_id, item)
    SELECT 't' || t, '', n, '{}' FROM generate_series(1, 300) AS t, generate_series(1, 100) AS n;
    INSERT INTO agent_checkpoints_history_by_tenant (thread_id, checkpoint_ns, checkpoint_id,
        header, metadata, channel_values, items, item_count)
    SELECT 't' || t, '', 'c' || n, '{}', '{}', '{}', '{[1,100)}', 99
    FROM generate_series(1, 300) AS t, generate_series(1, 20) AS n;
    INSERT INTO agent_checkpoints_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
        task_path, channel, value)
    SELECT 't' || t, '', 'c' || n, 'task', 0, '', 'w', '{}'
    FROM generate_series(1, 300) AS t, generate_series(1, 20) AS n;
    INSERT INTO agent_checkpoints_erased (thread_id, run_id)
    SELECT 'e' || t, 'r' || t FROM generate_series(1, 300) AS t
"""


def test_statements_go_by_the_primary_keys(place):
    """With row security as without: the tenant first, then all of what was asked for."""
    queries = Queries("agent_checkpoints", tenants=True)
    with psycopg.connect(place.runtime, autocommit=True) as conn:
        for tenant in "ab":
            with conn.transaction():
                conn.execute(SET, [tenant])
                conn.execute(MANY)
    with psycopg.connect(place.admin, autocommit=True) as admin:
        admin.execute("ANALYZE")
    with psycopg.connect(place.runtime, cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute(SET, ["a"])
        for (name, *which), (params, relations) in PLANS.items():
            lines = [
                line.strip()
                for (line,) in conn.execute(b"EXPLAIN " + queries(name, *which), params)
            ]
            plan = "\n".join(lines)
            assert "Seq Scan on agent_checkpoints" not in plan, plan
            for relation, reach in relations.items():
                key = f"agent_checkpoints_{relation}_pkey"
                conditions = [after for line, after in pairwise(lines) if f"using {key} on" in line]
                assert conditions, plan
                for condition in conditions:
                    assert "Index Cond: ((tenant = " in condition, plan
                    assert "thread_id = " in condition, plan
                assert any(reach in condition for condition in conditions), plan
        for query in (
            "SELECT * FROM agent_checkpoints ORDER BY updated_at DESC LIMIT 5",
            "SELECT * FROM agent_checkpoints WHERE thread_id = 't5'",
        ):
            plan = "\n".join(line for (line,) in conn.execute(f"EXPLAIN {query}"))
            assert "Seq Scan" not in plan, plan


def test_plain_tables_know_nothing_of_tenants():
    assert "tenant" not in schema_sql()
    assert "ROW LEVEL SECURITY" not in schema_sql()

"""The tables and the view: made once, found in place, refused where they are not ours."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import psycopg
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from psycopg import sql
from psycopg.conninfo import make_conninfo

from helpers import SERDES, Chain, Driven, config_of
from langgraph_pg_snapshot import (
    PostgresSnapshotSaver,
    SchemaConflictError,
    SchemaVersionError,
    StorageError,
)
from langgraph_pg_snapshot.sql import migrations

ROWS = [{"text": f"{n} " * 60} for n in range(10)]


@contextmanager
def connected(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        yield conn


def relations(dsn):
    """Every relation of the database that is not the server's own, with what it consists of."""
    with connected(dsn) as conn:
        return conn.execute(
            """
            SELECT n.nspname, c.relname, c.relkind, a.attname, a.atttypid::regtype::text
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = c.oid
            WHERE n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
            ORDER BY 1, 2, 3, 4
            """,
            [],
        ).fetchall()


def round_trip(saver, thread_id="thread"):
    config = Chain(saver, thread_id).put({"rows": ROWS, "n": 1})
    saver.put_writes(config, [("a", 1)], "task")
    found = saver.get_tuple(config)
    assert found.checkpoint["channel_values"] == {"rows": ROWS, "n": 1}
    assert found.pending_writes == [("task", "a", 1)]
    assert [each.config for each in saver.list(config_of(thread_id))] == [config]
    saver.prune([thread_id])
    saver.copy_thread(thread_id, f"{thread_id}-copy")
    saver.delete_thread(f"{thread_id}-copy")
    assert [each.thread_id for each in saver.list_threads()] == [thread_id]


def test_setup_on_every_version(any_database):
    with PostgresSnapshotSaver(any_database) as saver:
        saver.setup()
        before = relations(any_database)
        saver.setup()
        round_trip(saver)
    assert relations(any_database) == before


async def test_check_schema_looks_and_makes_nothing(database):
    names = [each.name for each in migrations()]
    async with PostgresSnapshotSaver(database) as saver:
        for status in (saver.check_schema(), await saver.acheck_schema()):
            assert (status.version, status.newest, status.pending) == (0, len(names), names)
            assert '"agent_checkpoints_items"' in status.missing
            assert not status.ok
        assert relations(database) == []
        await saver.asetup()
        for status in (saver.check_schema(), await saver.acheck_schema()):
            assert status == (len(names), len(names), [], [])
            assert status.ok


async def test_asetup(database):
    async with PostgresSnapshotSaver(database, auto_setup=False) as saver:
        await saver.asetup()
        await saver.asetup()
        assert await saver.alist_threads() == []


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE agent_checkpoints (thread_id text)",
        "CREATE VIEW agent_checkpoints AS SELECT 1 AS one",
        "CREATE SEQUENCE agent_checkpoints",
        "CREATE TABLE agent_checkpoints_threads (thread_id text)",
    ],
)
def test_relation_of_that_name_is_not_touched(database, made):
    with connected(database) as conn:
        conn.execute(made)
    before = relations(database)
    with PostgresSnapshotSaver(database) as saver:
        for call in (saver.setup, saver.list_threads):
            with pytest.raises(SchemaConflictError, match="agent_checkpoints") as caught:
                call()
            assert "table_name=" in str(caught.value)
            assert "schema=" in str(caught.value)
    assert relations(database) == before
    # Both ways out work.
    for options in ({"table_name": "other"}, {"schema": "other"}):
        with PostgresSnapshotSaver(database, **options) as saver:
            round_trip(saver)


def test_newer_schema_is_not_touched(ready_database):
    with connected(ready_database) as conn:
        conn.execute("INSERT INTO agent_checkpoints_migrations (version, name) VALUES (999, 'x')")
    before = relations(ready_database)
    with PostgresSnapshotSaver(ready_database) as saver:
        for call in (saver.setup, lambda: saver.save_state("thread", {"a": 1})):
            with pytest.raises(SchemaVersionError, match=r"999.*Upgrade"):
                call()
    assert relations(ready_database) == before
    with connected(ready_database) as conn:
        assert conn.execute("SELECT count(*) FROM agent_checkpoints_threads").fetchone() == (0,)


def granted(dsn, rights, schema="public"):
    """The conninfo of a role that has these rights on our tables and can create nothing."""
    with connected(dsn) as conn:
        conn.execute(
            "DO $$ BEGIN CREATE ROLE plain_user LOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        conn.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
        conn.execute(f"GRANT USAGE ON SCHEMA {schema} TO plain_user")
        conn.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO plain_user")
    return make_conninfo(dsn, user="plain_user")


DML = "SELECT, INSERT, UPDATE, DELETE"


@pytest.mark.parametrize("schema", [None, "apart"])
def test_role_with_dml_rights_only(database, schema, caplog):
    with PostgresSnapshotSaver(database, schema=schema) as owner:
        owner.setup()
    dsn = granted(database, DML, schema or "public")
    with (
        caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"),
        PostgresSnapshotSaver(dsn, schema=schema, auto_setup=False) as saver,
    ):
        saver.setup()
        [record] = [r for r in caplog.records if getattr(r, "operation", "") == "setup"]
        assert record.statements == 2  # two reads
        round_trip(saver)


def test_setup_only_reads_where_all_is_up_to_date(ready_database):
    dsn = make_conninfo(ready_database, options="-c default_transaction_read_only=on")
    with PostgresSnapshotSaver(dsn) as saver:
        saver.setup()
        assert saver.list_threads() == []


def test_role_without_rights_is_told_which(ready_database):
    dsn = granted(ready_database, "SELECT")
    with PostgresSnapshotSaver(dsn) as saver:
        assert saver.load_state("thread") is None
        with pytest.raises(StorageError, match="INSERT, UPDATE and DELETE"):
            saver.save_state("thread", {"a": 1})


ODD_NAMES = [
    'quo"ted',
    "per%cent",
    "per%scent %(name)s",
    "{braces} {{twice}} {threads}",
    "with spaces ",
    "UPPER",
    "select",
    "back\\slash",
    "semi;colon--",
    "ünïcödé_表",
    "x" * 63,
    "é" * 31,
    "x" * 55,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(database, name):
    with PostgresSnapshotSaver(database, table_name=name) as saver:
        round_trip(saver)
    with PostgresSnapshotSaver(database, table_name=name, schema=name) as saver:
        round_trip(saver)
    with connected(database) as conn:
        for place in (sql.Identifier(name), sql.Identifier(name, name)):
            found = conn.execute(
                sql.SQL("SELECT thread_id, state ->> 'n' FROM {}").format(place)
            ).fetchall()
            assert found == [("thread", "1")]


def test_long_names_that_differ_at_their_end_are_apart(database):
    names = ["n" * 62 + end for end in "ab"]
    savers = [PostgresSnapshotSaver(database, table_name=name) for name in names]
    for saver, name in zip(savers, names, strict=True):
        round_trip(saver, name)
        saver.close()


def test_schema_is_created_and_used(database):
    with PostgresSnapshotSaver(database, schema="made for it") as saver:
        round_trip(saver)
    assert {schema for schema, *_ in relations(database)} == {"made for it"}


def test_search_path_places_the_tables(database):
    with connected(database) as conn:
        conn.execute("CREATE SCHEMA elsewhere")
    dsn = make_conninfo(database, options="-c search_path=elsewhere")
    with PostgresSnapshotSaver(dsn) as saver:
        round_trip(saver)
    assert {schema for schema, *_ in relations(database)} == {"elsewhere"}


def test_two_savers_in_one_database(ready_database):
    with (
        PostgresSnapshotSaver(ready_database) as one,
        PostgresSnapshotSaver(ready_database, table_name="two") as two,
    ):
        one.save_state("thread", {"n": 1})
        assert two.load_state("thread") is None
        two.save_state("thread", {"n": 2})
        two.delete_thread("thread")
        assert one.load_state("thread") == {"n": 1}


NEWEST_MESSAGES = """
    SELECT thread_id, state->'messages'->-1->>'content' FROM agent_checkpoints
    ORDER BY updated_at DESC
"""


def test_view_on_every_version(any_ready_database):
    with PostgresSnapshotSaver(any_ready_database) as saver:
        for name in ("first", "second", "third"):
            saver.save_state(
                name,
                {
                    "messages": [HumanMessage(f"{n} " * 50) for n in range(20)]
                    + [AIMessage(f"the newest of {name}")],
                    "n": 7,
                    "files": {f"f{n}": "text " * 20 for n in range(9)},
                    "long": "word " * 200,
                    "none": None,
                    "empty": [],
                },
            )
        chain = Chain(Driven(saver, None), "sub only", "sub")
        chain.put({"n": 1})
        saver.put_writes(config_of("no checkpoint", "c"), [("a", 1)], "task")
        saver.save_state("first", {"messages": [AIMessage("again")]})
        loaded = saver.load_state("second")
    with connected(any_ready_database) as conn:
        assert conn.execute(NEWEST_MESSAGES).fetchall() == [
            ("first", "again"),
            ("third", "the newest of third"),
            ("second", "the newest of second"),
        ]
        [(state, created, updated)] = conn.execute(
            "SELECT state, created_at, updated_at FROM agent_checkpoints WHERE thread_id = 'second'"
        ).fetchall()
    assert created <= updated
    assert state.keys() == loaded.keys()
    plain = ("n", "long", "none", "empty", "files")
    assert {key: state[key] for key in plain} == {key: loaded[key] for key in plain}
    assert [each["content"] for each in state["messages"]] == [
        each.content for each in loaded["messages"]
    ]
    assert {each["$type"] for each in state["messages"]} == {"human", "ai"}


@pytest.mark.parametrize("serde", ["jsonplus", "encrypted"])
def test_view_of_what_is_not_readable(ready_database, serde):
    """One row a thread all the same; bytes show as what they are, and nothing else."""
    with PostgresSnapshotSaver(ready_database, serde=SERDES[serde]()) as saver:
        saver.save_state("thread", {"n": 1, "rows": ROWS, "files": {f"f{n}": ROWS for n in "abc"}})
    with connected(ready_database) as conn:
        [(state,)] = conn.execute("SELECT state FROM agent_checkpoints").fetchall()
        assert state.keys() == {"n", "rows", "files"}
        assert "$opaque" in state["n"]
        assert "0 0 0" not in str(state)


def test_view_shows_where_a_run_is_not_langgraphs_own_book(ready_database):
    from graphs import steps_graph

    with PostgresSnapshotSaver(ready_database) as saver:
        steps_graph(saver).invoke({"log": ["start"]}, config_of("thread"))
        with connected(ready_database) as conn:
            [(state,)] = conn.execute("SELECT state FROM agent_checkpoints").fetchall()
        assert state == saver.load_state("thread")
        assert state.keys() == {"log", "note"}


def plan_of(conn, query):
    return "\n".join(row[0] for row in conn.execute(f"EXPLAIN {query}").fetchall())


def test_newest_threads_come_from_the_index(any_ready_database):
    with connected(any_ready_database) as conn:
        conn.execute("""
            INSERT INTO agent_checkpoints_threads
                (thread_id, checkpoint_ns, updated_at, appended, next_items, epoch)
            SELECT 'thread-' || n, ns, now() - n * interval '1 second', 0, '{}', 1
            FROM generate_series(1, 20000) AS n, unnest(ARRAY['', 'sub']) AS ns
        """)
        conn.execute("""
            INSERT INTO agent_checkpoints_history (thread_id, checkpoint_ns, checkpoint_id,
                header, metadata, channel_values, items, item_count)
            SELECT thread_id, checkpoint_ns, 'c', '{}', '{}', '{"n": 1}', '{}', 0
            FROM agent_checkpoints_threads
        """)
        conn.execute("ANALYZE")
        [(index,)] = conn.execute("""
            SELECT indexname FROM pg_indexes
            WHERE tablename = 'agent_checkpoints_threads' AND indexdef LIKE '%updated_at DESC%'
        """).fetchall()
        for query in (
            "SELECT * FROM agent_checkpoints ORDER BY updated_at DESC LIMIT 20",
            "SELECT thread_id FROM agent_checkpoints ORDER BY updated_at DESC LIMIT 20",
        ):
            plan = plan_of(conn, query)
            assert f"using {index} on agent_checkpoints_threads" in plan
            assert "Sort Key: t.updated_at" not in plan
            assert "Seq Scan on agent_checkpoints_threads" not in plan
            assert "Seq Scan on agent_checkpoints_history" not in plan
        plan = plan_of(conn, "SELECT state FROM agent_checkpoints WHERE thread_id = 'thread-7'")
        assert "Seq Scan on agent_checkpoints_threads" not in plan
        assert "Seq Scan on agent_checkpoints_history" not in plan
    with PostgresSnapshotSaver(any_ready_database) as saver:
        page = saver.list_threads(limit=20)
        assert [each.thread_id for each in page] == [f"thread-{n}" for n in range(1, 21)]
        page = saver.list_threads(limit=5, before=page[-1])
        assert [each.thread_id for each in page] == [f"thread-{n}" for n in range(21, 26)]

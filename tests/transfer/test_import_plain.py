"""A table with a row a thread becomes threads with these states."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import psycopg
import pytest
from langchain_core.messages import AIMessage, HumanMessage, messages_from_dict, messages_to_dict

from graphs import plain, tool_agent
from helpers import config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, SchemaConflictError, SchemaError
from langgraph_pg_snapshot.transfer import PlainTable, import_threads

STATES = {
    "liam": {"messages": ["a long message " * 30, "another " * 40], "n": 1.5, "none": None},
    "rosa": {},
    "mia": {"deep": {"a": [1, {"b": True}]}},
}
CREATED = datetime(2023, 5, 6, 7, 8, 9, 123456, tzinfo=timezone.utc)
UPDATED = datetime(2024, 5, 6, 7, 8, 9, 654321, tzinfo=timezone.utc)


@pytest.fixture
def table(database: str) -> str:
    """The model's table, in the schema and with the name that our view has by default."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE agent_checkpoints (thread_id text PRIMARY KEY, state jsonb NOT NULL,"
            " created_at timestamptz, updated_at timestamptz)"
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO agent_checkpoints VALUES (%s, %s, %s, %s)",
                [
                    (thread_id, psycopg.types.json.Jsonb(state), CREATED, UPDATED)
                    for thread_id, state in STATES.items()
                ],
            )
    return database


# Where the saver's own tables go, so that its view does not meet the table.
ELSEWHERE = [{"schema": "snapshots"}, {"table_name": "agent_state"}]


def test_name_that_is_taken_is_no_place_for_the_saver(table: str):
    with PostgresSnapshotSaver(table) as saver, pytest.raises(SchemaConflictError):
        import_threads(saver, PlainTable(table))


@pytest.mark.parametrize("options", ELSEWHERE, ids=str)
def test_states_and_times_come_over(options: dict, table: str):
    with PostgresSnapshotSaver(table, **options) as saver:
        report = import_threads(saver, PlainTable(table))
        assert (report.problems, report.new, report.verified) == ([], 3, 3)
        for thread_id, state in STATES.items():
            assert saver.load_state(thread_id) == state
        assert {thread[1:3] for thread in saver.list_threads()} == {(CREATED, UPDATED)}
        again = import_threads(saver, PlainTable(table))
        assert (again.problems, again.unchanged) == ([], 3)
    with psycopg.connect(table) as connection:
        [(same,)] = connection.execute(
            "SELECT array_agg(state ORDER BY thread_id) = %s::jsonb[] FROM agent_checkpoints",
            [[psycopg.types.json.Jsonb(STATES[key]) for key in sorted(STATES)]],
        )
        assert same


def test_row_that_changed_since_is_a_newer_state(table: str):
    with PostgresSnapshotSaver(table, schema="snapshots") as saver:
        import_threads(saver, PlainTable(table))
        with psycopg.connect(table) as connection:
            connection.execute(
                "UPDATE agent_checkpoints SET state = '{\"n\": 2}', updated_at = now()"
                " WHERE thread_id = 'liam'"
            )
        report = import_threads(saver, PlainTable(table))
        assert (report.problems, report.continued, report.unchanged) == ([], 1, 2)
        assert saver.load_state("liam") == {"n": 2}
        assert len(list(saver.list(config_of("liam")))) == 2
        # A thread that a run or save_state wrote to is not overwritten.
        saver.save_state("mia", {"n": 3})
        with psycopg.connect(table) as connection:
            connection.execute("UPDATE agent_checkpoints SET updated_at = now()")
        report = import_threads(saver, PlainTable(table))
        assert [(p.thread_id, p.kind) for p in report.problems] == [("mia", "conflict")]
        assert saver.load_state("mia") == {"n": 3}


def test_messages_are_made_of_json_and_a_graph_goes_on(table: str):
    stored = [
        {"type": "human", "data": {"content": "Hello"}},
        {"type": "ai", "data": {"content": "You said: Hello"}},
    ]
    with psycopg.connect(table) as connection:
        connection.execute(
            "UPDATE agent_checkpoints SET state = %s WHERE thread_id = 'liam'",
            [psycopg.types.json.Jsonb({"messages": stored, "count": 1})],
        )

    def to_state(state: dict) -> dict:
        return {**state, "messages": messages_from_dict(state.get("messages", []))}

    with PostgresSnapshotSaver(table, schema="snapshots") as saver:
        source = PlainTable(table, to_state=to_state)
        assert import_threads(saver, source, thread_ids=["liam"]).ok
        result = tool_agent(saver).invoke({"messages": [("user", "Again")]}, config_of("liam"))
    assert [type(message) for message in result["messages"][:3]] == [
        HumanMessage, AIMessage, HumanMessage,
    ]  # fmt: skip
    assert plain(result["messages"][1])[1] == "You said: Hello"
    assert result["count"] == 2


@pytest.mark.parametrize(
    ("state", "to_state", "reason"),
    [
        ("[1]", None, "its state is a list"),
        ("null", None, "its state is a NoneType"),
        ("{}", lambda state: state["missing"], "to_state: KeyError"),
        ("{}", lambda _state: {1: 2}, "its state is a dict"),
    ],
)
def test_state_that_is_none_is_named(
    state: str, to_state: Callable | None, reason: str, table: str
):
    with psycopg.connect(table) as connection:
        connection.execute(
            "UPDATE agent_checkpoints SET state = %s WHERE thread_id = 'liam'", [state]
        )
    with PostgresSnapshotSaver(table, schema="snapshots") as saver:
        source = PlainTable(table, to_state=to_state)
        report = import_threads(saver, source, thread_ids=["liam"])
        assert [(p.thread_id, p.kind) for p in report.problems] == [("liam", "unreadable")]
        assert reason in report.problems[0].reason
        assert list(saver.list_threads()) == []


def test_messages_that_no_graph_could_go_on_with_are_refused(table: str):
    stored = {"messages": messages_to_dict([HumanMessage("Hello"), AIMessage("You said: Hello")])}
    with psycopg.connect(table) as connection:
        connection.execute(
            "UPDATE agent_checkpoints SET state = %s WHERE thread_id = 'liam'",
            [psycopg.types.json.Jsonb(stored)],
        )
    with PostgresSnapshotSaver(table, schema="snapshots") as saver:
        report = import_threads(saver, PlainTable(table))
        assert [(p.thread_id, p.kind, p.channel) for p in report.problems] == [
            ("liam", "unreadable", "messages")
        ]
        assert "messages_from_dict" in report.problems[0].reason
        assert report.new == 2
        assert import_threads(saver, PlainTable(table, to_state=dict)).ok
        assert saver.load_state("liam") == stored


@pytest.mark.parametrize("value", ["infinity", "12024-05-06 07:08:09", "0044-03-15 12:00 BC"])
@pytest.mark.parametrize("column", ["created_at", "updated_at"])
def test_time_that_python_has_not_is_named(column: str, value: str, table: str):
    with psycopg.connect(table) as connection:
        connection.execute(
            f"UPDATE agent_checkpoints SET {column} = '{value}' WHERE thread_id = 'liam'"  # noqa: S608 -- ours
        )
    with PostgresSnapshotSaver(table, schema="snapshots") as saver:
        report = import_threads(saver, PlainTable(table))
        assert [(p.thread_id, p.kind) for p in report.problems] == [("liam", "unreadable")]
        assert (report.threads, report.new) == (3, 2)


def test_thread_of_several_rows_is_named_and_counted_once(table: str):
    with psycopg.connect(table) as connection:
        connection.execute("ALTER TABLE agent_checkpoints DROP CONSTRAINT agent_checkpoints_pkey")
        connection.execute("ALTER TABLE agent_checkpoints ALTER thread_id DROP NOT NULL")
        for thread_id in ("liam", "liam", None):
            connection.execute("INSERT INTO agent_checkpoints VALUES (%s, '{}')", [thread_id])
    with PostgresSnapshotSaver(table, schema="snapshots") as saver:
        progress: list[int] = []
        report = import_threads(
            saver, PlainTable(table), on_progress=lambda p: progress.append(p.threads)
        )
        assert [(p.thread_id, p.kind) for p in report.problems] == [("liam", "unreadable")]
        assert "several rows" in report.problems[0].reason
        assert (report.threads, report.new, set(progress)) == (3, 2, {3})


def test_other_columns_types_and_schemas_do(database: str):
    with psycopg.connect(database) as connection:
        connection.execute('CREATE SCHEMA "the old"')
        connection.execute(
            'CREATE TABLE "the old"."my states" (thread_id uuid, state json, updated_at timestamp)'
        )
        connection.execute(
            'INSERT INTO "the old"."my states" VALUES'
            " ('5f0c0fd1-7d6f-4e5e-9a0b-0d6f1d9f5a11', '{\"b\": 1, \"a\": 2}',"
            " '2024-05-06 07:08:09')"
        )
        connection.execute(
            "ALTER DATABASE {} SET timezone TO 'Asia/Tokyo'".format(  # noqa: UP032
                connection.info.dbname
            )
        )
    source = PlainTable(database, "my states", schema="the old")
    with PostgresSnapshotSaver(database) as saver:
        assert import_threads(saver, source).new == 1
        [thread] = saver.list_threads()
        assert thread.thread_id == "5f0c0fd1-7d6f-4e5e-9a0b-0d6f1d9f5a11"
        assert thread.updated_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
        assert saver.load_state(thread.thread_id) == {"a": 2, "b": 1}


def test_table_that_is_not_there_is_named(database: str):
    with PostgresSnapshotSaver(database) as saver:
        with pytest.raises(SchemaError, match=r"there is no such table; pass table= and schema="):
            import_threads(saver, PlainTable(database))
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE my_threads (id text, state jsonb)")
        with pytest.raises(SchemaError, match="no columns thread_id and state"):
            import_threads(saver, PlainTable(database, "my_threads"))

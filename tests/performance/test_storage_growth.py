"""A turn writes what is new, however long the thread is."""

from __future__ import annotations

import operator
import statistics
from typing import Annotated, Any

import psycopg
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from helpers import Variant, checkpoint_of, config_of, next_version

TURNS = 7
VARIANTS = [Variant("sync", "conninfo", serde) for serde in ("snapshot", "jsonplus", "encrypted")]
VARIANTS.append(Variant("async", "conninfo", "snapshot"))


class Chat(TypedDict):
    messages: Annotated[list[Any], operator.add]


def chat_graph(saver):
    builder = StateGraph(Chat)
    builder.add_node("answer", lambda state: {"messages": [message(len(state["messages"]))]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def message(number):
    kind = (HumanMessage, AIMessage)[number % 2]
    return kind(f"{number}: " + "some words " * 30, id=f"message-{number}")


def fill(driven, thread_id, count):
    """A thread that a graph left with so many messages."""
    version = next_version(None)
    driven.put(
        config_of(thread_id),
        checkpoint_of({"messages": [message(n) for n in range(count)]}, {"messages": version}),
        {"source": "loop", "step": 1, "parents": {}},
        {"messages": version},
    )


def measured(conn, work):
    """WAL bytes and rows that a piece of work added."""

    def now():
        counts = [
            conn.execute(f"SELECT count(*) FROM agent_checkpoints_{table}").fetchone()[0]  # noqa: S608
            for table in ("items", "history", "writes", "threads")
        ]
        lsn = conn.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0]
        return [int(lsn), *counts]

    before = now()
    work()
    return [after - was for after, was in zip(now(), before, strict=True)]


def turns(dsn, driven, thread_id):
    """Median WAL bytes of a turn, and the rows that each turn added."""
    graph = chat_graph(driven.saver)
    found = []
    with psycopg.connect(dsn, autocommit=True) as conn:
        # A page is written whole when it is first touched after a checkpoint (full_page_writes);
        # the first turn takes that, and none begins between here and the end.
        conn.execute("CHECKPOINT")
        for turn in range(TURNS + 1):
            given = {"messages": [message(10_000 + 2 * turn)]}
            found.append(
                measured(
                    conn, lambda g=given: driven.call(graph, "invoke", g, config_of(thread_id))
                )
            )
    # The median leaves out a turn in which the server wrote something of its own.
    wal = statistics.median(bytes_ for bytes_, *_ in found[1:])
    return wal, [tuple(rows) for _, *rows in found[1:]]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_turn_on_2000_messages_writes_what_one_on_20_does(ready_database, variant):
    with variant.open(ready_database) as driven:
        fill(driven, "short", 20)
        fill(driven, "long", 2000)
        short, short_rows = turns(ready_database, driven, "short")
        long, long_rows = turns(ready_database, driven, "long")
    assert long <= 1.3 * short
    # The same rows each turn, on either: 2 new messages are among the items.
    assert len(set(short_rows)) == 1
    assert long_rows == short_rows
    assert short_rows[0][0] >= 2


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_put_by_itself_writes_what_is_new(ready_database, cold):
    """The same for a checkpoint put by hand, by the process that knows the thread or by another."""
    variant = VARIANTS[0]
    found = {}
    with (
        variant.open(ready_database) as first,
        psycopg.connect(ready_database, autocommit=True) as conn,
    ):
        for count in (20, 2000):
            thread_id = f"thread-{count}"
            fill(first, thread_id, count)
            rows, config = [], first.get_tuple(config_of(thread_id)).config
            conn.execute("CHECKPOINT")
            for turn in range(TURNS):
                with variant.open(ready_database) as second:
                    writer = second if cold else first
                    version = next_version(f"{turn + 1:032}.0.1")
                    messages = [message(n) for n in range(count + turn + 1)]
                    checkpoint = checkpoint_of({"messages": messages}, {"messages": version})

                    def put(w=writer, c=checkpoint, v=version, parent=config):
                        return w.put(parent, c, {"step": 2}, {"messages": v})

                    rows.append(measured(conn, put))
                config = config_of(thread_id, checkpoint["id"])
            assert {tuple(each[1:]) for each in rows} == {(1, 1, 0, 0)}
            found[count] = statistics.median(each[0] for each in rows[1:])
            loaded = first.get_tuple(config).checkpoint["channel_values"]["messages"]
            assert loaded == messages
    assert found[2000] <= 1.3 * found[20]


def test_edit_trim_and_fork_write_what_is_new(ready_database):
    """One element edited, a window trimmed, a fork: one new item, none, none."""
    with (
        VARIANTS[0].open(ready_database) as driven,
        psycopg.connect(ready_database, autocommit=True) as conn,
    ):
        fill(driven, "thread", 500)
        messages = [message(n) for n in range(500)]
        root = config = driven.get_tuple(config_of("thread")).config
        edited = [*messages[:250], message(777), *messages[251:]]
        for parent, value, items in (
            (None, edited, 1),
            (None, edited[100:], 0),
            (None, [message(0), *edited[200:]], 0),
            (root, messages[:300], 0),
            (None, messages[:300][::-1], 0),
        ):
            version = next_version(None)
            checkpoint = checkpoint_of({"messages": value}, {"messages": version})

            def put(p=parent or config, c=checkpoint, v=version):
                return driven.put(p, c, {}, {"messages": v})

            assert measured(conn, put)[1] == items
            config = config_of("thread", checkpoint["id"])
            assert driven.get_tuple(config).checkpoint["channel_values"]["messages"] == value


@pytest.mark.parametrize("size", [48, 400])
def test_dict_that_grows_writes_its_new_entry(ready_database, size):
    found = {}
    with (
        VARIANTS[0].open(ready_database) as driven,
        psycopg.connect(ready_database, autocommit=True) as conn,
    ):
        for count in (20, 2000):
            config, costs = config_of(f"thread-{count}"), []
            for turn in range(TURNS):
                value = {f"key {n}": "x" * size for n in range(count + turn)}
                version = next_version(f"{turn:032}.0.1")
                checkpoint = checkpoint_of({"d": value}, {"d": version})

                def put(c=checkpoint, v=version, parent=config):
                    return driven.put(parent, c, {}, {"d": v})

                costs.append(measured(conn, put))
                config = config_of(f"thread-{count}", checkpoint["id"])
                if turn == 0:
                    conn.execute("CHECKPOINT")
            assert {tuple(each[1:3]) for each in costs[1:]} == {(1, 1)}
            found[count] = statistics.median(each[0] for each in costs[2:])
            assert driven.get_tuple(config).checkpoint["channel_values"] == {"d": value}
    assert found[2000] <= 1.3 * found[20]

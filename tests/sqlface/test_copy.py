"""copy_thread: whole or head only, again and again, in constant memory."""

from __future__ import annotations

import re
from collections import Counter

import psycopg
import pytest
from langgraph.types import Command

from graphs import (
    agent_turn_graph,
    approve,
    asking_graph,
    delta_graph,
    human,
    nested_graph,
    plain,
    tool_agent,
    workflow,
)
from helpers import Chain, Driven, Variant, config_of, new_id
from langgraph_pg_snapshot import InvalidArgumentError, PostgresSnapshotSaver

VARIANTS = [
    Variant("sync", "conninfo", "snapshot"),
    Variant("async", "conninfo", "snapshot"),
    Variant("sync", "conninfo", "encrypted"),
]
LARGE = [{"text": f"{number} " * 80} for number in range(20)]


@pytest.fixture(params=VARIANTS, ids=str)
def saver(request, ready_database):
    with request.param.open(ready_database) as driven:
        yield driven


def rows(database, thread_id):
    """All that the tables have of a thread, but for its name, its epoch and its row's times."""
    with psycopg.connect(database) as conn:
        return {
            table: conn.execute(
                f"SELECT {columns} FROM agent_checkpoints_{table}"  # noqa: S608
                " WHERE thread_id = %s ORDER BY 1, 2, 3, 4",
                [thread_id],
            ).fetchall()
            for table, columns in {
                "threads": "checkpoint_ns, appended, next_items, 0",
                "items": "checkpoint_ns, item_id, created_at, digest, item, blob_type, blob",
                "history": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, created_at,"
                " header, metadata, sealed, channel_values, items, item_count",
                "writes": "checkpoint_ns, checkpoint_id, task_id, idx, task_path, run_id, channel,"
                " value, blob_type, blob, created_at",
                "metadata": "metadata, 0, 0, 0",
            }.items()
        }


# A graph, what it is given turn by turn, and what is asked of it after that.
RUNS = {
    "agent": (tool_agent, [{"messages": [human("hi")]}] * 3, {"messages": [human("again")]}),
    "interrupted": (agent_turn_graph, [{"log": ["go"]}], approve()),
    "two questions": (asking_graph, [{"log": ["go"]}], None),
    "subgraphs": (nested_graph, [{"log": ["go"]}], Command(resume="inside")),
    "stateful subgraph": (
        lambda saver: nested_graph(saver, stateful=True),
        [{"log": ["go"]}, Command(resume="yes"), {"log": ["more"]}],
        Command(resume="inside"),
    ),
    "delta": (
        lambda saver: delta_graph(saver, every=4),
        [{"messages": [f"turn {n}"]} for n in range(3)],
        {"messages": ["again"]},
    ),
    "workflow": (workflow, [[1, 2, 3], Command(resume=5), [4, 5]], Command(resume=7)),
}


@pytest.fixture(params=RUNS)
def run(request, saver):
    make, turns, afterwards = RUNS[request.param]
    graph = make(saver.saver)
    for turn in turns:
        saver.call(graph, "invoke", turn, config_of("source"))
    return graph, afterwards


def test_head_only_is_what_pruning_a_copy_would_leave(saver, run, ready_database):
    before = rows(ready_database, "source")
    saver.copy_thread("source", "head", head_only=True)
    saver.copy_thread("source", "whole")
    assert rows(ready_database, "source") == before
    assert rows(ready_database, "whole") == before
    saver.prune(["whole"])
    head = rows(ready_database, "head")
    assert head == rows(ready_database, "whole")
    assert len(head["history"]) < len(before["history"])


def test_graph_goes_on_in_a_copy_as_in_its_source(saver, run, ready_database):
    graph, afterwards = run
    saver.copy_thread("source", "head", head_only=True)
    saver.copy_thread("source", "whole")
    head, whole, source = (
        plain(saver.call(graph, "invoke", afterwards, config_of(name)))
        for name in ("head", "whole", "source")
    )
    assert head == whole == source


@pytest.mark.parametrize("head_only", [False, True])
def test_copying_again_brings_what_is_new(saver, ready_database, head_only):
    """Whatever came since: checkpoints, pending writes, answers that took another's place."""
    chain = Chain(saver, "source")
    sub = Chain(saver, "source", "sub")
    steps = [
        lambda: chain.put({"m": LARGE[:5]}, metadata={"run_id": "r"}),
        lambda: saver.put_writes(chain.head, [("a", 1), ("b", LARGE)], "task"),
        lambda: saver.put_writes(chain.head, [("__resume__", ["no"])], "task 2"),
        lambda: saver.put_writes(chain.head, [("__resume__", ["yes"])], "task 2"),
        lambda: sub.put({"m": LARGE[:7]}),
        lambda: chain.put({"m": LARGE[1:9]}),
        lambda: saver.put_writes(chain.head, [("a", 2)], "task"),
        lambda: chain.put({"n": 2}, checkpoint_id=chain.head["configurable"]["checkpoint_id"]),
    ]
    for number, step in enumerate(steps):
        step()
        for _ in range(2):
            saver.copy_thread("source", "target", head_only=head_only)
        saver.copy_thread("source", f"fresh {number}", head_only=head_only)
        assert rows(ready_database, "target") == rows(ready_database, f"fresh {number}")
        assert rows(ready_database, "target")["history"] != []


def test_copy_of_the_other_kind_takes_an_earlier_ones_place(saver, ready_database):
    chain = Chain(saver, "source")
    for length in range(4):
        chain.put({"m": LARGE[: 3 * length]})
    saver.copy_thread("source", "target", head_only=True)
    head = rows(ready_database, "target")
    saver.copy_thread("source", "target")
    assert rows(ready_database, "target") == rows(ready_database, "source")
    saver.copy_thread("source", "target", head_only=True)
    assert rows(ready_database, "target") == head


@pytest.mark.parametrize("head_only", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda target, _: target.put({"n": 2}),
        lambda target, head: target.saver.put_writes(
            config_of("target", head), [("__resume__", ["yes"])], "task"
        ),
        lambda target, _: target.saver.put_writes(
            config_of("target", new_id()), [("a", 1)], "task"
        ),
    ],
    ids=["checkpoint", "pending write", "pending write that comes first"],
)
def test_target_that_was_used_is_left_alone(saver, ready_database, use, head_only):
    chain = Chain(saver, "source")
    head = chain.put({"m": LARGE})["configurable"]["checkpoint_id"]
    saver.copy_thread("source", "target", head_only=head_only)
    use(Chain(saver, "target"), head)
    chain.put({"n": 1})
    before = rows(ready_database, "target")
    with pytest.raises(InvalidArgumentError, match=r"delete_thread\(\) the target first"):
        saver.copy_thread("source", "target", head_only=head_only)
    assert rows(ready_database, "target") == before


@pytest.mark.parametrize("head_only", [False, True])
def test_metadata_of_the_thread_goes_with_it(saver, ready_database, head_only):
    Chain(saver, "source").put({"n": 1})
    with psycopg.connect(ready_database, autocommit=True) as conn:
        for said in ({"user_id": "liam"}, {"user_id": "liam", "plan": "b"}):
            conn.execute(
                "INSERT INTO agent_checkpoints_metadata VALUES ('source', %s)"
                " ON CONFLICT (thread_id) DO UPDATE SET metadata = EXCLUDED.metadata",
                [psycopg.types.json.Jsonb(said)],
            )
            saver.copy_thread("source", "target", head_only=head_only)
            assert rows(ready_database, "target")["metadata"] == [(said, 0, 0, 0)]


@pytest.mark.parametrize("bad", [None, 1, "yes"])
def test_head_only_is_true_or_false(saver, bad):
    with pytest.raises(InvalidArgumentError, match="head_only must be True or False"):
        saver.copy_thread("source", "target", head_only=bad)


def traced_copy(dsn, trace_file, **options):
    """Copy over a connection that is listened to: its INSERTs, and bytes by direction."""
    with psycopg.connect(dsn, autocommit=True) as conn, trace_file.open("w+") as trace:
        saver = PostgresSnapshotSaver(conn)
        saver.setup()
        conn.pgconn.trace(trace.fileno())
        saver.copy_thread("source", "target", **options)
        conn.pgconn.untrace()
        saver.delete_thread("target")
        trace.seek(0)
        text = trace.read()
    size = Counter()
    for direction, length in re.findall(r"([BF])\t(\d+)\t", text):
        size[direction] += int(length)
    inserts = text.count('INSERT INTO "agent_checkpoints_history"')
    return inserts, len(re.findall(r"\tExecute\t|\tQuery\t", text)), size


@pytest.mark.parametrize("head_only", [False, True])
def test_long_thread_is_copied_in_one_statement_and_nothing_of_it_comes_here(
    ready_database, tmp_path, head_only
):
    count = 5000
    with PostgresSnapshotSaver(ready_database) as saver:
        chain = Chain(Driven(saver, None), "source")
        head = chain.put({"m": LARGE})["configurable"]["checkpoint_id"]
        saver.put_writes(chain.head, [("a", LARGE)], "task")
        short = traced_copy(ready_database, tmp_path / "short", head_only=head_only)
        with psycopg.connect(ready_database, autocommit=True) as conn:
            # Ancestors before the head, each with an item and a write of its own.
            conn.execute(
                """
                WITH history AS (
                    INSERT INTO agent_checkpoints_history (thread_id, checkpoint_ns, checkpoint_id,
                        parent_checkpoint_id, header, metadata, channel_values, items, item_count)
                    SELECT h.thread_id, '', to_char(n, 'FM000000'), to_char(n - 1, 'FM000000'),
                        h.header, h.metadata, h.channel_values,
                        h.items + int8multirange(int8range(n, n + 1)), h.item_count + 1
                    FROM agent_checkpoints_history AS h, generate_series(1, %(count)s) AS n
                ), writes AS (
                    INSERT INTO agent_checkpoints_writes (thread_id, checkpoint_ns, checkpoint_id,
                        task_id, idx, task_path, channel, value)
                    SELECT 'source', '', to_char(n, 'FM000000'), 't', 0, '', 'a', '1'
                    FROM generate_series(1, %(count)s) AS n
                )
                INSERT INTO agent_checkpoints_items (thread_id, checkpoint_ns, item_id, item)
                SELECT 'source', '', n, to_jsonb(repeat('text ', 50))
                FROM generate_series(1, %(count)s) AS n
                """,
                {"count": count},
            )
            conn.execute(
                "UPDATE agent_checkpoints_history SET parent_checkpoint_id = %s"
                " WHERE checkpoint_id = %s",
                [f"{count:06}", head],
            )
        inserts, statements, size = traced_copy(
            ready_database, tmp_path / "long", head_only=head_only
        )
        assert inserts == 1
        # What is sent and received depends on nothing but the number of namespaces. (The epoch is a
        # random number, which may have a digit or two less.)
        assert (inserts, statements) == short[:2]
        assert all(abs(size[direction] - short[2][direction]) <= 2 for direction in "BF")
        assert min(size.values()) > 100
        saver.copy_thread("source", "target", head_only=head_only)
    source, target = (rows(ready_database, name) for name in ("source", "target"))
    if head_only:
        assert [len(target[table]) for table in ("history", "items", "writes")] == [
            1,
            len(LARGE),
            1,
        ]
    else:
        assert len(target["history"]) == count + 1
        assert target == source

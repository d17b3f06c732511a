"""What statements read where the planner knows nothing: each row a few times, not each with each.

No statistics: autovacuum is off, and a thread that grows is ahead of it anyway. Rows count.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from psycopg import sql

from directory.plans import watched
from helpers import Chain, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy

LONG = 100
SHORT = 200
MODES = ("force_custom_plan", "force_generic_plan")


def fill(dsn):
    """Long threads, each of its kind, among short ones."""
    with PostgresSnapshotSaver(dsn, auto_setup=False) as saver:
        plain, delta = Chain(saver, "plain"), Chain(saver, "delta")
        root, memory = Chain(saver, "agent"), Chain(saver, "agent", "memory")
        for n in range(LONG):
            plain.put({"list": [f"{i} {'-' * 60}" for i in range(n)]}, metadata=said(n))
            saver.put_writes(plain.head, [("list", n)], "task")
            delta.put({"n": n}, valueless=("log",), metadata=counted(n))
            saver.put_writes(delta.head, [("log", [{"$type": "human", "content": "Hi"}])], "task")
            called_from = {"parents": {"": root.put({"n": n})["configurable"]["checkpoint_id"]}}
            memory.put({"n": n}, metadata=called_from)
            Chain(saver, "agent", f"call:{n}").put({"n": n}, metadata=called_from)
        for n in range(SHORT):
            Chain(saver, f"short-{n}").put({"n": n}, metadata={"team": "blue", "note": "-" * 500})


def said(n):
    return {"run_id": f"run-{n % 2}", "user_id": f"user-{n % 2}"}


def counted(n):
    return {"counters_since_delta_snapshot": {"log": n}}


@pytest.fixture
def filled(any_server):
    def fill_new(dsn):
        PostgresSnapshotSaver(dsn).setup()
        fill(dsn)

    with any_server.clone(any_server.template("long_threads", fill_new)) as dsn:
        yield dsn


def view(name, thread_id):
    query = sql.SQL("SELECT * FROM {} WHERE thread_id = %s").format(sql.Identifier(name))
    return lambda _, conn: conn.execute(query, [thread_id]).fetchall()


def put_on_unknown(saver, _):
    """A put by a process that does not know the log, on a checkpoint that is not there."""
    Chain(saver, "plain", head=config_of("plain", "1")).put({"n": 1})


# What is done, and of how many rows the planner may have a few looks at each.
CASES = {
    "delta history": (
        LONG,
        lambda s, _: s.get_delta_channel_history(config=config_of("delta"), channels=["log"]),
    ),
    "messages": (LONG, view("agent_checkpoints_messages", "delta")),
    "steps": (LONG, view("agent_checkpoints_steps", "plain")),
    "put": (1, put_on_unknown),
    "prune": (LONG, lambda s, _: s.prune(["plain"])),
    "prune delta": (LONG, lambda s, _: s.prune(["delta"])),
    "prune calls": (LONG, lambda s, _: s.prune(["agent"])),
    "sweep": (LONG, lambda s, _: s.sweep(RetentionPolicy(keep_last=LONG // 2))),
    "sweep, a look": (
        LONG,
        lambda s, _: s.sweep(RetentionPolicy(keep_last=LONG // 2), dry_run=True),
    ),
    "sweep idle": (
        LONG,
        lambda s, _: s.sweep(RetentionPolicy(max_idle=timedelta(0), allow_all=True)),
    ),
    "copy head": (LONG, lambda s, _: s.copy_thread("delta", "copy", head_only=True)),
    "runs": (LONG, lambda s, _: s.delete_for_runs(["run-1"])),
    "erase": (LONG, lambda s, _: s.erase(filter={"team": "blue"})),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_each_row_is_read_a_few_times(filled, case, mode):
    rows, work = CASES[case]
    with watched(filled, plan_cache_mode=mode) as (saver, explain):
        explain.conn.prepare_threshold = 0
        plans = explain.all(lambda: work(saver, explain.conn))
    worst = max(plans, key=lambda plan: plan.touched)
    assert worst.touched <= 12 * rows, worst

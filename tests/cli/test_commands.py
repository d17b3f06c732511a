"""What each command does, and the JSON that it prints."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from psycopg import sql
from psycopg.conninfo import make_conninfo
from shop_threads import LIAM, Run, State, build

from graphs import nested_graph
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.sql import migrations

NEWEST = migrations()[-1].version


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def relations(dsn: str, schema: str = "public") -> dict[str, str]:
    """What lies in a schema, each with its comment and owner."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT relname, obj_description(oid), pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = to_regnamespace(%s)",
            [schema],
        ).fetchall()
    return {name: f"{comment} {owner}" for name, comment, owner in rows}


# -- setup, check, sql ------------------------------------------------------------------------


def test_setup_makes_the_tables_and_says_so(database: str, run_on: Run):
    assert run_on(database, "setup", "--json").json == {
        "version": NEWEST,
        "applied": [each.name for each in migrations()],
    }
    done = run_on(database, "setup")
    assert (done.code, done.out) == (
        0,
        f"agent_checkpoints: schema version {NEWEST}, nothing to do\n",
    )


def test_check_tells_by_its_exit_code(database: str, run_on: Run):
    before = run_on(database, "check", "--json")
    assert (before.code, before.json["ok"], before.json["version"]) == (1, False, 0)
    assert before.json["pending"] == [each.name for each in migrations()]
    assert '"agent_checkpoints_items"' in before.json["missing"]
    assert relations(database) == {}  # it only looks

    run_on(database, "setup")
    after = run_on(database, "check", "--json")
    assert (after.code, after.json) == (
        0,
        {"ok": True, "version": NEWEST, "newest": NEWEST, "pending": [], "missing": []},
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DROP VIEW agent_checkpoints_messages", 'missing: "agent_checkpoints_messages"'),
        (
            "DELETE FROM agent_checkpoints_migrations WHERE version > 1",
            "to be applied: views",
        ),
    ],
)
def test_check_says_what_is_the_matter(ready_database: str, run_on: Run, damage: str, said: str):
    execute(ready_database, damage)
    done = run_on(ready_database, "check")
    assert done.code == 1
    assert said in done.out.splitlines()
    # Other commands don't go on with half of the tables.
    refused = run_on(ready_database, "threads")
    assert refused.code == 1
    assert "not up to date" in refused.err


def test_check_of_tables_that_are_newer_or_another_ones(ready_database: str, run_on: Run):
    execute(ready_database, "INSERT INTO agent_checkpoints_migrations VALUES (999, 'later')")
    done = run_on(ready_database, "check")
    assert (done.code, done.out) == (1, "")
    assert "schema version 999" in done.err
    execute(ready_database, "CREATE TABLE other (thread_id text)")
    done = run_on(ready_database, "check", "--table-name", "other")
    assert done.code == 1
    assert "not made by langgraph-pg-snapshot" in done.err


def test_check_of_a_thread_goes_by_the_modules_that_are_imported(run: Run):
    done = run("check", "--thread", "liam", "--json")
    assert (done.code, done.json["ok"], done.json["thread_id"]) == (1, False, "liam")
    assert {each["channel"] for each in done.json["unloadable"]} == {"order"}
    assert set(done.json["unloadable"][0]) == {
        *("checkpoint_ns", "checkpoint_id", "kind", "channel", "reason")
    }
    assert "shop_models:Order" in run("check", "--thread", "liam").out
    done = run("check", "--thread", "liam", "--import", "shop_models", "--json")
    assert (done.code, done.json) == (0, {"ok": True, "thread_id": "liam", "unloadable": []})
    assert run("check", "--thread", "liam").out == "thread 'liam': every value can be loaded\n"


@pytest.mark.parametrize("names", [{}, {"table_name": "sup%port", "schema": "agents"}])
def test_sql_makes_what_setup_makes(
    database: str, any_ready: Callable[..., str], run_on: Run, names: dict[str, str]
):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in names.items()]
    script = run_on(None, "sql", *options)
    assert script.code == 0
    execute(database, script.out)
    with PostgresSnapshotSaver(any_ready(), **names) as saver:
        saver.setup()
    schema = names.get("schema", "public")
    assert relations(database, schema) == relations(any_ready(), schema)
    assert run_on(database, "check", *options).code == 0


@pytest.fixture
def any_ready(server) -> Callable[[], str]:
    """The conninfo of another empty database."""
    with server.clone(server.template("empty")) as dsn:
        yield lambda: dsn


def test_sql_brings_older_tables_up_to_date(database: str, run_on: Run):
    whole = run_on(None, "sql", "--json").json
    assert whole["version"] == NEWEST
    assert whole["grants"] == ""
    rest = run_on(None, "sql", "--since", "1", "--json").json["ddl"]
    assert whole["ddl"].endswith(rest)
    first = run_on(None, "sql", "--until", "1", "--json").json
    assert first == {
        "version": 1,
        "ddl": whole["ddl"].removesuffix(rest).rstrip("\n") + "\n",
        "grants": "",
    }
    assert "up to version 1." in run_on(None, "sql", "--until", "1").out
    refused = run_on(None, "sql", "--since", "2", "--until", "1")
    assert (refused.code, refused.out) == (1, "")
    assert "until must be" in refused.err
    execute(database, first["ddl"])
    assert run_on(database, "check", "--json").json["version"] == 1
    execute(database, rest)
    assert run_on(database, "check").code == 0


def test_sql_gives_each_role_its_rights(database: str, server, run_on: Run):
    roles = {
        name: f'"{database.rpartition("dbname=")[2].split()[0]} {name}"'
        for name in ("owner", "runtime", "reader")
    }
    plain = {name: quoted.strip('"') for name, quoted in roles.items()}
    for quoted in roles.values():
        execute(database, f"CREATE ROLE {quoted}")
    try:
        options = [f"--{option}={name}" for option, name in plain.items()]
        execute(database, run_on(None, "sql", *options).out)
        assert {owner.partition(" ")[2] for owner in relations(database).values()}
        with psycopg.connect(database) as connection:
            owners = connection.execute(
                "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
                " WHERE relname LIKE 'agent_checkpoints%' AND relkind IN ('r', 'v')"
            ).fetchall()
        assert owners == [(plain["owner"],)]
        as_role = {
            name: make_conninfo(
                database, options=f"-c role={each}".replace(" ", "\\ ").replace("-c\\ ", "-c ")
            )
            for name, each in plain.items()
        }
        with PostgresSnapshotSaver(as_role["runtime"]) as saver:
            saver.save_state("liam", {"a": 1})
            assert saver.load_state("liam") == {"a": 1}
        assert run_on(as_role["runtime"], "threads").code == 0
        with psycopg.connect(as_role["reader"]) as reader:
            assert reader.execute("SELECT state FROM agent_checkpoints").fetchall() == [({"a": 1},)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT 1 FROM agent_checkpoints_items")
        execute(database, "DELETE FROM agent_checkpoints_migrations WHERE version = 3")
        assert run_on(as_role["runtime"], "setup").code == 1
        assert run_on(as_role["owner"], "setup").code == 0
    finally:
        for quoted in roles.values():
            execute(database, f"DROP OWNED BY {quoted} CASCADE; DROP ROLE {quoted}")


# -- threads, copy, stats ---------------------------------------------------------------------


def test_threads_lists_and_searches(run: Run):
    found = run("threads", "--json").json
    assert [each["thread_id"] for each in found["threads"]] == ["liam", "rosa"]
    assert found["next"] is None
    first = found["threads"][0]
    assert set(first) == {"thread_id", "created_at", "updated_at", "checkpoints", "metadata"}
    assert (first["checkpoints"], first["metadata"]["user_id"]) == (9, "u-17")
    assert datetime.fromisoformat(first["updated_at"]).tzinfo is not None

    def ids(*options: str) -> list[str]:
        return [t["thread_id"] for t in run("threads", "--json", *options).json["threads"]]

    assert ids("--order", "oldest") == ["rosa", "liam"]
    assert ids("--filter", "user_id=u-4") == ["rosa"]
    assert ids("--filter", 'user_id="u-4"') == ["rosa"]
    assert ids("--filter", "user_id=u-4", "--filter", "team=blue") == []
    lines = run("threads").out.splitlines()
    assert lines[0].split() == ["thread", "checkpoints", "updated", "metadata"]
    assert lines[2].split()[:2] == ["liam", "9"]
    assert "user_id=u-17" in lines[2]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_threads_goes_on_after_a_page(threads: str, run_on: Run, order: str):
    with PostgresSnapshotSaver(threads) as saver:
        for number in range(5):
            saver.save_state(f"a thread/{number}", {"n": number})
        whole = [each.thread_id for each in saver.list_threads(order=order)]
    listed, cursor = [], None
    while True:
        after = ["--after", cursor] if cursor else []
        page = run_on(threads, "threads", "--limit", "2", "--order", order, "--json", *after).json
        listed += [each["thread_id"] for each in page["threads"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert listed == whole
    assert len(listed) == 7


HOSTILE_IDS = [
    "it's $(touch pwned) `touch pwned` $HOME",
    "back\\slash \"quotes\" and 'quotes'",
    "line\nbreak\ttab; rm -rf . #",
    "\x1b[2Jcleared\x07",
    "日本 e\u0301 \u202eturned",
    "user:me@example.com/?a=b&c=%2F 100% ~ * {x,y} !!",
    "-dash",
]


def test_hint_for_the_next_page_survives_a_shell(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        for thread_id in (*HOSTILE_IDS, "the last"):
            saver.save_state(thread_id, {"n": 1})
    options = ("threads", "--limit", "1", "--order", "oldest")
    after: list[str] = []
    for thread_id in HOSTILE_IDS:
        page = run_on(ready_database, *options, *after, "--json").json
        assert [each["thread_id"] for each in page["threads"]] == [thread_id]
        hint = run_on(ready_database, *options, *after).err
        assert hint.startswith("more: --after ")
        assert (hint.count("\n"), hint.rstrip("\n").isprintable()) == (1, True)
        after = shlex.split(hint.removeprefix("more: "))
        assert after == ["--after", page["next"]]
    assert run_on(ready_database, *options, *after, "--json").json["next"] is None


def test_copy_copies_all_or_the_head(run: Run):
    done = run("copy", "liam", "kim", "--json")
    assert (done.code, done.json) == (
        0,
        {"source": "liam", "target": "kim", "head_only": False, "checkpoints": 9},
    )
    assert run("copy", "liam", "lee", "--head-only").out == (
        "copied 'liam' to 'lee', which has 1 checkpoint\n"
    )
    assert run("show", "lee", "--json").json["state"] == run("show", "liam", "--json").json["state"]
    same = run("copy", "liam", "liam")
    assert (same.code, same.out) == (2, "")
    assert "SOURCE and TARGET are both 'liam'" in same.err
    refused = run("copy", "rosa", "kim")
    assert refused.code == 1
    assert "kim" in refused.err


def test_stats_counts(run: Run):
    found = run("stats", "--json").json
    assert set(found) == {
        *("threads", "checkpoints", "items", "writes", "tables", "largest_threads")
    }
    assert (found["threads"], found["checkpoints"]) == (2, 12)
    assert [each["thread_id"] for each in found["largest_threads"]] == ["liam", "rosa"]
    names = {each["name"] for each in found["tables"]}
    assert "agent_checkpoints_items" in names
    assert "agent_checkpoints_messages" not in names  # a view takes no place
    assert "2 threads, 12 checkpoints" in run("stats").out


# -- show, history, diff ----------------------------------------------------------------------


def test_show_tells_the_state_without_its_classes(run: Run):
    assert "shop_models" not in sys.modules
    found = run("show", "liam", "--json").json
    assert set(found) == {
        *("thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "created_at"),
        *("step", "source", "metadata", "state", "interrupts", "opaque", "not_stored"),
        "namespaces",
    }
    order = {"$type": "shop_models:Order", "number": 1042, "goods": ["tea"] * 3}
    assert found["state"]["order"] == order
    assert [each["$type"] for each in found["state"]["messages"]] == ["human", "ai"] * 2
    assert found["interrupts"] == ["Send order 1042?"]
    assert found["opaque"] == []
    lines = run("show", "liam").out.splitlines()
    assert lines[0] == "liam"
    assert lines[lines.index("messages (4)") + 1 :][:2] == [
        "  human: I would like tea",
        "  ai: Noted, that makes 1.",
    ]
    assert 'order: Order(goods=["tea", "tea", "tea"], number=1042)' in lines
    assert lines[-1] == "waits for an answer: Send order 1042?"


def test_show_tells_a_channel_and_the_end_of_lists(run: Run):
    one = run("show", "liam", "--channel", "messages", "--last", "1", "--json").json["state"]
    assert [each["content"] for each in one["messages"]] == ["Noted, that makes 3."]
    every = run("show", "liam", "--last", "1", "--json").json["state"]
    assert every["messages"] == one["messages"]
    assert every["order"]["number"] == 1042
    missing = run("show", "liam", "--channel", "nothing")
    assert missing.code == 1
    assert "has no channel 'nothing'" in missing.err


@pytest.mark.parametrize(
    ("value", "end"),
    [
        (["a", "b"], ["b"]),
        (["long text " * 9 + str(n) for n in range(5)], ["long text " * 9 + "4"]),
        (("a", "b"), {"$type": "tuple", "items": ["b"]}),
        ({"k": [1, 2]}, {"k": [1, 2]}),
        (7, 7),
    ],
)
def test_last_elements_of_what_can_be_in_a_channel(ready_database: str, run_on: Run, value, end):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {"c": value})
    for options in ((), ("--channel", "c")):
        done = run_on(ready_database, "show", "t", "--last", "1", "--json", *options)
        assert done.json["state"] == {"c": end}


def test_show_tells_earlier_states(run: Run):
    ids = [c["checkpoint_id"] for c in run("history", "liam", "--json").json["checkpoints"]]
    found = run("show", "liam", "--checkpoint", ids[3], "--json").json
    assert found["checkpoint_id"] == ids[3]
    assert found["state"]["messages"][-1]["content"] == "Noted, that makes 3."
    assert found["interrupts"] == []
    assert run("show", "liam", "--checkpoint", ids[3][-12:], "--json").json == found
    assert run("show", "liam", "--checkpoint", "oldest", "--json").json["state"] == {}
    common = ids[0][:5]
    refused = run("show", "liam", "--checkpoint", common)
    assert refused.code == 1
    assert f"has 9 checkpoints like '{common}'" in refused.err


def test_history_is_a_tree_with_forks(run: Run):
    found = run("history", "liam", "--json").json
    assert set(found) == {"thread_id", "checkpoint_ns", "namespaces", "checkpoints"}
    assert set(found["checkpoints"][0]) == {
        *("checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "created_at", "step"),
        *("source", "nodes", "changed_channels", "interrupts", "error", "run_id"),
    }
    newest = found["checkpoints"][0]
    assert newest["nodes"] == ["clerk"]
    assert newest["changed_channels"] == ["messages", "order", "settings"]
    assert newest["interrupts"] == ["Send order 1042?"]

    lines = run("history", "liam").out.splitlines()
    assert lines[0] == "liam"
    assert [line.partition("● ")[0] for line in lines[1:]] == [""] * 3 + ["│ "] * 3 + [""] * 3
    ids = [each["checkpoint_id"] for each in reversed(found["checkpoints"])]
    assert [line.partition("● ")[2].split()[0] for line in lines[1:]] == ids
    assert "step 4  ran clerk  changed messages, order, settings  asks: Send order" in lines[-1]
    cut = run("history", "liam", "--limit", "2")
    assert len(cut.out.splitlines()) == 3
    assert cut.err == "7 older checkpoints not shown\n"


def test_history_is_also_a_picture(run: Run, threads: str):
    with PostgresSnapshotSaver(threads) as saver:
        whole = saver.history_graph("liam")
        part = saver.history_graph("liam", limit=2)
    assert run("history", "liam", "--as", "mermaid").out == whole.mermaid + "\n"
    assert run("history", "liam", "--as", "svg").out == whole.svg + "\n"
    assert run("history", "liam", "--as", "svg", "--limit", "2").out == part.svg + "\n"
    refused = run("history", "liam", "--as", "svg", "--json")
    assert refused.code == 2
    assert "pass one of them" in refused.err


def test_pictures_keep_to_what_can_be_drawn(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        for number in range(160):
            saver.save_state("liam", {"#" * 90: number})
    assert len(run_on(ready_database, "history", "liam", "--json").json["checkpoints"]) == 160
    assert len(run_on(ready_database, "history", "liam").out.splitlines()) == 161
    for form, mark in (("mermaid", '["step '), ("svg", "<circle")):
        done = run_on(ready_database, "history", "liam", "--as", form)
        assert done.out.count(mark) == 100
        assert done.err == "60 older checkpoints not shown\n"
    large = run_on(ready_database, "history", "liam", "--as", "mermaid", "--limit", "160")
    assert large.out.count('["step ') == 160
    assert large.err.startswith("Mermaid draws no more than 500 arrows and 50,000 characters")


def test_history_tells_of_errors(ready_database: str, run_on: Run):
    def fail(_state: State) -> State:
        raise ValueError("no such order")

    builder = StateGraph(State)
    builder.add_node("fail", fail)
    builder.add_edge(START, "fail")
    with (
        PostgresSnapshotSaver(ready_database) as saver,
        pytest.raises(ValueError, match="no such order"),
    ):
        builder.compile(checkpointer=saver).invoke({"log": ["begin"]}, LIAM)
    [_, newest] = run_on(ready_database, "history", "liam").out.splitlines()[1:]
    assert "failed: " in newest
    assert "no such order" in newest


def test_diff_tells_what_changed(run: Run):
    steps = run("history", "liam", "--json").json["checkpoints"]
    first_end = steps[-3]["checkpoint_id"]
    found = run("diff", "liam", first_end, "--json").json
    assert set(found) == {"thread_id", "checkpoint_ns", "from", "to", "channels", "not_stored"}
    assert (found["from"], found["to"]) == (first_end, steps[0]["checkpoint_id"])
    added = found["channels"]["messages"]["items"]
    assert [(each["change"], each["position"]) for each in added] == [("added", 2), ("added", 3)]
    goods = found["channels"]["order"]["entries"]["goods"]["items"]
    assert [(each["change"], each["after"]) for each in goods] == [("added", "tea")] * 2
    assert found["channels"]["settings"]["entries"] == {
        "turn-1": {"change": "removed", "before": "seen"},
        "turn-3": {"change": "added", "after": "seen"},
    }
    lines = run("diff", "liam", first_end).out.splitlines()
    assert lines[:3] == [
        "~ messages",
        "  + [2]: human: Please send it",
        "  + [3]: ai: Noted, that makes 3.",
    ]
    assert run("diff", "liam", first_end, first_end).out == "nothing changed\n"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_check_of_a_thread_that_is_not_there(run: Run, options: tuple[str, ...]):
    done = run("check", "--thread", "nobody", *options)
    assert done.code == 1
    assert done.err == "langgraph-pg-snapshot: there is no thread 'nobody'\n"
    assert "can be loaded" not in done.out


@pytest.mark.parametrize("command", [["show"], ["history"], ["diff"]])
def test_thread_that_is_not_there(run: Run, command: list[str]):
    arguments = [*command, "nobody", *(["oldest"] if command == ["diff"] else [])]
    for options, said in (
        ([], "there is no thread 'nobody'"),
        (["--namespace", "sub:1"], "there is no thread 'nobody' in namespace 'sub:1'"),
    ):
        done = run(*arguments, *options)
        assert (done.code, done.out, done.err) == (1, "", f"langgraph-pg-snapshot: {said}\n")


def test_namespaces_of_subgraphs(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        nested_graph(saver).invoke({"log": ["begin"]}, LIAM)
        [inner] = {
            each.config["configurable"]["checkpoint_ns"]
            for each in saver.list({"configurable": {"thread_id": "liam"}})
            if "|" in each.config["configurable"]["checkpoint_ns"]
        }
    middle = inner.partition("|")[0]
    for command in ("show", "history"):
        root = run_on(ready_database, command, "liam", "--json").json
        assert sorted(root["namespaces"]) == [middle, inner]
        lines = run_on(ready_database, command, "liam").out.splitlines()
        at = lines.index("subgraphs (2), each of a --namespace:")
        assert lines[at + 1 :] == [f"  {each}" for each in root["namespaces"]]
        below = run_on(ready_database, command, "liam", "--namespace", middle, "--json").json
        assert (below["checkpoint_ns"], below["namespaces"]) == (middle, [inner])
        # Beginnings, level by level.
        for part in ("middle|inner", "mid|i", f"{middle}|inner", inner[:-3]):
            found = run_on(ready_database, command, "liam", "--namespace", part, "--json").json
            assert (found["checkpoint_ns"], found["namespaces"]) == (inner, [])
        head = run_on(ready_database, command, "liam", "--namespace", "middle").out.splitlines()[0]
        assert head == f"liam in {middle!r}"
        refused = run_on(ready_database, command, "liam", "--namespace", "end")
        assert (refused.code, refused.out) == (1, "")
        assert "thread 'liam' has no namespace like 'end': there is " in refused.err
        assert middle in refused.err
    place = ("--namespace", "middle|inner", "--json")
    found = run_on(ready_database, "show", "liam", *place).json
    assert (found["checkpoint_ns"], found["interrupts"]) == (inner, ["inside?"])
    assert [each[:12] for each in found["state"]["log"]] == ["begin", "start", "inner before"]
    steps = run_on(ready_database, "history", "liam", *place).json["checkpoints"]
    assert {each["checkpoint_ns"] for each in steps} == {inner}
    assert steps[0]["nodes"] == ["before"]
    changed = run_on(ready_database, "diff", "liam", steps[1]["checkpoint_id"], *place).json
    assert [each["change"] for each in changed["channels"]["log"]["items"]] == ["added"]


def test_namespaces_of_many_calls(ready_database: str, run_on: Run):
    """Each call of a subgraph has its own: people are shown the newest ones."""
    with PostgresSnapshotSaver(ready_database) as saver:
        for number in range(12):
            config = {"configurable": {"thread_id": "liam", "checkpoint_ns": f"sub:{number:02}"}}
            saver.put(config, {**empty_checkpoint(), "id": f"{number}"}, {}, {})
        found = run_on(ready_database, "show", "liam", "--namespace", "sub:03", "--json").json
        assert (found["checkpoint_ns"], found["namespaces"]) == ("sub:03", [])
        several = run_on(ready_database, "show", "liam", "--namespace", "sub:0")
        assert "thread 'liam' has 10 namespaces like 'sub:0': there is 'sub:09', " in several.err
        rootless = run_on(ready_database, "history", "liam")
        assert "thread 'liam' has no namespace like '': there is 'sub:11', " in rootless.err
        saver.save_state("liam", {"n": 1})
    names = run_on(ready_database, "history", "liam", "--json").json["namespaces"]
    assert names == [f"sub:{number:02}" for number in reversed(range(12))]
    lines = run_on(ready_database, "history", "liam").out.splitlines()
    assert lines[2:] == [
        "subgraphs (12), each of a --namespace:",
        *(f"  {each}" for each in names[:10]),
        "  … and 2 older ones, which --json lists",
    ]


def test_damaged_thread_is_told_of(ready_database: str, run_on: Run):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("liam", {"text": "long " * 90, "n": 1})
    execute(ready_database, "DELETE FROM agent_checkpoints_items")
    done = run_on(ready_database, "show", "liam")
    assert (done.code, done.out) == (1, "")
    assert "item 1 of its log is missing" in done.err
    assert done.err.count("\n") == 1
    # What is not damaged can be looked at all the same.
    assert run_on(ready_database, "show", "liam", "--channel", "n").code == 0
    assert run_on(ready_database, "history", "liam").code == 0
    assert "is missing" in run_on(ready_database, "check", "--thread", "liam").out


# -- import and export ------------------------------------------------------------------------

REPORT = {
    *("dry_run", "threads", "new", "continued", "unchanged", "checkpoints", "writes"),
    *("verified", "problems", "ok"),
}


def test_import_from_the_official_tables_and_export_back(database: str, server, run_on: Run, shop):
    with PostgresSaver.from_conn_string(database) as official:
        official.setup()
        build(official, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    looked = run_on(database, "import", "--dry-run", "--json").json
    assert set(looked) == REPORT
    assert (looked["dry_run"], looked["new"], looked["verified"]) == (True, 1, 0)
    assert "agent_checkpoints_threads" not in relations(database)

    done = run_on(database, "import", database, "--json")
    assert (done.code, done.json["new"], done.json["ok"]) == (0, 1, True)
    assert done.json["verified"] == done.json["checkpoints"] == 3
    assert run_on(database, "show", "liam", "--json").json["state"]["order"]["number"] == 1042
    assert "1 unchanged" in run_on(database, "import", "--thread", "liam").out

    with server.clone(server.template("empty")) as other:
        done = run_on(database, "export", other, "--json")
        assert (done.code, set(done.json), done.json["new"]) == (0, REPORT, 1)
        with PostgresSaver.from_conn_string(other) as official:
            state = build(official, shop).get_state(LIAM).values
    assert state["order"] == shop.Order(1042, ["tea"])


def test_import_from_a_file(database: str, run_on: Run, shop, tmp_path: Path):
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        build(saver, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    done = run_on(database, "import", "threads.sqlite", "--no-verify")
    assert done.code == 0
    assert done.out.startswith("looked at 1 thread, done: 1 new")
    missing = run_on(database, "import", "nowhere.sqlite")
    assert missing.code == 2
    assert "there is no file 'nowhere.sqlite'" in missing.err


def test_import_from_a_plain_table(database: str, run_on: Run):
    execute(
        database,
        "CREATE TABLE states (thread_id text, state jsonb, created_at timestamptz,"
        " updated_at timestamptz);"
        "INSERT INTO states VALUES ('liam', '{\"a\": 1}', now(), now())",
    )
    options = ["--kind", "plain", "--source-table", "states"]
    assert run_on(database, "import", *options).code == 0
    assert run_on(database, "show", "liam", "--json").json["state"] == {"a": 1}


def test_import_that_did_not_all_go_well(database: str, run_on: Run, shop):
    with PostgresSaver.from_conn_string(database) as official:
        official.setup()
        build(official, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    with PostgresSnapshotSaver(database) as saver:
        saver.save_state("liam", {"other": 1})
    done = run_on(database, "import", "--json")
    assert (done.code, done.json["ok"]) == (1, False)
    assert [each["kind"] for each in done.json["problems"]] == ["conflict"]
    assert "conflict" in run_on(database, "import").out


def test_names_of_tables_go_to_every_command(database: str, run_on: Run):
    names = ("--table-name", "support", "--schema", "agents")
    assert run_on(database, "setup", *names).code == 0
    with PostgresSnapshotSaver(database, table_name="support", schema="agents") as saver:
        saver.save_state("liam", {"a": 1})
    assert run_on(database, "show", "liam", "--json", *names).json["state"] == {"a": 1}
    assert len(run_on(database, "history", "liam", "--json", *names).json["checkpoints"]) == 1
    other = run_on(database, "threads")
    assert other.code == 1
    assert "there are no tables of 'agent_checkpoints'" in other.err
    assert sql.Identifier("support").as_string(None) in run_on(None, "sql", *names).out

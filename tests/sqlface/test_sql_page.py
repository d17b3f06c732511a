"""The questions of docs/sql.md, and what is the answer according to the graphs themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.types import Command
from psycopg import sql
from talks import TALKS, Said, ScriptedError

from graphs import agent_turn_graph, asking_graph, steps_graph
from helpers import config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/sql.md").read_text(encoding="utf-8")
QUESTIONS = dict(
    re.findall(
        r"\*\*([^*]+?)\*\*[^`]*?(?:`[^`\n]+`[^`]*?)*\n\n```sql\n(SELECT .*?)```", PAGE, re.DOTALL
    )
)


def messages(said: Said) -> Iterator[tuple[str, int, Any]]:
    for thread_id, state in said.states.items():
        for position, message in enumerate(state):
            yield thread_id, position, message


def today() -> Any:
    return datetime.now(timezone.utc).date()


def tokens(said: Said, rows: list[dict[str, Any]]) -> None:
    given, made = Counter[str](), Counter[str]()
    for _, _, message in messages(said):
        if usage := getattr(message, "usage_metadata", None):
            given[message.response_metadata["model_name"]] += usage["input_tokens"]
            made[message.response_metadata["model_name"]] += usage["output_tokens"]
    assert {row["model"]: (row["input"], row["output"]) for row in rows} == {
        name: (given[name], made[name]) for name in given
    }
    assert len(given) == 2
    assert {abs(row["day"] - today()) <= timedelta(1) for row in rows} == {True}


def waiting(said: Said, rows: list[dict[str, Any]]) -> None:
    assert {row["thread_id"]: row["open_interrupts"] for row in rows} == said.asked
    assert said.asked
    assert all(timedelta(0) < row["waiting"] < timedelta(hours=1) for row in rows)


def longest(said: Said, rows: list[dict[str, Any]]) -> None:
    expected = [
        (thread_id, len(state), sum(len(each.text) for each in state))
        for thread_id, state in said.states.items()
    ]
    expected.sort(key=lambda row: (-row[1], row[0]))
    assert [tuple(row.values()) for row in rows] == expected


def failing_tools(said: Said, rows: list[dict[str, Any]]) -> None:
    calls = Counter(m.name for _, _, m in messages(said) if m.type == "tool")
    failed = Counter(
        m.name for _, _, m in messages(said) if m.type == "tool" and m.status == "error"
    )
    assert sum(failed.values()) == 2
    assert {row["tool"]: (row["calls"], float(row["percent_failed"])) for row in rows} == {
        name: (calls[name], round(100 * failed[name] / calls[name], 1)) for name in calls
    }


def last_words(said: Said, rows: list[dict[str, Any]]) -> None:
    expected = {
        said.users[thread_id]: (thread_id, message.content)
        for thread_id, _, message in messages(said)  # in the order in which they were said
        if message.type == "human"
    }
    assert {row["user_id"]: (row["thread_id"], row["content"]) for row in rows} == expected


def growth(said: Said, rows: list[dict[str, Any]]) -> None:
    assert sum(row["new_threads"] for row in rows) == len(said.states)
    stored = said.query("SELECT count(*) AS n FROM agent_checkpoints_history")[0]["n"]
    assert sum(row["checkpoints"] for row in rows) == stored > len(said.states)


def threads_of_users(said: Said, rows: list[dict[str, Any]]) -> None:
    assert {row["user_id"]: row["threads"] for row in rows} == Counter(said.users.values())


def slowest(said: Said, rows: list[dict[str, Any]]) -> None:
    ran = Counter(
        {"ai": "model", "tool": "tools"}[m.type] for _, _, m in messages(said) if m.type != "human"
    )
    assert {tuple(row["nodes"]): row["runs"] for row in rows} == {(n,): ran[n] for n in ran}
    assert all(timedelta(0) < row["average"] <= row["slowest"] for row in rows)
    assert rows == sorted(rows, key=lambda row: row["average"], reverse=True)


def used_tools(said: Said, rows: list[dict[str, Any]]) -> None:
    calls = [
        (call["name"], thread_id)
        for thread_id, _, message in messages(said)
        for call in getattr(message, "tool_calls", ())
    ]
    expected = Counter(name for name, _ in calls)
    threads = Counter(name for name, _ in set(calls))
    assert {row["tool"]: (row["calls"], row["threads"]) for row in rows} == {
        name: (expected[name], threads[name]) for name in expected
    }


def talked_about(said: Said, rows: list[dict[str, Any]]) -> None:
    roles = {"human": "user", "ai": "assistant", "tool": "tool"}
    assert [tuple(row.values()) for row in rows] == sorted(
        (thread_id, position, roles[m.type], m.text)
        for thread_id, position, m in messages(said)
        if "refund" in m.text.lower()
    )
    assert {row["thread_id"] for row in rows} == {"ada-1", "ada-2", "bob-1"}


def failed_runs(said: Said, rows: list[dict[str, Any]]) -> None:
    assert {row["thread_id"]: row["error"] for row in rows} == said.failed
    assert said.failed


ANSWERS: dict[str, Callable[[Said, list[dict[str, Any]]], None]] = {
    "Tokens per day and model.": tokens,
    "Threads that wait for a person": waiting,
    "The longest threads.": longest,
    "How often each tool fails.": failing_tools,
    "The last thing that each user said.": last_words,
    "Growth per day": growth,
    "Threads per user": threads_of_users,
    "The slowest nodes.": slowest,
    "The tools that are used most": used_tools,
    "Who talked about it?": talked_about,
    "threads whose last run failed": failed_runs,
}


def test_every_query_of_the_page_is_asked():
    assert QUESTIONS.keys() == ANSWERS.keys()
    assert len(QUESTIONS) == PAGE.count("```sql\nSELECT")


def test_answers_are_those_of_the_graphs(said: Said):
    assert said.states.keys() == TALKS.keys()
    for question, query in QUESTIONS.items():
        ANSWERS[question](said, said.query(query))


def asked(database: str, question: str) -> list[dict[str, Any]]:
    """What a query of the page finds."""
    return Said(database).query(QUESTIONS[question])


def test_answered_questions_wait_for_nobody(any_ready_database: str):
    """Of two questions that were asked side by side, one was answered."""
    config = config_of("thread")
    with PostgresSnapshotSaver(any_ready_database) as saver:
        graph = asking_graph(saver)
        waiting = graph.invoke({"log": ["go"]}, config)["__interrupt__"]
        for each in [each for each in waiting if each.value == "aside"]:
            graph.invoke(Command(resume={each.id: "answer"}), config)
        [row] = asked(any_ready_database, "Threads that wait for a person")
        assert [each["ask"] for each in row["open_interrupts"]] == ["first"]
        graph.invoke(Command(resume="one"), config)
        graph.invoke(Command(resume="two"), config)
    assert asked(any_ready_database, "Threads that wait for a person") == []


def test_slowest_nodes_are_not_those_that_waited(any_ready_database: str):
    """For an answer, or for somebody to try again."""
    fails = [True]

    def once(name: str) -> None:
        if name == "b" and fails:
            fails.clear()
            raise ScriptedError

    with PostgresSnapshotSaver(any_ready_database) as saver:
        agent_turn_graph(saver).invoke({"log": ["go"]}, config_of("asks"))
        agent_turn_graph(saver).invoke(Command(resume="yes"), config_of("asks"))
        with pytest.raises(ScriptedError):
            steps_graph(saver, "abc", fail=once).invoke({"log": ["go"]}, config_of("fails"))
        steps_graph(saver, "abc", fail=once).invoke(None, config_of("fails"))
    rows = asked(any_ready_database, "The slowest nodes.")
    assert sorted(row["nodes"] for row in rows) == [
        ["a"],
        ["agent"],
        ["c"],
        ["tool_one", "tool_two"],
    ]


def test_each_thread_is_new_once(any_ready_database: str):
    """Though each state is saved whole, the oldest checkpoints are removed, or it is a copy."""
    with PostgresSnapshotSaver(any_ready_database) as saver:
        for number in range(3):
            saver.save_state("saved", {"number": number})
        for thread_id in ("copied", "pruned"):
            agent_turn_graph(saver).invoke({"log": ["go"]}, config_of(thread_id))
        saver.prune(["pruned"])
        saver.copy_thread("copied", "copy", head_only=True)
    rows = asked(any_ready_database, "Growth per day")
    assert sum(row["new_threads"] for row in rows) == 4
    assert sum(row["checkpoints"] for row in rows) == 3 + 4 + 1 + 1


def test_odd_tool_calls_break_no_question(any_ready_database: str):
    calls = [None, "text", 7, {"name": "a"}, [], [None, "text", 7, ["a"], {"name": "b"}]]
    with PostgresSnapshotSaver(any_ready_database) as saver:
        for thread_id, message in enumerate(calls):
            odd = {"role": "assistant", "content": "", "tool_calls": message}
            saver.save_state(str(thread_id), {"messages": [odd]})
    rows = asked(any_ready_database, "The tools that are used most")
    assert [(row["tool"], row["calls"]) for row in rows] == [(None, 4), ("b", 1)]


def test_columns_are_the_ones_that_are_listed(ready_database: str):
    with psycopg.connect(ready_database) as conn:
        for view, columns in re.findall(
            r"^\| `(agent_\w+)` \| .*? \| (.*) \|$", PAGE, re.MULTILINE
        ):
            found = conn.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(view)))
            assert found.description is not None
            assert [f"`{column.name}`" for column in found.description] == columns.split(", ")


def test_analyst_sees_the_views_and_no_table_of_the_saver(ready_database: str):
    grants = re.search(r"```sql\n(CREATE ROLE .*?)```", PAGE, re.DOTALL)
    assert grants is not None
    with psycopg.connect(ready_database) as conn:  # rolled back at the end: roles are the server's
        conn.execute(grants[1])
        conn.execute("SET ROLE analyst")
        for query in QUESTIONS.values():
            conn.execute(query)
        conn.execute("SAVEPOINT before")
        for table in ("threads", "history", "items", "writes", "erased", "migrations"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"SELECT * FROM agent_checkpoints_{table}")  # noqa: S608
            conn.execute("ROLLBACK TO before")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM agent_checkpoints_metadata")
        conn.rollback()


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

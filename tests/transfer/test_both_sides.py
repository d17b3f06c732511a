"""Copies that are done again, there and back: what one side did since, and what was swept here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from left_threads import CONFIG, THREAD, THREADS, outcome

from graphs import Log, nested_graph, plain, steps_graph
from helpers import Chain
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy
from langgraph_pg_snapshot.transfer import (
    OfficialTables,
    SqliteFile,
    TransferReport,
    export_threads,
    import_threads,
)

LAST = RetentionPolicy(keep_last=1)


@dataclass(frozen=True)
class Sides:
    """A saver that threads are copied from, one that they are copied to, and the way."""

    source: BaseCheckpointSaver[Any]
    target: BaseCheckpointSaver[Any]
    copy: Callable[..., TransferReport]


@pytest.fixture
def to_import(official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str) -> Sides:
    """From the official saver to ours."""
    tables = OfficialTables(shared_database)
    return Sides(official, saver, lambda **options: import_threads(saver, tables, **options))


@pytest.fixture
def to_export(official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str) -> Sides:
    """From our saver to the official one."""
    tables = OfficialTables(shared_database)
    return Sides(saver, official, lambda **options: export_threads(saver, tables, **options))


@pytest.fixture
def from_memory(saver: PostgresSnapshotSaver) -> Sides:
    """From a saver that is asked by its methods."""
    memory = InMemorySaver()
    return Sides(memory, saver, lambda **options: import_threads(saver, memory, **options))


@pytest.fixture
def to_memory(saver: PostgresSnapshotSaver) -> Sides:
    """To a saver that is filled and asked by its methods."""
    memory = InMemorySaver()
    return Sides(saver, memory, lambda **options: export_threads(saver, memory, **options))


@pytest.fixture
def from_file(saver: PostgresSnapshotSaver, tmp_path: Path) -> Iterator[Sides]:
    """From a file of SqliteSaver."""
    path = tmp_path / "threads.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as source:
        source.setup()
        file = SqliteFile(path)
        yield Sides(source, saver, lambda **options: import_threads(saver, file, **options))


@pytest.fixture(params=["to_import", "to_export", "from_memory", "to_memory", "from_file"])
def sides(request: pytest.FixtureRequest) -> Sides:
    """One direction, and the other one, and other savers."""
    return request.getfixturevalue(request.param)


def questions(saver: Any) -> Any:
    """A node that asks three times: each answer is put over the ones before, at one checkpoint."""
    builder = StateGraph(Log)
    builder.add_node("ask", lambda _state: {"log": [interrupt(q) for q in ("q1", "q2", "q3")]})
    builder.add_edge(START, "ask")
    return builder.compile(checkpointer=saver)


def answer(saver: Any, text: str) -> Any:
    return questions(saver).invoke(Command(resume=text), CONFIG)


def asked(saver: Any) -> list[str]:
    return [each.value for each in questions(saver).get_state(CONFIG).interrupts]


def left_at_the_second_question(sides: Sides) -> None:
    questions(sides.source).invoke({"log": []}, CONFIG)
    answer(sides.source, "a1")
    assert sides.copy().new == 1
    assert asked(sides.target) == ["q2"]


def fail(saver: Any, text: str) -> None:
    def raise_it(_name: str) -> None:
        raise ValueError(text)

    with suppress(ValueError):
        steps_graph(saver, fail=raise_it).invoke(
            None if saver.get_tuple(CONFIG) else {"log": ["start"]}, CONFIG
        )


def listed(saver: Any) -> list[tuple[str, str]]:
    """Every checkpoint of the thread, in all namespaces."""
    found = (each.config["configurable"] for each in saver.list(CONFIG))
    return sorted((each["checkpoint_ns"], each["checkpoint_id"]) for each in found)


# -- writes that are replaced in place -------------------------------------------------------------


def test_answer_that_was_put_over_another_comes_over(sides: Sides):
    left_at_the_second_question(sides)
    answer(sides.source, "a2")
    assert sides.copy(dry_run=True).continued == 1
    report = sides.copy(verify=False)
    assert (report.problems, report.continued, report.checkpoints) == ([], 1, 0)
    assert asked(sides.target) == ["q3"]
    again = sides.copy()
    assert (again.problems, again.unchanged) == ([], 1)
    assert answer(sides.target, "a3")["log"] == ["a1", "a2", "a3"]


def test_answer_that_was_given_there_is_left_alone(sides: Sides):
    left_at_the_second_question(sides)
    answer(sides.target, "a2")
    report = sides.copy()
    assert (report.problems, report.unchanged) == ([], 1)
    assert asked(sides.target) == ["q3"]


def test_answers_of_both_sides_are_a_conflict(sides: Sides):
    left_at_the_second_question(sides)
    answer(sides.source, "a2")
    answer(sides.target, "another")
    for options in ({"dry_run": True}, {"verify": False}, {}):
        report = sides.copy(**options)
        assert [(p.thread_id, p.kind) for p in report.problems] == [(THREAD, "conflict")]
        head = sides.source.get_tuple(CONFIG).config["configurable"]["checkpoint_id"]
        assert report.problems[0].checkpoint_id == head
        assert (report.continued, report.unchanged) == (0, 0)
    assert answer(sides.target, "a3")["log"] == ["a1", "another", "a3"]


def test_thread_that_was_exported_is_unchanged_when_it_is_imported(
    to_export: Sides, to_import: Sides
):
    """The other saver keeps lists of tuples: such as interrupts are, and values may be."""
    questions(to_export.source).invoke({"log": [("a", "tuple")]}, CONFIG)
    assert to_export.copy().new == 1
    for verify in (False, True):
        report = to_import.copy(verify=verify)
        assert (report.problems, report.unchanged) == ([], 1)


def test_error_of_another_try_is_a_conflict_until_the_source_went_on(sides: Sides):
    fail(sides.source, "once")
    assert sides.copy().new == 1
    fail(sides.source, "twice")
    for verify in (False, True):
        report = sides.copy(verify=verify)
        assert [(p.kind, p.channel) for p in report.problems] == [("conflict", None)]
    steps_graph(sides.source).invoke(None, CONFIG)
    for unchanged in (0, 1):
        report = sides.copy()
        assert (report.problems, report.unchanged) == ([], unchanged)


def test_numbers_stay_where_a_task_was_asked_before_it_wrote(
    to_export: Sides, saver: PostgresSnapshotSaver
):
    config = Chain(saver, "t").put({"log": []})
    saver.put_writes(config, [("__resume__", ["a"]), ("__interrupt__", "ask")], "task")
    saver.put_writes(config, [("log", 1), ("log", 2)], "task")
    assert to_export.copy().ok
    with to_export.target._cursor() as cursor:
        found = cursor.execute("SELECT idx, channel FROM checkpoint_writes ORDER BY 1").fetchall()
    assert [tuple(row.values()) for row in found] == [
        (-4, "__resume__"), (-3, "__interrupt__"), (0, "log"), (1, "log"),
    ]  # fmt: skip


# -- what was swept here ---------------------------------------------------------------------------

LEFT = ["turns", "interrupt", "subgraph-interrupt", "stateful-subgraph", "delta-snapshots", "forks"]


@pytest.mark.parametrize("name", LEFT)
def test_what_was_swept_is_neither_brought_back_nor_missed(
    name: str, official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    tables = OfficialTables(shared_database)
    THREADS[name].leave(official)
    import_threads(saver, tables)
    assert saver.sweep(LAST).checkpoints > 0
    left = listed(saver)
    for copy in (import_threads, export_threads):
        report = copy(saver, tables)
        assert (report.problems, report.unchanged) == ([], 1)
        assert report.verified == len(left)
        assert listed(saver) == left
    # Either side goes on from there.
    THREADS[name].go_on(official)
    report = import_threads(saver, tables)
    assert (report.problems, report.continued) == ([], 1)
    assert outcome(THREADS[name], saver) == outcome(THREADS[name], official)


@pytest.mark.parametrize("name", LEFT)
def test_thread_that_went_on_and_was_swept_is_left_alone_and_goes_back(
    name: str, official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    tables = OfficialTables(shared_database)
    THREADS[name].leave(official)
    import_threads(saver, tables)
    THREADS[name].go_on(saver)
    THREADS[name].leave(saver)
    saver.sweep(LAST)
    left = listed(saver)
    report = import_threads(saver, tables)
    assert (report.problems, report.unchanged) == ([], 1)
    assert listed(saver) == left
    back = export_threads(saver, tables)
    assert (back.problems, back.continued, back.verified) == ([], 1, len(left))
    again = export_threads(saver, tables)
    assert (again.problems, again.unchanged) == ([], 1)
    assert outcome(THREADS[name], official) == outcome(THREADS[name], saver)


def test_calls_of_subgraphs_that_were_swept_stay_away(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    """A finished call's namespace goes as a whole; one that is new in the source comes over."""
    tables = OfficialTables(shared_database)
    graph = nested_graph(official)
    for _ in range(2):
        graph.invoke({"log": []}, CONFIG)
        graph.invoke(Command(resume="yes"), CONFIG)
    import_threads(saver, tables)
    saver.sweep(LAST)
    left = listed(saver)
    assert {ns for ns, _ in left} < {ns for ns, _ in listed(official)}
    assert import_threads(saver, tables).unchanged == 1
    assert listed(saver) == left
    graph.invoke({"log": []}, CONFIG)
    report = import_threads(saver, tables)
    assert (report.problems, report.continued) == ([], 1)
    new = set(listed(saver)) - set(left)
    assert len({ns for ns, _ in new}) == 3
    assert plain(nested_graph(saver).invoke(Command(resume="yes"), CONFIG)) == plain(
        graph.invoke(Command(resume="yes"), CONFIG)
    )


def test_thread_that_was_swept_and_went_on_on_both_sides_is_a_conflict(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    tables = OfficialTables(shared_database)
    steps_graph(official).invoke({"log": ["start"]}, CONFIG)
    import_threads(saver, tables)
    saver.sweep(LAST)
    for each in (official, saver):
        steps_graph(each).invoke({"log": ["again"]}, CONFIG)
    for copy in (import_threads, export_threads):
        assert [p.kind for p in copy(saver, tables).problems] == ["conflict"]


def test_older_thread_of_the_same_id_is_no_beginning_that_was_swept(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    for each in (official, saver):
        Chain(each, "mine").put({"n": 1})
    saver.sweep(LAST)
    for copy in (import_threads, export_threads):
        report = copy(saver, OfficialTables(shared_database))
        assert [(p.thread_id, p.kind) for p in report.problems] == [("mine", "conflict")]

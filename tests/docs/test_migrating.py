"""Every code block of docs/migrating.md does what the page says, on a real database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from psycopg.types.json import Jsonb

from graphs import answering_builder
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer import OfficialTables, import_threads
from langgraph_pg_snapshot.transfer.report import ProblemKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
PLACEHOLDER = "postgresql://user:pass@host/db"
SECTIONS = {
    section.partition("\n")[0]: section for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)
}


def turn(saver: Any, thread_id: str) -> Any:
    config = {"configurable": {"thread_id": thread_id}}
    return (
        answering_builder()
        .compile(checkpointer=saver)
        .invoke({"messages": [("user", "Hello")]}, config)
    )


def run(section: str, database: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Run a section's blocks; what they print is what the page says."""
    ran = []
    found = re.findall(
        r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?",
        SECTIONS[section],
        re.MULTILINE | re.DOTALL,
    )
    assert found
    capsys.readouterr()
    for code, printed in found:
        names = {"builder": answering_builder()}
        exec(code.replace(f'"{PLACEHOLDER}"', repr(database)), names)  # noqa: S102 -- the page's own
        assert capsys.readouterr().out == printed
        ran.append(names)
    return ran


@pytest.fixture
def official(database: str) -> Iterator[PostgresSaver]:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        yield saver


def test_from_postgres_saver(
    database: str, official: PostgresSaver, capsys: pytest.CaptureFixture[str]
):
    for thread_id in ("liam", "rosa"):
        turn(official, thread_id)
    run("From PostgresSaver or AsyncPostgresSaver", database, capsys)
    with PostgresSnapshotSaver(database) as saver:
        assert len(turn(saver, "liam")["messages"]) == 4


def test_from_sqlite_saver(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    with SqliteSaver.from_conn_string("checkpoints.sqlite") as saver:
        turn(saver, "liam")
    run("From SqliteSaver or AsyncSqliteSaver", database, capsys)


def test_from_any_saver(database: str, capsys: pytest.CaptureFixture[str]):
    run("From InMemorySaver, or any other saver", database, capsys)


def test_from_a_table_of_states(database: str, capsys: pytest.CaptureFixture[str]):
    state = {"messages": [{"type": "human", "data": {"content": "Hello"}}]}
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE agent_checkpoints (thread_id text PRIMARY KEY, state jsonb NOT NULL,"
            " created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now())"
        )
        connection.execute("INSERT INTO agent_checkpoints VALUES ('liam', %s)", [Jsonb(state)])
    run("From a table of states", database, capsys)


def test_going_back(database: str, official: PostgresSaver, capsys: pytest.CaptureFixture[str]):
    for thread_id in ("liam", "rosa"):
        turn(official, thread_id)
    with PostgresSnapshotSaver(database) as saver:
        import_threads(saver, OfficialTables(database))
        turn(saver, "liam")
    run("Going back", database, capsys)
    assert len(turn(official, "liam")["messages"]) == 6


def test_every_section_with_code_is_run():
    ours = Path(__file__).read_text(encoding="utf-8")
    with_code = {name for name, text in SECTIONS.items() if "```" in text}
    assert {name for name in with_code if f'run("{name}"' in ours} == with_code
    assert len(with_code) == 5


def test_every_kind_of_problem_is_explained():
    explained = set(re.findall(r"^\| `(\w+)` \|", SECTIONS["Progress and problems"], re.MULTILINE))
    assert explained == set(get_args(ProblemKind))


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

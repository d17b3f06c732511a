"""Every code block of the README does what the page says, on a real database."""

from __future__ import annotations

import ast
import inspect
import logging
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql
from psycopg.conninfo import make_conninfo

from graphs import answering_builder
from langgraph_pg_snapshot import PostgresSnapshotSaver

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The DSN that stands for the reader's own.
PLACEHOLDER = "postgresql://user:pass@host/db"
LIAM = {"configurable": {"thread_id": "liam"}}


@dataclass(frozen=True)
class Block:
    """A fenced block of the README."""

    language: str
    text: str
    line: int


def _blocks() -> Iterator[Block]:
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2], README[: found.start()].count("\n") + 1)


BLOCKS = list(_blocks())


def blocks(language: str) -> list[Any]:
    return [pytest.param(b, id=f"line{b.line}") for b in BLOCKS if b.language == language]


def block_with(text: str) -> Block:
    (found,) = (b for b in BLOCKS if text in b.text)
    return found


def run(block: Block, database: str) -> dict[str, Any]:
    """Run a block as a reader would who has a graph, and whose database this is."""
    names = {"builder": answering_builder(), "PostgresSnapshotSaver": PostgresSnapshotSaver}
    code = block.text.replace(f'"{PLACEHOLDER}"', repr(database))
    # The line numbers of a traceback are then those of the README.
    exec(compile("\n" * block.line + code, ROOT / "README.md", "exec"), names)  # noqa: S102 -- the page's own
    return names


@pytest.fixture
def conversation(ready_database: str) -> str:
    """A database in which the thread "liam" has had a turn."""
    with PostgresSnapshotSaver(ready_database) as saver:
        graph = answering_builder().compile(checkpointer=saver)
        graph.invoke({"messages": [("user", "Hello")]}, LIAM)
    return ready_database


@pytest.fixture(autouse=True)
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory to work in, and a key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGGRAPH_AES_KEY", "0123456789abcdef")


def test_every_block_is_of_a_kind_that_is_tested():
    assert {b.language for b in BLOCKS} == {"python", "sql", "text"}


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs_and_prints_what_the_page_says(
    block: Block, database: str, capsys: pytest.CaptureFixture[str]
):
    run(block, database)
    following = BLOCKS[BLOCKS.index(block) + 1 :]
    if "print(" in block.text:
        assert following[0].language == "text"
        assert capsys.readouterr().out == following[0].text
    else:
        assert capsys.readouterr().out == ""


def test_first_example_leaves_what_the_first_query_finds(database: str):
    names = run(BLOCKS[0], database)
    assert names["saver"].load_state("liam")["messages"][-1].content == "You said: Hello"
    names["saver"].close()
    with psycopg.connect(database) as connection:
        rows = connection.execute(BLOCKS[1].text).fetchall()
    assert [row[:2] for row in rows] == [("liam", "You said: Hello")]


async def test_first_example_works_with_async_with(database: str):
    async with PostgresSnapshotSaver(database) as saver:
        graph = answering_builder().compile(checkpointer=saver)
        state = await graph.ainvoke({"messages": [("user", "Hello")]}, LIAM)
    assert state["messages"][-1].content == "You said: Hello"


def test_message_query_has_a_row_a_message(conversation: str):
    with psycopg.connect(conversation) as connection:
        rows = connection.execute(block_with("AS who").text).fetchall()
    assert rows == [("user", "Hello"), ("assistant", "You said: Hello")]


def test_web_application_answers_and_remembers(database: str):
    app = run(block_with("lifespan"), database)["app"]
    with TestClient(app) as client:
        said = [client.post(f"/chat/liam?text={text}").json() for text in ("Hello", "Again")]
    assert said == ["You said: Hello", "You said: Again"]
    with PostgresSnapshotSaver(database) as saver:
        assert len(saver.load_state("liam")["messages"]) == 4


def test_encrypted_example_leaves_no_plaintext(database: str):
    run(block_with("EncryptedSerializer"), database)
    with psycopg.connect(database) as connection:
        tables = ("threads", "history", "items", "writes")
        stored = [
            str(row)
            for table in tables
            for row in connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t").format(
                    sql.Identifier("agents", f"support_{table}")
                )
            )
        ]
    assert len(stored) > len(tables)
    for text in ("Hello", "You said"):
        # BYTEA is shown in hexadecimal.
        assert not [row for row in stored if text in row or text.encode().hex() in row]


async def test_class_takes_the_place_of_the_official_async_one(database: str):
    moved = run(block_with("as PostgresSaver"), database)["PostgresSaver"]
    async with moved.from_conn_string(database) as saver:
        await saver.asetup()
        graph = answering_builder().compile(checkpointer=saver)
        state = await graph.ainvoke({"messages": [("user", "Again")]}, LIAM)
    assert len(state["messages"]) == 4


def test_grants_are_enough_to_run_and_no_more_than_that(ready_database: str):
    role = f"app_{secrets.token_hex(4)}"
    grants = block_with("GRANT").text.replace("my_app", role)
    with psycopg.connect(ready_database, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            as_role = make_conninfo(ready_database, options=f"-c role={role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                _use_everything(as_role)
            owner.execute(grants)
            _use_everything(as_role)
            with (
                psycopg.connect(as_role) as app,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                app.execute("CREATE TABLE not_allowed ()")
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def _use_everything(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT * FROM agent_checkpoints").fetchall()
    with PostgresSnapshotSaver(dsn) as saver:
        graph = answering_builder().compile(checkpointer=saver)
        graph.invoke({"messages": [("user", "Hello")]}, LIAM)
        saver.copy_thread("liam", "rosa")
        saver.prune(["liam"])
        saver.delete_thread("rosa")
        assert [thread.thread_id for thread in saver.list_threads()] == ["liam"]


def test_log_record_looks_as_shown(conversation: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, logger="langgraph_pg_snapshot")
    with PostgresSnapshotSaver(conversation) as saver:
        graph = answering_builder().compile(checkpointer=saver)
        graph.invoke({"messages": [("user", "Hello")]}, LIAM)
    shown = block_with("done in").text.strip()
    written = [record for record in caplog.records if record.name == "langgraph_pg_snapshot"]
    assert _without_numbers(shown) in {_without_numbers(r.getMessage()) for r in written}
    for attribute in ("thread_id", "table", "rows", "duration_ms"):
        assert f"`{attribute}`" in README
        assert all(hasattr(record, attribute) for record in written)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "N", text)


def test_tables_are_the_ones_that_are_listed(ready_database: str):
    listed = set(re.findall(r"^\| `(agent_checkpoints\w*)` \|", README, re.MULTILINE))
    with psycopg.connect(ready_database) as connection:
        made = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v')"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert listed == {name for (name,) in made}


def test_placeholder_is_the_only_database_that_is_named():
    # Otherwise a block would connect to a host called "host".
    assert all(b.text.count("postgresql:") == b.text.count(f'"{PLACEHOLDER}"') for b in BLOCKS)


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_arguments_and_defaults_are_those_of_the_constructor():
    section = README.partition("## Construction")[2].partition("\n## ")[0]
    documented: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`.*?`) \|(.*?)\| .* \|$", section, re.MULTILINE):
        arguments = re.findall(r"`(\w+)`", names)
        values = defaults.strip(" `").split(", ")
        documented |= dict(zip_longest(arguments, values, fillvalue=""))
    parameters = dict(inspect.signature(PostgresSnapshotSaver).parameters)
    assert documented.keys() == parameters.keys()
    simple = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not None
    }
    assert simple
    assert {name: ast.literal_eval(documented[name]) for name in simple} == simple

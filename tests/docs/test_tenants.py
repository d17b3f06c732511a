"""Every code block of docs/tenants.md does what the page says, on a real database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from graphs import answering_builder
from langgraph_pg_snapshot import PostgresSnapshotSaver, rights_sql

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tenants.md").read_text(encoding="utf-8")
SECTIONS = {
    section.partition("\n")[0]: section for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)
}
USER, OWNER = '"postgresql://user:pass@host/db"', '"postgresql://owner:pass@host/db"'
ROLES = ("deploys", "my_app", "dashboard")


@pytest.fixture
def roles(database: str) -> Iterator[dict[str, str]]:
    """How each role of the page connects; they have no rights yet."""
    with psycopg.connect(database, autocommit=True) as admin:
        for role in ROLES:
            admin.execute(f"CREATE ROLE {role} LOGIN")
        try:
            yield {role: make_conninfo(database, user=role) for role in ROLES}
        finally:
            for role in ROLES:
                admin.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def blocks(section: str) -> list[tuple[str, str]]:
    """The Python blocks of a section, each with what it prints."""
    return re.findall(
        r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?",
        SECTIONS[section],
        re.MULTILINE | re.DOTALL,
    )


def run(code: str, user: str, owner: str) -> dict[str, Any]:
    names = {"builder": answering_builder(), "PostgresSnapshotSaver": PostgresSnapshotSaver}
    exec(code.replace(USER, repr(user)).replace(OWNER, repr(owner)), names)  # noqa: S102 -- the page's own
    return names


def test_every_block_is_of_a_kind_that_is_tested():
    opened = re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)
    assert set(opened) == {"python", "text", "sql"}


def test_script_gives_the_application_all_that_it_needs(database, roles):
    [(made, _), (used, _)] = blocks("An owner and a runtime role")
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(run(made, "", "")["script"])
    with run(used, roles["my_app"], "")["saver"] as saver:
        graph = answering_builder().compile(checkpointer=saver)
        graph.invoke({"messages": [("user", "Hi")]}, {"configurable": {"thread_id": "liam"}})
    with psycopg.connect(roles["dashboard"]) as reader:
        [(thread_id,)] = reader.execute("SELECT thread_id FROM agent_checkpoints").fetchall()
        assert thread_id == "liam"


def test_tenants_are_apart_as_the_page_shows(database, roles, capsys):
    [(apart, printed), (shared, nothing)] = blocks("Tenants")
    once, rest = apart.split("\n\n", 1)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("GRANT CREATE ON SCHEMA public TO deploys")
    run(once, "", roles["deploys"])
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(rights_sql(runtime="my_app", reader="dashboard", tenants=True))
    names = run(rest, roles["my_app"], "")
    assert capsys.readouterr().out == printed
    names["acme"].close()
    names["globex"].close()
    names = run(shared, roles["my_app"], "")
    assert nothing == ""
    names["pool"].close()

    # And the page's SQL shows it, to a reader and to a superuser.
    [asked] = re.findall(
        r"^```sql\n(.*?)^```", SECTIONS["SQL with tenants"], re.MULTILINE | re.DOTALL
    )
    begin, say, select, commit = asked.strip().splitlines()
    assert (begin, commit) == ("BEGIN;", "COMMIT;")
    for dsn in (roles["dashboard"], database):
        with psycopg.connect(dsn) as conn:
            assert conn.execute(select).fetchall() == []
            conn.execute(say)
            assert [thread_id for thread_id, _ in conn.execute(select).fetchall()] == ["liam"]


def test_threads_move_to_a_tenant(database, roles, capsys):
    [(moves, printed)] = blocks("From tables without tenants")
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("GRANT CREATE ON SCHEMA public TO my_app")
        admin.execute(
            "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO my_app',"
            " current_database()); END $$"
        )
    with PostgresSnapshotSaver(roles["my_app"]) as old:
        graph = answering_builder().compile(checkpointer=old)
        for thread_id, org in (("liam", "acme"), ("rosa", "globex")):
            config = {"configurable": {"thread_id": thread_id}, "metadata": {"org": org}}
            graph.invoke({"messages": [("user", "Hi")]}, config)
    with run(moves, roles["my_app"], "")["target"] as target:
        assert capsys.readouterr().out == printed
        assert [thread.thread_id for thread in target.list_threads()] == ["liam"]

"""Every code block of docs/alembic.md does what the page says, with a real Alembic."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.config import main as alembic
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.cli.app import app
from langgraph_pg_snapshot.sql import migrations

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "alembic.md").read_text(encoding="utf-8")
PLACEHOLDER = "postgresql://user:pass@host/db"
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CONSOLE = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REVISION, ENV, APPLICATION, NEXT_REVISION = PYTHON
UPGRADE, SCRIPT, STAMP = CONSOLE

INI = """
[alembic]
script_location = migrations
prepend_sys_path = .
path_separator = os
"""
MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Customer(Base):
    __tablename__ = "customers"
    name: Mapped[str] = mapped_column(primary_key=True)
"""
CUSTOMERS = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table("customers", sa.Column("name", sa.String, primary_key=True))

def downgrade():
    op.drop_table("customers")
"""
RELATIONS = (
    "SELECT c.relname, c.relkind, pg_get_viewdef(c.oid), obj_description(c.oid) FROM pg_class AS c"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'alembic_version%'"
    " ORDER BY c.relname"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An application with a table of its own, the page's env.py, and the page's revision."""
    files = {
        "alembic.ini": INI,
        "models.py": MODELS,
        "migrations/env.py": ENV,
        "migrations/versions/0001_customers.py": CUSTOMERS,
        "migrations/versions/0002_agent_checkpoints.py": REVISION,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / "migrations"
    sys.modules.pop("models", None)


@pytest.fixture
def url(project: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, as the URL in DATABASE_URL."""
    made = as_url(database)
    monkeypatch.setenv("DATABASE_URL", made)
    return made


def as_url(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    rest = "&".join(f"{k}={v}" for k, v in parts.items() if k not in ("user", "dbname"))
    return f"postgresql://{parts['user']}@/{parts['dbname']}?{rest}"


def run(console: str) -> None:
    """Run a block's commands; each must succeed."""
    for line in console.splitlines():
        command, *arguments = shlex.split(line.removeprefix("$ "))
        if command == "alembic":
            alembic(arguments)
        else:
            assert command == "langgraph-pg-snapshot"
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, done.output


def execute(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def run_application(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's last words to the application, and work on the tables."""
    capsys.readouterr()
    exec(APPLICATION.replace(f'"{PLACEHOLDER}"', repr(url)), {})  # noqa: S102 -- the page's own
    assert f"```text\n{capsys.readouterr().out}```" in PAGE
    with PostgresSnapshotSaver(url, auto_setup=False) as saver:
        saver.save_state("liam", {"a": 1})
        assert saver.load_state("liam") == {"a": 1}


def test_up_and_down_and_up(url: str, capsys: pytest.CaptureFixture[str]):
    run(UPGRADE)
    run_application(url, capsys)
    made = execute(url, RELATIONS)
    alembic(["downgrade", "0001"])
    assert [name for name, *_ in execute(url, RELATIONS)] == ["customers", "customers_pkey"]
    run(UPGRADE)
    assert execute(url, RELATIONS) == made
    run_application(url, capsys)


def test_tables_are_those_of_setup(url: str, server, capsys: pytest.CaptureFixture[str]):
    alembic(["upgrade", "head"])
    ours = [row for row in execute(url, RELATIONS) if not row[0].startswith("customers")]
    with server.clone(server.template("empty")) as dsn:
        with PostgresSnapshotSaver(dsn) as saver:
            saver.setup()
        assert execute(dsn, RELATIONS) == ours


def test_without_the_hook_they_would_be_dropped(
    url: str, project: Path, caplog: pytest.LogCaptureFixture
):
    run(UPGRADE)
    (project / "env.py").write_text(ENV.replace(', "include_name": include_name', ""))
    with pytest.raises(SystemExit):
        alembic(["check"])
    assert "'remove_table', Table('agent_checkpoints_threads'" in caplog.text


def test_script_does_the_same(
    url: str, server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    alembic(["upgrade", "head"])
    capsys.readouterr()
    monkeypatch.delenv("DATABASE_URL")
    run(SCRIPT)
    script = capsys.readouterr().out
    with server.clone(server.template("empty")) as dsn:
        execute(dsn, script)
        assert execute(dsn, RELATIONS) == execute(url, RELATIONS)
        run_application(as_url(dsn), capsys)


def test_tables_that_were_there_before(url: str, capsys: pytest.CaptureFixture[str]):
    alembic(["upgrade", "0001"])
    with PostgresSnapshotSaver(url) as saver:
        saver.setup()
    run(STAMP)
    run(UPGRADE)
    run_application(url, capsys)


def test_next_version_is_the_next_revision(
    url: str, project: Path, capsys: pytest.CaptureFixture[str]
):
    """As if this package's newest version were the next one, and the one before it today's."""
    newest = migrations()[-1].version
    assert f"until={newest})" in REVISION
    assert f"since={newest}, until={newest + 1})" in NEXT_REVISION
    earlier = REVISION.replace(f"until={newest}", f"until={newest - 1}")
    (project / "versions" / "0002_agent_checkpoints.py").write_text(earlier)
    alembic(["upgrade", "head"])
    with PostgresSnapshotSaver(url, auto_setup=False) as saver:
        assert saver.check_schema().version == newest - 1
        assert not saver.check_schema().ok
    later = NEXT_REVISION.replace(f"={newest}", f"={newest - 1}").replace(
        f"={newest + 1}", f"={newest}"
    )
    (project / "versions" / "0003_agent_checkpoints.py").write_text(later)
    run(UPGRADE)
    run_application(url, capsys)


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

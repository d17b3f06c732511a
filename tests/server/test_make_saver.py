"""What environment variables say is what the saver takes, or an error that names the variable."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot import (
    ConnectionUnavailableError,
    InvalidArgumentError,
    PostgresSnapshotSaver,
    SchemaError,
)
from langgraph_pg_snapshot.server import SETTINGS, make_saver

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "server.md").read_text(encoding="utf-8")
PASSWORD = "s3cret-Passw0rd"
NOWHERE = f"postgresql://user:{PASSWORD}@127.0.0.1:1/db"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PG_SNAPSHOT_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, 'DATABASE_URL is not set: .*postgresql://.*"env"'),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": f"{PASSWORD} oops"}, "DATABASE_URL is not a PostgreSQL connection"),
        ({"DATABASE_URL": f"postgresql+psycopg://u:{PASSWORD}@h/db"}, r"lose its '\+driver'"),
        ({"DATABASE_URL": f"postgresql://u:x@{PASSWORD}@h/db"}, "DATABASE_URL .*'@' is %40"),
        ({"PG_SNAPSHOT_MAX_SIZE": "many"}, "_MAX_SIZE must be a whole number, got 'many'"),
        ({"PG_SNAPSHOT_TIMEOUT": "1s"}, "PG_SNAPSHOT_TIMEOUT must be a number of seconds"),
        ({"PG_SNAPSHOT_TIMEOUT": "-1"}, "timeout must be .* above 0 .*PG_SNAPSHOT_TIMEOUT"),
        ({"PG_SNAPSHOT_AUTO_SETUP": "maybe"}, "_AUTO_SETUP must be true or false, got 'maybe'"),
        ({"PG_SNAPSHOT_TABEL_NAME": "x"}, "_TABEL_NAME is no setting: .* PG_SNAPSHOT_TABLE_NAME"),
        ({"PG_SNAPSHOT_TABLE_NAME": "x" * 64}, "table_name .*PG_SNAPSHOT_TABLE_NAME"),
        (
            {"PG_SNAPSHOT_MIN_SIZE": "5", "PG_SNAPSHOT_MAX_SIZE": "2"},
            "min_size=5, max_size=2 .*PG_SNAPSHOT_MIN_SIZE, PG_SNAPSHOT_MAX_SIZE",
        ),
    ],
    ids=range(12),
)
async def test_what_is_wrong_is_said_by_name(monkeypatch, environment, said):
    if any(name.startswith("PG_") for name in environment):
        environment = {"DATABASE_URL": NOWHERE, **environment}
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        async with make_saver():
            pass
    assert PASSWORD not in repr(caught.value) + repr(caught.value.__cause__)


async def test_database_that_is_not_there(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", NOWHERE)
    monkeypatch.setenv("PG_SNAPSHOT_TIMEOUT", "0.3")
    with pytest.raises(
        ConnectionUnavailableError, match=r"DATABASE_URL leads to no .*refused"
    ) as e:
        async with make_saver():
            pass
    assert PASSWORD not in repr(e.value) + repr(e.value.__cause__)


async def test_tables_are_made_unless_told_otherwise(monkeypatch, database):
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("PG_SNAPSHOT_AUTO_SETUP", "False")
    with pytest.raises(SchemaError, match=r"version 0 .*PG_SNAPSHOT_AUTO_SETUP=true"):
        async with make_saver():
            pass
    monkeypatch.delenv("PG_SNAPSHOT_AUTO_SETUP")
    async with make_saver() as saver:
        assert (await saver.acheck_schema()).ok
    monkeypatch.setenv("PG_SNAPSHOT_AUTO_SETUP", "0")
    async with make_saver() as saver:
        assert await saver.aload_state("t") is None


async def test_every_setting_is_the_savers_argument(monkeypatch, database):
    texts = {
        "table_name": "agents",
        "schema": "ours",
        "min_size": "0",
        "max_size": "1",
        "timeout": "9.5",
        "deadline": "7",
        "pooler": "true",
        "auto_setup": "TRUE",
        "cache_bytes": "",
    }
    assert set(texts) == set(SETTINGS)
    assert set(SETTINGS) < set(inspect.signature(PostgresSnapshotSaver).parameters)
    monkeypatch.setenv("DATABASE_URL", database)
    for name, text in texts.items():
        monkeypatch.setenv(f"PG_SNAPSHOT_{name.upper()}", text)
    async with make_saver() as saver:
        await saver.asave_state("t", {"a": 1})
        settings = saver._backend._own_async._settings
        assert (settings.min_size, settings.max_size, settings.timeout) == (0, 1, 9.5)
        assert (saver._backend.conduct.deadline, saver._backend.conduct.pooler) == (7.0, True)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT state FROM ours.agents").fetchall() == [({"a": 1},)]


async def test_options_stand_above_the_environment(monkeypatch, database):
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("PG_SNAPSHOT_TABLE_NAME", "theirs")
    serde = JsonPlusSerializer()
    async with make_saver(table_name="ours", serde=serde) as saver:
        assert saver.serde is serde
        await saver.asave_state("t", {"a": 1})
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM ours").fetchone() == (1,)


async def test_factory_of_the_page_that_encrypts(monkeypatch, database):
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("LANGGRAPH_AES_KEY", "sixteen byte key")
    [code] = re.findall(r"^```python\n([^`]*Encrypted[^`]*)^```$", PAGE, re.MULTILINE)
    names = {}
    exec(code, names)  # noqa: S102 -- the page's own
    async with names["make_saver"]() as saver:
        await saver.asave_state("t", {"a": "geheim" * 100})
        assert await saver.aload_state("t") == {"a": "geheim" * 100}
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT blob_type, item FROM agent_checkpoints_items").fetchall()
    assert found == [("msgpack+aes", None)]


def test_page_tells_of_every_setting():
    told = re.findall(r"^\| `PG_SNAPSHOT_(\w+)` \|", PAGE, re.MULTILINE)
    assert [name.lower() for name in told] == list(SETTINGS)


def test_links_of_the_page_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


WATCHED = """
import asyncio, sys
from langgraph_pg_snapshot.server import make_saver

def watch(event, args):
    if event in ("open", "os.listdir", "os.scandir") and "langgraph_pg_snapshot" in str(args[0]):
        print(event, args[0])

async def main():
    sys.addaudithook(watch)
    async with make_saver() as saver:
        await saver.asave_state("t", {"a": 1})

asyncio.run(main())
"""


def test_event_loop_is_not_kept_waiting_by_a_disk(database):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env={**os.environ, "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""

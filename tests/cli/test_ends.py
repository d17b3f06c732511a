"""How commands end when something is the matter: one line, an exit code, and no password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from commands import NEEDED, ON_A_DATABASE, options_of
from psycopg.conninfo import conninfo_to_dict
from shop_threads import Run

from langgraph_pg_snapshot.cli import output
from langgraph_pg_snapshot.embedded import EmbeddedServer

WRONG = "g'eh eim"


@pytest.fixture(scope="module")
def guarded() -> Iterator[dict[str, str]]:
    """A server that asks for a password, and how it is reached with a wrong one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with EmbeddedServer.start(port=port, settings={"fsync": "off"}) as server:
        parts = conninfo_to_dict(server.dsn)
        user, database = parts["user"], parts["dbname"]
        yield {
            "url": f"postgresql://{user}:{quote(WRONG)}@127.0.0.1:{port}/{database}",
            "pairs": f"host=127.0.0.1 port={port} user={user} dbname={database} "
            f"password='{WRONG.replace(chr(39), chr(92) + chr(39))}'",
        }


def is_one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.startswith("langgraph-pg-snapshot: ")


@pytest.mark.parametrize("form", ["url", "pairs"])
@pytest.mark.parametrize("command", ON_A_DATABASE)
def test_wrong_password(guarded: dict[str, str], run_on: Run, command: str, form: str):
    dsn = guarded[form]
    for given, options in ((dsn, ()), (None, ("--dsn", dsn)), (dsn, ("--json",))):
        done = run_on(given, command, *NEEDED.get(command, ()), *options)
        assert (done.code, done.out) == (1, "")
        assert is_one_line(done.err)
        assert "password authentication failed" in done.err
        assert WRONG not in done.err
        assert quote(WRONG) not in done.err


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:geheim@x@127.0.0.1/db",
        "postgresql://me:geheim/x@127.0.0.1/db",
        "postgresql://me:geheim#/x@127.0.0.1/db",
        "postgresql://me:geheim/?x@127.0.0.1/db",
        "postgresql://me:geheim%zz@127.0.0.1/db",
        "postgresql+psycopg://me:geheim@127.0.0.1/db",
        "mysql://me:geheim@127.0.0.1/db",
        "host=127.0.0.1 password='geheim",
        "host=127.0.0.1 pasword=geheim",
        "geheim",
    ],
)
@pytest.mark.parametrize("command", ON_A_DATABASE)
def test_connection_string_that_is_none(run_on: Run, command: str, dsn: str):
    done = run_on(dsn, command, *NEEDED.get(command, ()))
    assert (done.code, done.out) == (2, "")
    assert is_one_line(done.err)
    assert "--dsn" in done.err
    assert "geheim" not in done.err


@pytest.mark.parametrize("command", ON_A_DATABASE)
def test_no_database_is_named(run_on: Run, command: str):
    done = run_on(None, command, *NEEDED.get(command, ()))
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "langgraph-pg-snapshot: there is no database: pass --dsn, or set DATABASE_URL\n"
    )


@pytest.mark.parametrize("command", [c for c in ON_A_DATABASE if c not in ("setup", "check")])
def test_tables_are_not_there_and_are_not_made(database: str, run_on: Run, command: str):
    done = run_on(database, command, *NEEDED.get(command, ()))
    assert (done.code, done.out) == (1, "")
    assert is_one_line(done.err)
    expected = "PostgresSaver" if command == "import" else "langgraph-pg-snapshot setup"
    assert expected in done.err
    if command != "import":
        assert run_on(database, "check", "--json").json["version"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["thread"], "Did you mean"),
        (["show"], "Missing argument 'thread'"),
        (["threads", "--limit", "0"], "--limit"),
        (["threads", "--order", "up"], "--order"),
        (["threads", "--filter", "x"], "--filter is of the form key=value, not 'x'"),
        (["threads", "--after", "x"], "--after takes what the page before printed"),
        (["threads", "--after", "2026-01-01T00:00:00/x"], "--after takes what"),
        (["check", "--thread", "t", "--import", "no_such_module"], "--import no_such_module"),
        (["import", "mysql://me:geheim@host/db"], "SOURCE is not a PostgreSQL connection string"),
        (["export", "mysql://me:geheim@host/db"], "TARGET is not a PostgreSQL connection string"),
        (["stats", "postgresql://me:geheim@host/db"], "unexpected extra argument"),
        (["stats", "password=geheim host=x"], "unexpected extra argument"),
        (["stats", "--dsm=postgresql://me:geheim@host/db"], "No such option"),
        (["sql", "--since", "x"], "--since"),
        (["sweep"], "without a limit everything is kept"),
        (["sweep", "--max-idle", "90"], "--max-idle is a number with s, min, h, d or w"),
        (["sweep", "--keep-last", "1", "--json"], "pass --yes or --dry-run"),
        (["erase"], "pass either threads or --filter"),
        (["erase", "liam", "--filter", "a=b"], "pass either threads or --filter"),
        (["erase", "liam", "--json"], "pass --yes or --dry-run"),
        (["embedded", "--port", "0"], "--port"),
    ],
)
def test_misuse(ready_database: str, run_on: Run, arguments: list[str], said: str):
    done = run_on(ready_database, *arguments)
    assert (done.code, done.out) == (2, "")
    assert is_one_line(done.err)
    assert said.lower() in done.err.lower()
    assert "geheim" not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["threads", "--filter", "step=1"], "filter has 'step'"),
        (["threads", "--table-name", ""], "table_name must be"),
        (["show", "x" * 2000], "thread_id has 2000 bytes"),
        (["copy", "nobody", "kim"], "there is no thread 'nobody'"),
        (["sweep", "--max-idle", "0d", "--yes"], "removes every thread"),
        (["erase", "--filter", "user_id=null", "--yes"], "filter has None for 'user_id'"),
    ],
)
def test_what_the_saver_refuses(ready_database: str, run_on: Run, arguments: list[str], said: str):
    done = run_on(ready_database, *arguments)
    assert (done.code, done.out) == (1, "")
    assert is_one_line(done.err)
    assert said in done.err


def test_bug_is_told_in_one_line(ready_database: str, run_on: Run, monkeypatch: pytest.MonkeyPatch):
    def broken(_data: object) -> str:
        raise RuntimeError("postgresql://me:geheim@host is broken")

    monkeypatch.setattr(output, "dumps", broken)
    done = run_on(ready_database, "stats", "--json")
    assert (done.code, done.err) == (
        1,
        "langgraph-pg-snapshot: RuntimeError: postgresql://me:***@host is broken\n",
    )


def test_every_command_has_the_common_options():
    for command in ("setup", "sql", *ON_A_DATABASE):
        assert options_of(command)[-5:] == [
            *("--dsn", "--table-name", "--schema", "--tenant", "--json")
        ]


def test_help_is_what_a_call_without_arguments_gets(run_on: Run):
    done = run_on(None)
    assert done.code == 0
    assert "Usage: langgraph-pg-snapshot" in done.out or "Usage:" in done.out
    assert all(command in done.out for command in ON_A_DATABASE)


def test_control_characters_of_threads_do_not_reach_the_terminal(ready_database: str, run_on: Run):
    from langgraph_pg_snapshot import PostgresSnapshotSaver

    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("evil\x1b[2J", {"title": "\x1b]0;owned\x07", "[red]markup": "[bold]x"})
    for command in (["threads"], ["show", "evil\x1b[2J"], ["history", "evil\x1b[2J"], ["stats"]):
        done = run_on(ready_database, *command)
        assert done.code == 0
        assert "\x1b" not in done.out
        assert "evil\\x1b[2J" in done.out
    shown = run_on(ready_database, "show", "evil\x1b[2J").out
    assert "title: \\x1b]0;owned\\x07" in shown
    assert "[red]markup: [bold]x" in shown

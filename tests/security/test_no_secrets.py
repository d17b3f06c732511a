"""No password, and no value of the state, in what errors and logs say; in no cause either."""

from __future__ import annotations

import logging

import psycopg
import pytest

from helpers import SERDES, Chain, Driven, checkpoint_of, config_of, event_loop
from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotError
from langgraph_pg_snapshot.transfer import OfficialTables, PlainTable, import_threads

SECRET = "s3cr3tT0ken"
PASSWORD = "p4ssW0rd%2F!"
DSNS = [
    f"postgresql://user:{PASSWORD}@127.0.0.1:1/db",
    f"postgresql://user:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/db?target_session_attrs=read-write",
    f"postgresql://user@127.0.0.1:1/db?password={PASSWORD}&connect_timeout=1",
    f"postgres://user:{PASSWORD}@[::1]:1/db?sslmode=require",
    f"host=127.0.0.1 port=1 user=user password='{PASSWORD}'",
    f"host=127.0.0.1,127.0.0.1 port=1,2 password={PASSWORD} dbname=db",
    # What can't be parsed, or would be taken apart otherwise than it was meant.
    f"postgresql://user:{PASSWORD}@host@127.0.0.1:1/db",
    f"postgresql://user:{PASSWORD}/x@127.0.0.1:1/db",
    f"postgresql://user:{PASSWORD}@127.0.0.1:port/db",
    f"postgresql://user:{PASSWORD}@127.0.0.1:1/db?nosuch={PASSWORD}",
    f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1/db",
    f"mysql://user:{PASSWORD}@127.0.0.1/db",
    f"host=127.0.0.1 password={PASSWORD} oops",
    f"host=127.0.0.1 password='{PASSWORD}",
    f"host=127.0.0.1 pasword={PASSWORD}",
    f"{PASSWORD}",
    f"postgresql://user:{PASSWORD}\x00@127.0.0.1/db",
    f"postgresql://user:{PASSWORD}\ud800@127.0.0.1/db",
]


def everything_said(error, caplog):
    """What an error and its causes say, in each way, and what was logged."""
    said = [record.getMessage() for record in caplog.records]
    said += [str(record.__dict__) for record in caplog.records]
    while error is not None:
        said += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


@pytest.mark.parametrize("dsn", DSNS, ids=range(len(DSNS)))
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_passwords(caplog, dsn, colour):
    caplog.set_level(logging.DEBUG)

    def use(loop):
        saver = PostgresSnapshotSaver.from_conn_string(dsn, min_size=0, timeout=0.2, deadline=5)
        assert PASSWORD not in repr(saver)
        Driven(saver, loop).load_state("t")

    with event_loop() as loop, pytest.raises(SnapshotError) as caught:
        use(loop if colour == "async" else None)
    said = everything_said(caught.value, caplog)
    assert PASSWORD not in said
    assert PASSWORD.replace("%2F", "/") not in said


@pytest.mark.parametrize("dsn", DSNS, ids=range(len(DSNS)))
@pytest.mark.parametrize("kind", [OfficialTables, PlainTable])
def test_passwords_of_sources(caplog, dsn, kind):
    caplog.set_level(logging.DEBUG)
    saver = PostgresSnapshotSaver("host=127.0.0.1 port=1", min_size=0, timeout=0.2)

    def use():
        source = kind(dsn)
        assert PASSWORD not in repr(source)
        import_threads(saver, source)

    with pytest.raises(SnapshotError) as caught:
        use()
    said = everything_said(caught.value, caplog)
    assert PASSWORD not in said
    assert PASSWORD.replace("%2F", "/") not in said


def test_password_among_the_arguments(caplog):
    caplog.set_level(logging.DEBUG)
    given = {"password": PASSWORD, "nosuch": 1}
    with PostgresSnapshotSaver("host=127.0.0.1", kwargs=given, min_size=0, timeout=0.2) as saver:
        with pytest.raises(SnapshotError) as caught:
            saver.load_state("t")
        assert PASSWORD not in everything_said(caught.value, caplog) + repr(saver)


def secret_state():
    return {"messages": [{"token": SECRET, "text": "x" * 300}] * 9, "short": SECRET}


BAD = {
    "put": lambda s: Chain(s, "t").put({"a": [{"token": SECRET, "bad": len}, SECRET]}),
    "put_writes": lambda s: s.put_writes(
        config_of("t", "c"), [("a", SECRET), ("b", {"token": SECRET, "bad": len})], "task"
    ),
    "save_state": lambda s: s.save_state("t", {"a": SECRET, "b": {"token": SECRET, "bad": len}}),
    "header": lambda s: s.put(
        config_of("t"), {**checkpoint_of({}, {}), "versions_seen": {SECRET: len}}, {}, {}
    ),
    "list": lambda s: list(s.list(None, filter={"a": {"token": SECRET, "bad": object()}})),
    "erase": lambda s: s.erase(filter={"a": [SECRET, object()]}),
    "limit": lambda s: s.list_threads(limit={"a": SECRET}),
    "strategy": lambda s: s.prune(["t"], strategy=[SECRET]),
    "state": lambda s: s.save_state("t", [SECRET]),
}


@pytest.mark.parametrize("serde", SERDES)
@pytest.mark.parametrize("call", BAD)
def test_values_that_are_refused(canary, caplog, call, serde):
    caplog.set_level(logging.DEBUG)
    with PostgresSnapshotSaver(canary, serde=SERDES[serde](), table_name="secret") as saver:
        with pytest.raises(SnapshotError) as caught:
            BAD[call](saver)
        assert SECRET not in everything_said(caught.value, caplog).replace(f"['{SECRET}']", "")


# PostgreSQL's DETAIL quotes the row that a table refuses, with all of its values.
REFUSALS = [
    "ALTER TABLE agent_checkpoints_items ADD CHECK (length(item::text) < 9) NOT VALID",
    "ALTER TABLE agent_checkpoints_history ADD CHECK (channel_values = '{}') NOT VALID",
    "ALTER TABLE agent_checkpoints_writes ADD CHECK (value = '1') NOT VALID",
    "ALTER TABLE agent_checkpoints_metadata ADD CHECK (metadata = '{}') NOT VALID",
    "CREATE UNIQUE INDEX ON agent_checkpoints_items ((item ->> 'token')) WHERE thread_id = 't'",
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=range(len(REFUSALS)))
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_values_that_the_server_refuses(ready_database, caplog, refusal, colour):
    caplog.set_level(logging.DEBUG)
    with psycopg.connect(ready_database, autocommit=True) as conn:
        columns = conn.execute(
            "SELECT count(*) FROM information_schema.columns"
            " WHERE table_name = 'agent_checkpoints_metadata' AND column_name = 'metadata'"
        ).fetchone()[0]
        conn.execute(refusal if columns else refusal.replace("metadata = '{}'", "thread_id = ''"))
    with event_loop() as loop:
        saver = PostgresSnapshotSaver(ready_database)
        driven = Driven(saver, loop if colour == "async" else None)

        def store():
            head = Chain(driven, "t").put(secret_state(), metadata={"token": SECRET})
            driven.put_writes(head, [("a", {"token": SECRET})], "task")

        with pytest.raises(SnapshotError) as caught:
            store()
        assert isinstance(caught.value.__cause__, psycopg.Error)
        assert SECRET not in everything_said(caught.value, caplog)
        driven.call(saver, "close")


def test_values_that_can_not_be_loaded(canary, caplog):
    caplog.set_level(logging.DEBUG)
    with PostgresSnapshotSaver(canary) as saver:
        Chain(saver, "t").put(secret_state())
        with psycopg.connect(canary, autocommit=True) as conn:
            conn.execute(
                "UPDATE agent_checkpoints_items SET digest = NULL, item ="
                " jsonb_build_object('$type', 'gone:Class', 'token', item -> 'token')"
                " WHERE thread_id = 't'"
            )
        for read in (
            lambda: saver.load_state("t"),
            lambda: list(saver.list(config_of("t"))),
            lambda: saver.get_channel("t", "messages"),
        ):
            with pytest.raises(SnapshotError) as caught:
                read()
            assert SECRET not in everything_said(caught.value, caplog)
        assert SECRET not in str(saver.check("t"))

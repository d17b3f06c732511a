"""PgBouncer in transaction mode between the saver and the server: each transaction may run in
another server process, so nothing may rely on what one before it left there."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import pgbouncer
import psycopg
import pytest
from clusters import primary
from langgraph.checkpoint.conformance import checkpointer_test, validate
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from graphs import agent_turn_graph, approve, human, plain, steps_graph, tool_agent
from helpers import AWKWARD, Chain, Driven, config_of, event_loop, unreferenced_items
from langgraph_pg_snapshot import LeaseLostError, PostgresSnapshotSaver, ThreadBusyError
from langgraph_pg_snapshot._drivers.pooled import is_pooled

pytestmark = pytest.mark.timeout(120)

# Few server processes and many clients: each meets what others left behind.
PROCESSES = 3


@pytest.fixture(scope="module")
def bouncer(server):
    """The host of a PgBouncer."""
    with (
        pgbouncer.configured(server.dsn, default_pool_size=PROCESSES) as home,
        pgbouncer.running(home),
    ):
        yield str(home)


@pytest.fixture
def pooled(bouncer, ready_database):
    """The conninfo of a fresh database with our tables, by way of PgBouncer."""
    return make_conninfo(ready_database, host=bouncer)


@pytest.mark.parametrize(
    "through",
    [
        "conninfo",
        "pooler",
        "no-autocommit",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in AWKWARD
            if each != "no-autocommit"
        ),
    ],
)
async def test_conformance(server, bouncer, through):
    @checkpointer_test(name=through)
    async def factory():
        with server.clone(server.template("empty")) as direct:
            dsn = make_conninfo(direct, host=bouncer)
            if through in AWKWARD:
                async with AsyncConnectionPool(dsn, kwargs=AWKWARD[through]) as pool:
                    yield PostgresSnapshotSaver(async_pool=pool)
            else:
                pooler = True if through == "pooler" else None
                async with PostgresSnapshotSaver(dsn, pooler=pooler) as saver:
                    yield saver

    report = await validate(factory)
    assert report.results
    for result in report.results.values():
        assert result.detected
        assert result.tests_passed > 0
        assert not result.failures
        assert not result.tests_skipped


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_graphs_through_a_pooler(pooled, ready_database, colour):
    def converse(dsn, thread_id):
        with event_loop() as loop, PostgresSnapshotSaver(dsn, min_size=1) as saver:
            calls = Driven(saver, loop if colour == "async" else None)
            config = config_of(thread_id)
            said = [
                calls.call(tool_agent(saver), "invoke", {"messages": [human(f"{n}")]}, config)
                for n in range(4)
            ]
            turn = config_of(f"{thread_id}-asked")
            said.append(calls.call(agent_turn_graph(saver), "invoke", {"log": ["in"]}, turn))
            said.append(calls.call(agent_turn_graph(saver), "invoke", approve(), turn))
            return plain(said)

    expected = converse(ready_database, "direct")
    with ThreadPoolExecutor(6) as threads:
        names = [f"pooled-{n}" for n in range(6)]
        assert list(threads.map(lambda name: converse(pooled, name), names)) == [expected] * 6
    assert unreferenced_items(ready_database) == []


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_turns_through_a_pooler(pooled, ready_database, colour):
    """One at a time, heartbeats included; and a block that lost its thread is refused."""

    def turn(number):
        with event_loop() as loop, PostgresSnapshotSaver(pooled, min_size=1) as saver:
            graph = steps_graph(saver)
            given = {"log": [f"input {number}"]}, config_of("thread")
            if colour == "async":
                loop.run_until_complete(async_turn(saver, graph, given))
            else:
                with saver.exclusive("thread", ttl=1):
                    graph.invoke(*given)

    async def async_turn(saver, graph, given):
        async with saver.exclusive("thread", ttl=1):
            await graph.ainvoke(*given)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(turn, range(8)))
    with (
        PostgresSnapshotSaver(pooled, min_size=1) as saver,
        PostgresSnapshotSaver(ready_database) as direct,
    ):
        log = direct.load_state("thread")["log"]
        assert sorted(each for each in log if "input" in each) == [f"input {n}" for n in range(8)]
        with saver.exclusive("thread"), pytest.raises(ThreadBusyError):
            direct.exclusive("thread", timeout=0).__enter__()
        with pytest.raises(LeaseLostError):
            lose_the_thread(saver, ready_database)
        assert direct.load_state("thread")["log"] == log


def lose_the_thread(saver, dsn):
    with saver.exclusive("thread"):
        with psycopg.connect(dsn) as conn:
            conn.execute("UPDATE agent_checkpoints_leases SET token = token + 1")
        saver.save_state("thread", {"a": 1})


def open_savers(given, dsn, count):
    """Savers of two table names in turn, each a client of its own."""
    for number in range(count):
        options = {"table_name": f"table_{number % 2}"}
        if given is None:
            yield PostgresSnapshotSaver(dsn, min_size=1, max_size=1, **options)
        else:
            pool = ConnectionPool(dsn, min_size=1, max_size=1, kwargs=given, open=True)
            yield PostgresSnapshotSaver(pool=pool, **options)


@pytest.mark.parametrize(
    "given", [None, {}, *AWKWARD.values()], ids=["own-pools", "pool", *AWKWARD]
)
def test_no_statement_is_run_for_another(pooled, ready_database, given):
    """Clients of two tables name their statements alike: what one acknowledges is in its table."""
    savers = list(open_savers(given, pooled, 12))

    def work(number):
        saver = savers[number]
        chain = Chain(saver, f"thread-{number}")
        for turn in range(8):
            config = chain.put({"log": [f"{number} {n} " * 20 for n in range(turn + 1)]})
            saver.put_writes(config, [("w", f"{number}-{turn}")], "task")
        return chain

    with ThreadPoolExecutor(len(savers)) as threads:
        for saver in savers[:2]:
            saver.setup()
        chains = list(threads.map(work, range(len(savers))))
    for parity in (0, 1):
        with PostgresSnapshotSaver(ready_database, table_name=f"table_{parity}") as direct:
            found = {}
            for each in direct.list(None):
                configurable = each.config["configurable"]
                [(_, _, written)] = each.pending_writes
                state = each.checkpoint["channel_values"]["log"], written
                found[configurable["thread_id"], configurable["checkpoint_id"]] = state
            expected = {
                (f"thread-{number}", checkpoint_id): (
                    values["log"],
                    f"{number}-{len(values['log']) - 1}",
                )
                for number, chain in enumerate(chains)
                if number % 2 == parity
                for checkpoint_id, (values, _) in chain.states.items()
            }
            assert found == expected
    for saver in savers:
        saver.close()


@pytest.mark.parametrize("is_ours", [True, False], ids=["own-pool", "given-pool"])
def test_pooler_is_found_out(pooled, ready_database, is_ours):
    for dsn, expected in ((pooled, True), (ready_database, False)):
        with ConnectionPool(dsn, min_size=1, max_size=1, open=not is_ours) as pool:
            saver = (
                PostgresSnapshotSaver(dsn, max_size=2) if is_ours else PostgresSnapshotSaver(pool)
            )
            with saver:
                saver.load_state("thread")
                used = saver._backend.runner().connections
                pool_used = used._opened() if is_ours else pool
                assert expected in {is_pooled(conn) for conn in pool_used._pool}


def test_pooler_that_is_restarted(server, ready_database):
    with pgbouncer.configured(server.dsn) as home:
        dsn = make_conninfo(ready_database, host=str(home))
        with PostgresSnapshotSaver(dsn, min_size=3) as saver:
            for number in range(3):
                with pgbouncer.running(home):
                    saver.save_state("thread", {"n": number})
                    assert saver.load_state("thread") == {"n": number}


async def test_async_pooler_that_is_restarted(server, ready_database):
    with pgbouncer.configured(server.dsn) as home:
        dsn = make_conninfo(ready_database, host=str(home))
        async with PostgresSnapshotSaver(dsn, min_size=3) as saver:
            for number in range(3):
                with pgbouncer.running(home):
                    await saver.asave_state("thread", {"n": number})
                    assert await saver.aload_state("thread") == {"n": number}


# What a server process would remember of a client, and would show to the next one.
SESSION_BOUND = re.compile(
    r"(?:^|;)\s*(?:set\s+(?!transaction isolation level)|reset\b|declare\b|prepare\b|discard\b)"
    r"|\bset_config\b|\bpg_(?:try_)?advisory_lock|\b(?:un)?listen\b|\bnotify\b|\bpg_notify\b"
    r"|\bcreate\s+(?:local\s+|global\s+)?temp|\bcurrval\b|\blastval\b",
    re.IGNORECASE,
)
STATEMENT = re.compile(r"LOG:  (?:statement|execute (?P<name>\S+)): (?P<text>.*)")


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = x",
        "SELECT 1; SET LOCAL a.b TO 1",
        "SELECT pg_advisory_lock(1)",
        "LISTEN x",
        "SELECT set_config('a', 'b', false)",
        "CREATE TEMP TABLE t ()",
        "PREPARE p AS SELECT 1",
    ],
)
def test_what_is_bound_to_a_session_would_be_seen(text):
    assert SESSION_BOUND.search(text)


async def test_nothing_that_is_issued_is_bound_to_a_session():
    """The server's own log of everything that LangGraph's suite, the setup and the thread-keyed
    methods have it do."""
    with primary(log_statement="all") as server:

        @checkpointer_test(name="logged")
        async def factory():
            async with PostgresSnapshotSaver(server.dsn, pooler=True, schema="ours") as saver:
                yield saver
                await saver.asave_state("thread", {"a": 1})
                await saver.alist_threads()
                async with saver.exclusive("thread", ttl=0.1):
                    await saver.asave_state("thread", {"a": 2})
                    await asyncio.sleep(0.1)  # a heartbeat is among what is logged
                await saver.adelete_thread("thread")

        report = await validate(factory)
        assert report.results
        with PostgresSnapshotSaver(server.dsn, pooler=True, schema="other") as saver:
            saver.save_state("thread", {"a": 1})
        log = (server.home / "log").read_text()
    # A statement of several lines goes on in lines that begin with a tab.
    statements = STATEMENT.findall(log.replace("\n\t", " "))
    texts = {text for _, text in statements}
    assert len(texts) > 30
    assert any("advisory_xact_lock" in text for text in texts)
    assert [text for text in texts if SESSION_BOUND.search(text)] == []
    assert {name for name, _ in statements} == {"", "<unnamed>"}

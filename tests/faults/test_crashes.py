"""Applications that are killed, and servers that crash, at random bytes of what they say to each
other: every thread loads, what was acknowledged is there, nothing is half there, and the run goes
on to the end that it would have had.
"""

from __future__ import annotations

import random
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import psycopg
import pytest
from clusters import primary
from conversations import KINDS, MODES
from crashing import Applications, Job, applications, driven, go_on, key_of
from langgraph.checkpoint.memory import InMemorySaver
from proxy import StrikingProxy, Traffic, proxy_to

from graphs import steps_graph
from helpers import Driven, config_of, id_of
from invariants import violations
from langgraph_pg_snapshot import PostgresSnapshotSaver, RetentionPolicy

COLOURS = ("sync", "async")
# Of undisturbed conversations, by kind and durability: how many bytes had passed after each
# message.
PASSED: dict[tuple[str, str], list[int]] = {}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def started():
    with applications() as made:
        yield made


@cache
def expected(kind):
    """How a conversation ends that nobody disturbs, on LangGraph's own saver in memory."""
    return go_on(Driven(InMemorySaver(), None), Job("", "undisturbed", kind, "sync", "sync"))


@dataclass
class Runs:
    """Runs conversations on a server, each in a process of its own and through a proxy."""

    dsn: str
    started: Applications
    random: random.Random

    def job(self, number, durability):
        kind, colour = self.random.choice([*KINDS]), self.random.choice(COLOURS)
        return Job(self.dsn, f"{durability}-{number}", kind, colour, durability)

    def moment(self, job):
        """A byte of what such a run says and hears: where a message begins, ends, or within it."""
        sort = (job.kind, job.durability)
        if sort not in PASSED:
            traffic = Traffic()
            [told] = self.run([replace(job, thread_id="-".join(sort))], traffic)
            assert told[-1] == ("end", expected(job.kind)), told[-1][1]
            PASSED[sort] = traffic.passed
        passed = PASSED[sort]
        place = self.random.randrange(1, len(passed))
        first, last = passed[place - 1 : place + 1]
        return self.random.choice([first, last, self.random.randint(first, last)])

    def run(self, jobs, traffic):
        """What was acknowledged to each of some applications until it ended, or was killed."""
        with proxy_to(self.dsn, StrikingProxy) as proxy:
            proxy.traffic = traffic
            running = [self.started.start(replace(job, dsn=proxy.dsn)) for job in jobs]
            traffic.running.set_result(running)
            told = [each.acknowledged() for each in running]
            if traffic.is_struck:  # who was killed may have ended before the server is back
                assert traffic.is_over.wait(60)
            return told

    def check(self, job, told):
        """Whoever comes next finds everything that was acknowledged, and takes it to its end."""
        settle(self.dsn)
        assert "error" not in {what for what, *_ in told}, told[-1]
        with driven(job.colour, self.dsn, PostgresSnapshotSaver) as calls:
            assert violations(self.dsn, calls, [job.thread_id], early=True) == {}
            turns = max((rest[0] for what, *rest in told if what == "turns"), default=0)
            assert KINDS[job.kind].turns(is_loadable(calls, job)) >= turns
            is_acknowledged(self.dsn, calls, job, told)
            assert go_on(calls, job) == expected(job.kind)
            assert violations(self.dsn, calls, [job.thread_id], early=True) == {}


def settle(dsn):
    """Wait until the server has noticed that its clients are gone."""
    give_up = time.monotonic() + 60
    with psycopg.connect(dsn, autocommit=True) as conn:
        while conn.execute(
            "SELECT FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'langgraph-pg-snapshot'"
        ).fetchall():
            assert time.monotonic() < give_up
            time.sleep(0.002)


def is_loadable(calls, job):
    """Load everything of a thread; returns its state."""
    graph, config = KINDS[job.kind].build(calls.saver), config_of(job.thread_id)
    everything = calls.list({"configurable": {"thread_id": job.thread_id}})
    assert [calls.get_tuple(each.config) for each in everything] == everything
    roots = [id_ for ns, id_ in map(key_of, (each.config for each in everything)) if ns == ""]
    history = calls.collect(graph, "get_state_history", config)
    assert [id_of(each.config) for each in history] == roots
    for each in history[:1]:
        assert calls.call(graph, "get_state", each.config).values == each.values
    return calls.call(graph, "get_state", config, subgraphs=True).values


def is_acknowledged(dsn, calls, job, told):
    stored = {
        key_of(each.config): each
        for each in calls.list({"configurable": {"thread_id": job.thread_id}})
    }
    with psycopg.connect(dsn) as conn:
        writes = conn.execute(
            "SELECT checkpoint_ns, checkpoint_id, task_id, array_agg(channel) "
            "FROM agent_checkpoints_writes WHERE thread_id = %s GROUP BY 1, 2, 3",
            [job.thread_id],
        ).fetchall()
    channels = {tuple(key): {*names} for *key, names in writes}
    values = {}
    for what, *rest in told:
        if what == "put":
            key, values[key] = rest  # who saves at exit may save it again
        elif what == "writes":
            key, task_id, names = rest
            assert {*names} <= channels[(*key, task_id)]
    for key, told_values in values.items():
        found = stored[key].checkpoint["channel_values"]
        assert {channel: found[channel] for channel in told_values} == told_values


def a_day_passes(dsn):
    """Then a sweep removes what runs stored early and never got to the other part of."""
    with psycopg.connect(dsn) as conn:
        for table in ("history", "items", "writes"):
            conn.execute(
                f"UPDATE agent_checkpoints_{table} SET created_at = now() - interval '2 days'"  # noqa: S608
            )
    with PostgresSnapshotSaver(dsn) as saver:
        assert saver.sweep(RetentionPolicy(keep_last=1)).skipped == 0
        assert violations(dsn, Driven(saver, None)) == {}


@contextmanager
def about(what):
    """Say which run it was that failed."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


def few_and_many(few, many):
    marks = [pytest.mark.slow, pytest.mark.timeout(3600)]
    return pytest.mark.parametrize("number", [few, pytest.param(many, marks=marks)])


@few_and_many(20, 300)
@pytest.mark.parametrize("durability", MODES)
def test_killed_applications(ready_database, started, durability, number):
    seed = random.randrange(2**32)
    runs = Runs(ready_database, started, random.Random(seed))
    kills, ends = 0, 0
    while kills < number:
        job = runs.job(kills + ends, durability)
        at = runs.moment(job)
        traffic = Traffic(at, lambda running: running[0].kill())
        with about(f"seed {seed}: {job} killed at byte {at}"):
            [told] = runs.run([job], traffic)
            runs.check(job, told)
        # No two runs say the same to the byte: one may have ended before.
        kills, ends = kills + traffic.is_struck, ends + (not traffic.is_struck)
    assert ends < 5 + number // 5
    a_day_passes(ready_database)


@few_and_many(4, 50)
def test_server_that_crashes(started, number):
    """Three runs at a time, one a mode. In every other crash they die with it, as on one machine;
    else they live on, and no call of theirs fails."""
    seed = random.randrange(2**32)
    with primary(fsync="on", max_connections="40") as server:
        with PostgresSnapshotSaver(server.dsn) as saver:
            saver.setup()
        runs = Runs(server.dsn, started, random.Random(seed))
        crashes, ends = 0, 0
        while crashes < number:
            jobs = [runs.job(crashes + ends, durability) for durability in MODES]
            at = sum(runs.moment(job) for job in jobs)
            all_die = crashes % 2 == 0

            def strike(running, all_die=all_die):
                server.stop(signal.SIGQUIT)
                for each in running if all_die else ():
                    each.kill()
                server.start()

            traffic = Traffic(at, strike)
            with about(f"seed {seed}: {jobs}, crash at byte {at}"):
                told = runs.run(jobs, traffic)
                for job, each in zip(jobs, told, strict=True):
                    runs.check(job, each)
                    assert all_die or each[-1] == ("end", expected(job.kind))
            crashes, ends = crashes + traffic.is_struck, ends + (not traffic.is_struck)
        assert ends < 5 + number // 5
        a_day_passes(server.dsn)


class DiesAtItsThirdPut(PostgresSnapshotSaver):
    puts = 0

    def put(self, config, checkpoint, metadata, new_versions):
        self.puts += 1
        if self.puts == 3:
            raise KeyboardInterrupt
        return super().put(config, checkpoint, metadata, new_versions)


def test_what_is_done_but_for_its_checkpoint(ready_database):
    """Whoever goes on looks at the tasks: `next` is as empty as at the end of a run."""
    config = config_of("thread")
    with DiesAtItsThirdPut(ready_database) as saver, pytest.raises(KeyboardInterrupt):
        steps_graph(saver).invoke({"log": ["in"]}, config, durability="sync")
    with PostgresSnapshotSaver(ready_database) as saver:
        graph = steps_graph(saver)
        found = graph.get_state(config)
        assert (found.next, [task.name for task in found.tasks]) == ((), ["a"])
        assert graph.invoke(None, config)["log"] == ["in", "a1", "b2", "c3"]
        assert graph.get_state(config).tasks == ()
        ended = graph.get_state(config)
        graph.invoke(None, config)
        assert graph.get_state(config) == ended

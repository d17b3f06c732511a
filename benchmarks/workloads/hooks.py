"""A saver's methods by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg_pool import ConnectionPool

from benchmarks import targets
from benchmarks.contenders import (
    FLOOR,
    NONE,
    OFFICIAL,
    OFFICIAL_KWARGS,
    OURS,
    Contender,
    contenders,
)
from benchmarks.data import conversation, text
from benchmarks.floor import Floor, Put, floor, packed
from benchmarks.measure import Bench, Figure, Meter, Samples, Spread, Work
from benchmarks.workloads.turns import ask, chat_graph, chat_scene, kilobytes, recorded
from langgraph_pg_snapshot import PostgresSnapshotSaver

CONFIG: Any = {"configurable": {"thread_id": "thread", "checkpoint_ns": ""}}
TURNS_BEFORE_A_LIST = 18  # of 3 checkpoints each, so that there are 50


@dataclass(frozen=True)
class Thread:
    """A conversation that a graph has left in every saver, and on the floor."""

    dsn: str
    meter: Meter
    savers: Mapping[str, Contender]
    ground: Floor
    length: int

    @classmethod
    @contextmanager
    def of(cls, bench: Bench, length: int, colour: str, turns: int = 0) -> Iterator[Thread]:
        """A database with it: so many messages, and that many turns after them."""
        with (
            bench.database() as (dsn, meter),
            contenders(dsn, colour) as savers,
            floor(dsn) as ground,
        ):
            del savers[NONE]
            past = {"messages": conversation(length)}
            for each in savers.values():
                graph = chat_graph().compile(checkpointer=each.saver)
                each.call(graph, "update_state", CONFIG, past)
                for turn in range(turns):
                    each.call(graph, "invoke", ask(turn), CONFIG)
            filling, operations = recorded(chat_graph(), chat_scene(length), past, "sync")
            for each_turn in (filling, *[operations] * turns):
                ground.run(each_turn)
            meter.checkpoint()
            yield cls(dsn, meter, savers, ground, length + 2 * turns)

    def read_raw(self, checkpoints: int) -> Work:
        """The bytes of so many checkpoints, on the floor."""
        return lambda _turn: self.ground.read(checkpoints, self.length)


@contextmanager
def strangers(dsn: str) -> Iterator[Any]:
    """Makes savers that know no thread, as in a process that was just started; all on one pool."""
    with ConnectionPool(dsn, min_size=2, kwargs=OFFICIAL_KWARGS) as pool:
        yield (
            lambda name: (
                PostgresSaver(pool)
                if name == OFFICIAL
                else PostgresSnapshotSaver(pool=pool, auto_setup=False)
            )
        )


def _spreads(samples: Mapping[str, Samples]) -> dict[str, Spread]:
    return {name: Spread.of(each.ms) for name, each in samples.items()}


def get_tuple(bench: Bench) -> Iterator[Figure]:
    """The newest checkpoint; read by a saver that knows the thread, and by one that does not."""
    for colour in bench.scale.colours:
        for length in bench.scale.lengths:
            with Thread.of(bench, length, colour) as thread:
                works = {n: _get(each) for n, each in thread.savers.items()}
                works[FLOOR] = thread.read_raw(1)
                of = _spreads(bench.interleave(thread.meter, works))
            target = targets.GET_TUPLE.get(length)
            case = f"{length} messages, {colour}"
            yield Figure("read", case, "get_tuple", "ms", of, target=target)
    for length in bench.scale.lengths:
        with Thread.of(bench, length, "sync") as thread, strangers(thread.dsn) as new:
            works = {name: partial(_get_anew, new, name) for name in thread.savers}
            of = _spreads(bench.interleave(thread.meter, works))
        case = f"{length} messages, another saver each time"
        yield Figure("read", case, "get_tuple", "ms", of)


def _get(each: Contender) -> Work:
    return lambda _turn: each.call(each.saver, "get_tuple", CONFIG)


def _get_anew(new: Any, name: str, _turn: int) -> object:
    return new(name).get_tuple(CONFIG)


def lists(bench: Bench) -> Iterator[Figure]:
    """Checkpoints of a long thread: as ``list`` and as ``get_state_history`` has them."""
    long = bench.scale.long
    for colour in bench.scale.colours:
        with Thread.of(bench, long, colour, TURNS_BEFORE_A_LIST) as thread:
            for limit, method in ((20, "list"), (50, "list"), (20, "get_state_history")):
                works = {n: _list(each, method, limit) for n, each in thread.savers.items()}
                works[FLOOR] = thread.read_raw(limit)
                of = _spreads(bench.interleave(thread.meter, works, bench.scale.few, warm=1))
                target = targets.LIST_20.get(long) if limit == 20 else None
                case = f"{long} messages, {colour}"
                yield Figure("list", case, f"{method}, {limit}", "ms", of, target=target)


def _list(each: Contender, method: str, limit: int) -> Work:
    asked = each.saver if method == "list" else chat_graph().compile(checkpointer=each.saver)
    return lambda _turn: each.collect(asked, method, CONFIG, limit=limit)


def put(bench: Bench) -> Iterator[Figure]:
    """One message more; put by the saver that put the rest, and by one that does not know it."""
    for who in ("the same saver", "another saver each time"):
        for length in bench.scale.lengths:
            with Thread.of(bench, length, "sync") as thread, strangers(thread.dsn) as new:
                works: dict[str, Work] = {}
                for name, each in thread.savers.items():
                    talk = Talk(each.saver)
                    by = (lambda talk=talk: talk.saver) if who == "the same saver" else None
                    works[name] = partial(talk.put, by or partial(new, name))
                body = Put(packed(talk.header), [packed(AIMessage(text(1), id="m"))])
                works[FLOOR] = partial(_put_raw, thread.ground, body)
                samples = bench.interleave(thread.meter, works)
            case = f"{length} messages, {who}"
            yield Figure("put", case, "put", "ms", _spreads(samples))
            wal = {name: kilobytes(each.wal) for name, each in samples.items()}
            yield Figure("put", case, "WAL a put", "kB", wal)


def _put_raw(ground: Floor, body: Put, _turn: int) -> None:
    ground.put(body)


class Talk:
    """A conversation that is put by hand, message by message."""

    def __init__(self, saver: Any) -> None:
        self.saver = saver
        found = saver.get_tuple(CONFIG)
        self._config, self._checkpoint = found.config, found.checkpoint
        self._metadata = {"source": "loop", "step": 1, "parents": {}}

    @property
    def header(self) -> dict[str, Any]:
        """What a checkpoint is besides its values."""
        return {**self._checkpoint, "channel_values": {}, "metadata": self._metadata}

    def put(self, saver: Any, turn: int) -> None:
        before = self._checkpoint
        values, versions = before["channel_values"], before["channel_versions"]
        version = self.saver.get_next_version(versions["messages"], None)
        message = AIMessage(text(turn), id=f"new-{turn}")
        self._checkpoint = {
            **before,
            "id": str(uuid6(clock_seq=0)),
            "channel_values": {**values, "messages": [*values["messages"], message]},
            "channel_versions": {**versions, "messages": version},
        }
        self._config = saver().put(
            self._config, self._checkpoint, self._metadata, {"messages": version}
        )


# What tasks write: an answer and where to go, as most do; one word; a long document.
WRITES: Mapping[str, list[tuple[str, Any]]] = {
    "a message and a branch": [
        ("messages", [AIMessage(text(1), id="m")]),
        ("branch:to:tools", None),
    ],
    "one small value": [("answer", "yes")],
    "20 kB": [("messages", [AIMessage(text(1, 3_000), id="m")])],
}


def put_writes(bench: Bench) -> Iterator[Figure]:
    """What a task wrote."""
    for colour in bench.scale.colours:
        with Thread.of(bench, min(bench.scale.lengths), colour) as thread:
            for case, writes in WRITES.items():
                works = {n: _put_writes(each, case) for n, each in thread.savers.items()}
                works[FLOOR] = _put_writes_raw(thread.ground, [packed(v) for _, v in writes])
                # short, and so noisier than the rest
                of = _spreads(bench.interleave(thread.meter, works, 4 * bench.scale.rounds))
                named = f"{case}, {colour}"
                yield Figure("writes", named, "put_writes", "ms", of, target=targets.PUT_WRITES)
                yield Figure(
                    "writes",
                    named,
                    "put_writes",
                    "ms",
                    {},
                    ratio=of[OURS].median / of[FLOOR].median,
                    between=f"{OURS} / {FLOOR}",
                    target=targets.PUT_WRITES_TO_FLOOR,
                )


def _put_writes(each: Contender, case: str) -> Work:
    config = each.call(each.saver, "get_tuple", CONFIG).config
    return lambda turn: each.call(each.saver, "put_writes", config, WRITES[case], f"{case} {turn}")


def _put_writes_raw(ground: Floor, values: list[str]) -> Work:
    return lambda _turn: ground.put_writes(values)

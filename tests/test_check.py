"""`check` finds stored values that can't be loaded, and says why."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from graphs import LONG, add_all
from langgraph_pg_snapshot import (
    PostgresSnapshotSaver,
    SnapshotError,
    SnapshotSerializer,
    TypeNotAllowedError,
)


@dataclass
class Kept:
    text: str


def lose(database: str, name: str) -> None:
    """Have a class go by a name that no class has any more, as after a rename."""
    with psycopg.connect(database, autocommit=True) as conn:
        for table, column in (
            ("items", "item"),
            ("writes", "value"),
            ("history", "channel_values"),
            ("history", "header"),
            ("history", "metadata"),
        ):
            conn.execute(
                f"UPDATE agent_checkpoints_{table} SET {column} ="  # noqa: S608 -- our own names
                f" replace({column}::text, %s, %s)::jsonb WHERE {column} IS NOT NULL",
                [f'{name}"', f'{name}Gone"'],
            )


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_what_cannot_be_loaded_is_listed(ready_database, colour):
    saver = PostgresSnapshotSaver(ready_database)
    saver.save_state("fine", {"a": Kept("x")})
    long = [Kept("y" * 100) for _ in range(20)]
    first = saver.save_state("lost", {"small": Kept("x"), "plain": 1, "long": long})
    config = {"configurable": {"thread_id": "lost", "checkpoint_id": first}}
    saver.put_writes(config, [("w", Kept("z")), ("ok", 1)], "task")
    assert saver.check("lost") == []

    lose(ready_database, "Kept")
    saver.save_state("fine", {"a": 1})
    found = saver.check("lost") if colour == "sync" else await saver.acheck("lost")

    assert {(one.kind, one.channel) for one in found} == {
        ("value", "small"),
        ("value", "long"),
        ("write", "w"),
    }
    assert {one.checkpoint_id for one in found} == {first}
    assert all("KeptGone" in one.reason for one in found)
    assert saver.check("no such thread") == []
    with pytest.raises(TypeNotAllowedError, match=r"channel '(small|long)'.*KeptGone"):
        saver.load_state("lost")
    await saver.aclose()


CONFIG: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


def kept(number: int) -> Kept:
    return Kept(f"{number} {LONG}")


class State(TypedDict, total=False):
    results: Annotated[list[Kept], operator.add]
    notes: Annotated[list[Kept], DeltaChannel(add_all, snapshot_frequency=2)]
    asked: Kept


def play(saver: PostgresSnapshotSaver) -> None:
    """Sends, a DeltaChannel and a subgraph that waits for an answer, all with the class."""
    inner = StateGraph(State)
    inner.add_node("before", lambda _: {"results": [kept(8)]})
    inner.add_node("ask", lambda _: {"asked": interrupt(kept(9))})
    inner.add_edge(START, "before")
    inner.add_edge("before", "ask")
    outer = StateGraph(State)
    outer.add_node("plan", lambda _: {"notes": [kept(1)]})
    outer.add_node("work", lambda arg: {"results": [arg["kept"]], "notes": [kept(2)]})
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "plan")
    sends = [Send("work", {"kept": kept(n)}) for n in range(2)]
    outer.add_conditional_edges("plan", lambda _: sends, ["work"])
    outer.add_edge("work", "inner")
    outer.compile(checkpointer=saver).invoke({"asked": kept(0)}, CONFIG, durability="sync")


def test_it_looks_into_sends_deltas_and_subgraphs(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        play(saver)
        assert saver.check("t") == []
        lose(ready_database, "Kept")
        found = saver.check("t")
        assert {(one.kind, one.channel) for one in found if not one.checkpoint_ns} == {
            ("value", "__start__"),
            ("value", "__pregel_tasks"),
            ("value", "asked"),
            ("value", "notes"),
            ("value", "results"),
            ("write", "__interrupt__"),
            ("write", "__pregel_tasks"),
            ("write", "asked"),
            ("write", "notes"),
            ("write", "results"),
        }
        inside = {(one.kind, one.channel) for one in found if one.checkpoint_ns}
        assert {("value", "results"), ("write", "results"), ("write", "__interrupt__")} <= inside
        assert {one.checkpoint_ns.partition(":")[0] for one in found} == {"", "inner"}
        assert all("KeptGone" in one.reason for one in found)
    moved = SnapshotSerializer(upgrades={f"{__name__}:KeptGone": Kept})
    with PostgresSnapshotSaver(ready_database, serde=moved) as saver:
        assert saver.check("t") == []


def test_it_looks_into_metadata_and_header(ready_database):
    checkpoint: Any = {**empty_checkpoint(), "pending_sends": [Kept("x")]}
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.put(CONFIG, checkpoint, {"source": "input", "step": -1, "by": Kept("x")}, {})
        assert saver.check("t") == []
        lose(ready_database, "Kept")
        found = saver.check("t")
        assert {(one.kind, one.channel) for one in found} == {("header", ""), ("metadata", "by")}
        assert all("KeptGone" in one.reason for one in found)
        with pytest.raises(TypeNotAllowedError, match=r"thread 't'.*(header|metadata 'by').*KeptG"):
            saver.get_tuple(CONFIG)
    strict = SnapshotSerializer(strict=True, upgrades={f"{__name__}:KeptGone": Kept})
    with PostgresSnapshotSaver(ready_database, serde=strict) as saver:
        assert saver.check("t") == []


def test_strict_mode_says_what_to_add(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {"small": Kept("x"), "long": kept(1), "plain": 1})
    strict = SnapshotSerializer(strict=True)
    with PostgresSnapshotSaver(ready_database, serde=strict) as saver:
        found = saver.check("t")
        assert {one.channel for one in found} == {"small", "long"}
        assert all("add allowed_types=[Kept]" in one.reason for one in found)
        assert saver.with_allowlist([(__name__, "Kept")]).check("t") == []


DEEP = "(repeat('[', 1100) || repeat(']', 1100))::jsonb"
ITEMS = ("dict", "list", "long")
CHANNELS = {
    "no channels": ("'[]'", ""),
    "deep": (DEEP, ""),
    "no runs": ("""'{"a": {"$list": 5}}'""", "a"),
    "odd runs": ("""'{"a": {"$dict": [[1]]}}'""", "a"),
    "text runs": ("""'{"a": {"$list": [["1", 2]]}}'""", "a"),
    "endless run": ("""'{"a": {"$list": [[1, 1000000000000]]}}'""", "a"),
    "backward run": ("""'{"a": {"$list": [[2, 1]]}}'""", "a"),
    "no item": ("""'{"a": {"$item": "x"}}'""", "a"),
    "item not there": ("""'{"a": {"$item": 77}}'""", "a"),
    "no value": ("""'{"a": {"$type": "set"}}'""", "a"),
}
DAMAGE = {
    **{
        name: ("history", f"channel_values = {value}", {("value", channel)})
        for name, (value, channel) in CHANNELS.items()
    },
    "no header": ("history", "header = '5'", {("header", "")}),
    "empty header": ("history", "header = '{}'", {("header", "")}),
    "odd header": (
        "history",
        """header = '{"channel_versions": {"a": {"$type": "x"}}}'""",
        {("header", "")},
    ),
    "no metadata": ("history", "metadata = '[1]'", {("metadata", "")}),
    "odd metadata": ("history", """metadata = '{"k": {"$type": 5}}'""", {("metadata", "k")}),
    "no type": ("items", """item = '{"$type": 5}'""", {("value", name) for name in ITEMS}),
    "no entry": ("items", """item = '"ab"'""", {("value", "dict")}),
    "deep items": ("items", f"item = {DEEP}", {("value", name) for name in ITEMS}),
    "odd write": ("writes", """value = '{"$type": "set"}'""", {("write", "w")}),
    "deep write": ("writes", f"value = {DEEP}", {("write", "")}),
}


@pytest.mark.parametrize(("table", "update", "expected"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_listed(ready_database, table, update, expected):
    with PostgresSnapshotSaver(ready_database) as saver:
        entries = {f"k{n}": "v" * 100 for n in range(3)}
        state = {"dict": entries, "list": [*entries.values()], "long": "x" * 1000, "small": 1}
        config = {"configurable": {**CONFIG["configurable"]}}
        config["configurable"]["checkpoint_id"] = saver.save_state("t", state)
        saver.put_writes(config, [("w", 1)], "task")
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute(f"UPDATE agent_checkpoints_{table} SET {update}")  # noqa: S608 -- our own
        found = saver.check("t")
        assert {(one.kind, one.channel) for one in found} == expected
        assert all(one.reason for one in found)
        with pytest.raises(SnapshotError, match="thread 't'"):
            saver.get_tuple(CONFIG)
        with pytest.raises(SnapshotError):
            list(saver.list(CONFIG))


def test_only_what_needs_a_missing_item_is_listed(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {f"c{n}": f"{n}" * 1000 for n in range(9)})
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute("DELETE FROM agent_checkpoints_items WHERE item_id IN (3, 8)")
        assert {(one.channel, one.reason) for one in saver.check("t")} == {
            ("c2", "item 3 of its log is missing"),
            ("c7", "item 8 of its log is missing"),
        }


def aes(key: bytes) -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(SnapshotSerializer(), key=key * 16)


@pytest.mark.parametrize(
    ("stored", "reading", "says"),
    [
        (aes(b"1"), aes(b"2"), "can't be decrypted"),
        (SnapshotSerializer(), aes(b"1"), "does not encrypt"),
        (JsonPlusSerializer(), aes(b"1"), "does not encrypt"),
        (aes(b"1"), SnapshotSerializer(), "another serializer"),
    ],
    ids=["another key", "json", "msgpack", "encrypted"],
)
def test_serializers_that_cannot_read_it(ready_database, stored, reading, says):
    with PostgresSnapshotSaver(ready_database, serde=stored) as saver:
        metadata: Any = {"source": "input", "step": -1, "tenant": "x"}
        checkpoint: Any = empty_checkpoint()
        checkpoint["channel_values"] = {"small": 1, "long": "x" * 1000}
        checkpoint["channel_versions"] = {"small": "1", "long": "1"}
        config = saver.put(CONFIG, checkpoint, metadata, checkpoint["channel_versions"])
        saver.put_writes(config, [("w", 1)], "task")
        assert saver.check("t") == []
    with PostgresSnapshotSaver(ready_database, serde=reading) as saver:
        found = saver.check("t")
    places = {(one.kind, one.channel) for one in found}
    assert places - {("metadata", ""), ("metadata", "tenant")} == {
        ("value", "small"),
        ("value", "long"),
        ("write", "w"),
    }
    assert len(places) == 4
    assert all(says in one.reason for one in found)


def test_damaged_metadata_that_was_sealed_is_listed(ready_database):
    serde = aes(b"1")
    with PostgresSnapshotSaver(ready_database, serde=serde) as saver:
        saver.put(CONFIG, empty_checkpoint(), {"source": "input", "step": -1, "tenant": "x"}, {})
        sealed = serde.dumps_typed(["no metadata"])
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute(
                "UPDATE agent_checkpoints_history SET sealed_type = %s, sealed = %s", sealed
            )
        [found] = saver.check("t")
        assert (found.kind, found.channel) == ("metadata", "")
        assert found.reason == "sealed metadata: it is not a dict, but list"
        with pytest.raises(SnapshotError, match=r"thread 't'.*sealed metadata"):
            saver.get_tuple(CONFIG)

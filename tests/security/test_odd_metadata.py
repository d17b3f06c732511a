"""What LangGraph and applications do pass: metadata never fails a run, ids may be an int or a UUID.

Each of these failed a run once, or stored what could not be read again.
"""

from __future__ import annotations

import math
import random
import uuid
from datetime import datetime, timezone

import psycopg
import pytest
from corpus import cyclic_dict, deep
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from helpers import SERDES, Chain, checkpoint_of, config_of, next_version
from langgraph_pg_snapshot import InvalidArgumentError, PostgresSnapshotSaver

COUNTERS = "counters_since_delta_snapshot"


class State(TypedDict):
    n: int


def counting_graph(saver):
    builder = StateGraph(State)
    builder.add_node("add", lambda state: {"n": state["n"] + 1})
    builder.add_edge(START, "add")
    return builder.compile(checkpointer=saver)


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


# What is put in, and what is found (None: anything).
METADATA = {
    "NUL": ("a\x00b", "ab"),
    "lone surrogate": ("a\ud800", None),
    "NaN": (math.nan, None),
    "infinity": (-math.inf, -math.inf),
    "datetime": (datetime(2026, 1, 2, tzinfo=timezone.utc),) * 2,
    "bytes": (b"\x00\xff",) * 2,
    "large int": (2**70, None),
    "function": (len, repr(len)),
    "no repr": (Unprintable(), "<Unprintable>"),
    "deep": (deep(200_000), "<list>"),
    "cyclic": (cyclic_dict(), "{'self': {...}}"),
    "long": ("x" * 100_000, "x" * 100_000),
}


@pytest.mark.parametrize("serde", SERDES)
@pytest.mark.parametrize("case", METADATA)
def test_metadata_never_fails_a_run(canary, case, serde):
    value, expected = METADATA[case]
    with PostgresSnapshotSaver(canary, serde=SERDES[serde](), table_name="odd") as saver:
        config = {**config_of("t"), "metadata": {"odd": value, "a\x00\ud800": "odd name"}}
        assert counting_graph(saver).invoke({"n": 1}, config) == {"n": 2}
        chain = Chain(saver, "direct")
        head = chain.put({"a": 1}, metadata={"odd": value, "nested": {"in": [value]}})
        for found in (saver.get_tuple(head), *saver.list(config_of("direct"))):
            assert expected is None or found.metadata["odd"] == expected


# Through the methods that go by a run, too: LangGraph's run_id is text of the caller's.
RUN_IDS = [
    "r\x00",
    "r\ud800",
    "r" * 10_000,
    random.Random(5).randbytes(5_000).hex(),
    "'; --",
    "%s",
    "",
]


@pytest.mark.parametrize("run_id", RUN_IDS, ids=lambda each: ascii(each[:9]))
def test_any_run_id(canary, run_id):
    with PostgresSnapshotSaver(canary) as saver:
        config = {**config_of("t"), "metadata": {"run_id": run_id}}
        assert counting_graph(saver).invoke({"n": 1}, config) == {"n": 2}
        head = saver.get_tuple(config_of("t")).config
        saver.put_writes({**head, "metadata": {"run_id": run_id}}, [("n", 1)], "task")
        assert [write[2] for write in saver.get_tuple(head).pending_writes] == [1]
        assert saver.get_tuple(head).metadata["run_id"] == run_id.replace("\x00", "")
        if run_id.isprintable():
            saver.delete_for_runs([run_id])
            assert saver.get_tuple(head) is None


@pytest.mark.parametrize("serde", SERDES)
@pytest.mark.parametrize(
    "metadata",
    [
        {"parents": {"": "a\x00"}},
        {"parents": {"a\x00": "\ud800"}},
        {"parents": {"$type": "x"}},
        {COUNTERS: {"a\x00": (1, 2)}},
        {COUNTERS: {"a": (2**70, -1)}},
        {COUNTERS: {1: (1, 2)}},
        {1: "one", None: "none", ("a",): "tuple"},
    ],
    ids=ascii,
)
def test_what_is_stored_under_langgraphs_names_can_be_read(canary, metadata, serde):
    with PostgresSnapshotSaver(canary, serde=SERDES[serde](), table_name="odd") as saver:
        head = Chain(saver, "t").put({"a": 1}, metadata=metadata)
        assert saver.get_tuple(head).checkpoint["channel_values"] == {"a": 1}


def test_names_that_are_no_text(canary):
    with PostgresSnapshotSaver(canary) as saver:
        head = Chain(saver, "t").put(metadata={1: "one", None: "none", 2.5: "float"})
        found = saver.get_tuple(head).metadata
        assert (found["1"], found["None"], found["2.5"]) == ("one", "none", "float")


@pytest.mark.parametrize("v", [True, "4", 2**31, 1.5, [4], "'; --"], ids=repr)
def test_format_that_is_no_number(canary, v):
    """It was stored, and the thread could not be read any more."""
    with PostgresSnapshotSaver(canary) as saver:
        with pytest.raises(InvalidArgumentError, match=r"checkpoint\['v'\]"):
            saver.put(config_of("t"), checkpoint_of({}, {}, v=v), {}, {})
        assert saver.get_tuple(config_of("t")) is None


def test_format_that_someone_else_wrote(canary):
    with PostgresSnapshotSaver(canary) as saver:
        Chain(saver, "t").put({"a": 1})
        head = Chain(saver, "t", head=saver.get_tuple(config_of("t")).config).put({"a": 2})
        with psycopg.connect(canary, autocommit=True) as conn:
            conn.execute(
                'UPDATE agent_checkpoints_history SET header = header || \'{"v": "odd"}\''
                " WHERE thread_id = 't'"
            )
        assert saver.get_tuple(head).checkpoint["channel_values"] == {"a": 2}
        saver.prune(["t"])
        assert len(list(saver.list(config_of("t")))) == 1


def test_sealed_header_keeps_what_is_nothing_or_looks_so(canary):
    """A -0.0 is false, too, but is stored as an object: it was refused as not encrypted."""
    with PostgresSnapshotSaver(canary, serde=SERDES["encrypted"](), table_name="odd") as saver:
        checkpoint = {**checkpoint_of({}, {}), "minus": -0.0, "none": None, "empty": {}}
        stored = saver.put(config_of("t"), checkpoint, {}, {})
        found = saver.get_tuple(stored).checkpoint
        assert (found["minus"], found["none"], found["empty"]) == (0.0, None, {})


def test_bytearray_beside_bytes_under_another_serializer(canary):
    """A list of both could not be sent; and what is sent must not be the application's own."""
    with PostgresSnapshotSaver(canary, serde=SERDES["jsonplus"](), table_name="odd") as saver:
        head = Chain(saver, "t").put({"a": ["x" * 300, bytearray(b"y" * 300), b"z" * 300]})
        assert saver.get_tuple(head).checkpoint["channel_values"]["a"][1] == b"y" * 300


THREAD_IDS = [7, 0, -1, 2**70, uuid.UUID(int=5)]


@pytest.mark.parametrize("thread_id", THREAD_IDS, ids=repr)
def test_thread_id_that_is_an_int_or_a_uuid(canary, thread_id):
    """As with the official savers (which fail with 0); it is the thread of that text."""
    text = str(thread_id)
    with PostgresSnapshotSaver(canary) as saver:
        graph, config = counting_graph(saver), config_of(thread_id)
        assert graph.invoke({"n": 1}, config) == {"n": 2}
        assert graph.get_state(config).values == {"n": 2}
        assert len(list(graph.get_state_history(config))) == 3
        head = saver.get_tuple(config)
        assert head == saver.get_tuple(config_of(text))
        version = next_version(head.checkpoint["channel_versions"]["n"])
        stored = saver.put(config, checkpoint_of({"n": 3}, {"n": version}), {}, {"n": version})
        assert stored["configurable"]["thread_id"] == text
        saver.put_writes({**config_of(thread_id, "c")}, [("n", 1)], "task")
        assert saver.load_state(thread_id) == saver.load_state(text) == {"n": 3}
        saver.save_state(thread_id, {"n": 4})
        assert saver.get_channel(thread_id, "n") == 4
        assert len(saver.history(thread_id)) == 5
        assert saver.check(thread_id) == []
        saver.copy_thread(thread_id, "copy")
        saver.prune([thread_id])
        assert len(saver.history(text)) == 1
        assert saver.erase(thread_ids=[thread_id], dry_run=True).threads == 1
        saver.delete_thread(thread_id)
        assert saver.get_tuple(config) is None


def test_writes_that_can_be_read_once_only(canary):
    """They were looked at, and nothing was left to be stored; no error said so."""
    with (
        PostgresSnapshotSaver(canary) as saver,
        pytest.raises(InvalidArgumentError, match="writes must be a list"),
    ):
        saver.put_writes(config_of("t", "c"), (pair for pair in [("a", 1)]), "task")

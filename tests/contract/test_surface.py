"""Signatures, clones, and how many calls and statements a turn takes."""

from __future__ import annotations

import inspect
import logging
from collections import Counter

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

from graphs import agent_turn_graph, approve
from helpers import Chain, checkpoint_of, config_of, next_version
from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotSerializer, TypeNotAllowedError

PAIRS = sorted(
    name
    for name, _ in inspect.getmembers(PostgresSnapshotSaver, callable)
    if not name.startswith("_") and hasattr(PostgresSnapshotSaver, f"a{name}")
)


def test_every_operation_has_both_colours():
    assert set(PAIRS) >= {
        *("get", "get_tuple", "list", "put", "put_writes", "delete_thread", "delete_for_runs"),
        *("copy_thread", "prune", "get_delta_channel_history", "setup"),
        *("save_state", "load_state", "list_threads", "history", "get_channel", "stats"),
    }


@pytest.mark.parametrize("name", PAIRS)
def test_twins_have_one_signature(name):
    sync = inspect.signature(getattr(PostgresSnapshotSaver, name))
    twin = inspect.signature(getattr(PostgresSnapshotSaver, f"a{name}"))
    assert sync.parameters == twin.parameters
    returned = str(twin.return_annotation).replace("AsyncIterator", "Iterator")
    assert returned == str(sync.return_annotation)


@pytest.mark.parametrize("name", [n for n in PAIRS if hasattr(BaseCheckpointSaver, n)])
@pytest.mark.parametrize("prefix", ["", "a"])
def test_signatures_are_langgraphs(name, prefix):
    ours = inspect.signature(getattr(PostgresSnapshotSaver, prefix + name)).parameters
    base = inspect.signature(getattr(BaseCheckpointSaver, prefix + name)).parameters
    # (What we add has a default, and can only be given by name.)
    more = {p.name for p in ours.values() if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}
    assert [
        (p.name, p.kind, p.default) for p in ours.values() if p.name in base or p.name not in more
    ] == [(p.name, p.kind, p.default) for p in base.values()]
    for method in ("put_writes", "aput_writes"):
        assert "task_path" in inspect.signature(getattr(PostgresSnapshotSaver, method)).parameters


class Allowed(BaseModel):
    text: str


def test_allowlisted_clone_shares_storage_and_pool(contract_database, thread_id):
    with PostgresSnapshotSaver(contract_database, serde=SnapshotSerializer(strict=True)) as saver:
        chain = Chain(saver, thread_id)
        first = chain.put({"m": [{"x": "y" * 100}] * 30})
        clone = saver.with_allowlist({(Allowed.__module__, Allowed.__name__)})
        assert type(clone) is type(saver)
        assert clone is not saver
        assert clone.get_tuple(first) == saver.get_tuple(first)
        chain.saver = clone
        second = chain.put({"one": Allowed(text="hi")})
        assert clone.get_tuple(second).checkpoint["channel_values"]["one"] == Allowed(text="hi")
        with pytest.raises(TypeNotAllowedError, match="Allowed"):
            saver.get_tuple(second)
        assert clone._backend is saver._backend


def test_clone_shares_what_is_known_of_threads(contract_database, thread_id, caplog):
    """A put by the clone needs no read of what the original just put."""
    with PostgresSnapshotSaver(contract_database) as saver:
        chain = Chain(saver, thread_id)
        chain.put({"m": 1})
        chain.saver = saver.with_allowlist([])
        with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
            chain.put({"m": 2})
        assert statements(caplog) == Counter({"put": 1})


def test_clone_of_another_serializers_saver(contract_database, thread_id):
    with PostgresSnapshotSaver(contract_database, serde=JsonPlusSerializer()) as saver:
        clone = saver.with_allowlist({(Allowed.__module__, Allowed.__name__)})
        assert type(clone) is PostgresSnapshotSaver
        config = Chain(clone, thread_id).put({"one": Allowed(text="hi")})
        assert clone.get_tuple(config).checkpoint["channel_values"] == {"one": Allowed(text="hi")}
        assert saver.get_tuple(config_of(thread_id)).config == config


def test_assigned_serializer_is_used(contract_database, thread_id):
    """The base class has a plain attribute that applications assign."""
    with PostgresSnapshotSaver(contract_database) as saver:
        saver.serde = JsonPlusSerializer()
        version = next_version(None)
        config = saver.put(
            config_of(thread_id), checkpoint_of({"a": {1, 2}}, {"a": version}), {}, {"a": version}
        )
        assert saver.get_tuple(config).checkpoint["channel_values"] == {"a": {1, 2}}


def records(caplog):
    return [r for r in caplog.records if hasattr(r, "operation")]


def statements(caplog):
    counted = Counter()
    for record in records(caplog):
        counted[record.operation] += record.statements
    return counted


@pytest.mark.parametrize(
    ("durability", "calls"),
    [
        ("sync", {"get_tuple": 1, "put": 4, "put_writes": 5}),
        ("async", {"get_tuple": 1, "put": 4, "put_writes": 5}),
        ("exit", {"get_tuple": 1, "put": 1, "put_writes": 1}),
    ],
)
def test_calls_and_statements_of_a_turn(saver, thread_id, caplog, durability, calls):
    """3 supersteps, 2 parallel tools, an interrupt: one statement a call."""
    graph = agent_turn_graph(saver.saver)
    config = config_of(thread_id)
    saver.call(graph, "invoke", {"messages": ["warm up"]}, config, durability=durability)
    saver.call(graph, "invoke", approve(), config, durability=durability)
    with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
        saver.call(graph, "invoke", {"messages": ["go"]}, config, durability=durability)
    assert dict(Counter(r.operation for r in records(caplog))) == calls
    # Each is one statement, so one round trip.
    assert dict(statements(caplog)) == calls


def test_calls_of_looking_at_state(saver, thread_id, caplog):
    graph = agent_turn_graph(saver.saver)
    config = config_of(thread_id)
    saver.call(graph, "invoke", {"messages": ["go"]}, config)
    with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
        saver.call(graph, "get_state", config)
    assert dict(statements(caplog)) == {"get_tuple": 1}
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "langgraph_pg_snapshot"):
        history = saver.collect(graph, "get_state_history", config)
    assert len(history) > 2
    has_items = not isinstance(saver.saver.serde, SnapshotSerializer)
    assert dict(statements(caplog)) == {"list": 1 + has_items}
    assert len(records(caplog)) == 2  # the page and the end, not one a checkpoint

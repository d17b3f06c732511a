"""Bytes over the wire, and values through the serializer, for each operation."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from wire import wire

from helpers import Chain, Driven, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotSerializer

COLOURS = ("sync", "async")
TEXT = "some words and others " * 20

# A checkpoint's row besides its values: ids, versions, metadata. The statement itself is prepared.
ROW = 1_600
DIGEST = 16
STAMP = 20
# Names and types of the columns that a read gives.
COLUMNS = 700


def message(number: int) -> AIMessage:
    return AIMessage(f"{number} {TEXT}", id=f"message-{number}")


def talk(driven: Driven, length: int, puts: int = 1) -> Chain:
    """A thread whose checkpoints have ``length`` messages and, each time, one more."""
    chain = Chain(driven, f"thread-{length}")
    for n in range(puts):
        chain.put({"messages": [message(k) for k in range(length + n)]})
    return chain


def more(chain: Chain) -> None:
    """Put one message more."""
    values = chain.values(chain.head)["messages"]
    chain.put({"messages": [*values, message(len(values))]})


@pytest.mark.parametrize("serde", ["snapshot", "jsonplus", "encrypted"])
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_put_sends_what_is_new(ready_database, serde, cold):
    """The same at 800 messages as at 20; a cold writer is sent the digests first, not the items."""
    sent, received = {}, {}
    with wire(ready_database, "sync", serde, auto_setup=False) as listened:
        for length in (20, 800):
            chain = talk(listened.driven, length)
            more(chain)  # prepares the statement
            chain.saver = listened.stranger()
            more(chain)
            chain.saver = listened.stranger() if cold else listened.driven
            if not cold:
                listened.driven.get_tuple(chain.head)
            traffic = listened.traffic(lambda c=chain: more(c))
            sent[length], received[length] = traffic.sent, traffic.received
    new = len(SnapshotSerializer().dumps(message(800)))
    if cold and serde == "encrypted":
        # Its digests are of this process alone: it sends everything once, as documented.
        assert sent[800] > 800 * len(TEXT)
        return
    assert sent[800] <= sent[20] + 200
    assert sent[800] <= 1.5 * new + ROW
    assert received[800] <= (COLUMNS + ROW + 900 * DIGEST if cold else 100)


@pytest.mark.parametrize("colour", COLOURS)
def test_put_of_what_is_known_sends_no_item(ready_database, colour):
    """A channel that did not change, and one that has the value that it had before."""
    with wire(ready_database, colour, auto_setup=False) as listened:
        chain = talk(listened.driven, 800)
        found = []
        for changed in ({"small": 1}, {"messages": chain.values(chain.head)["messages"]}):
            chain.put({"small": 0})
            found.append(listened.traffic(lambda c=changed: chain.put(c)).sent)
    assert max(found) <= ROW


@pytest.mark.parametrize("colour", COLOURS)
def test_put_writes_sends_the_writes(ready_database, colour):
    with wire(ready_database, colour, auto_setup=False) as listened:
        chain = talk(listened.driven, 20)
        writes = [("messages", [message(21)]), ("branch:to:tools", None)]
        listened.driven.put_writes(chain.head, writes, "before")
        traffic = listened.traffic(lambda: listened.driven.put_writes(chain.head, writes, "task"))
    assert traffic.sent <= len(SnapshotSerializer().dumps([message(21)])) + 400
    assert traffic.received <= 70  # one row: whether they were stored


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("serde", ["snapshot", "encrypted"])
def test_large_values_are_sent_as_they_are(ready_database, colour, serde):
    """Neither quoted once more nor in digits, as they would have to be in an array's text."""
    value = '"quoted"\\\n' * 2_000
    with wire(ready_database, colour, serde, auto_setup=False) as listened:
        chain = Chain(listened.driven, "thread")
        chain.put({})
        listened.driven.put_writes(chain.head, [("before", value)], "before")
        writes = [("messages", value)]
        traffic = listened.traffic(lambda: listened.driven.put_writes(chain.head, writes, "task"))
        assert traffic.sent <= len(SnapshotSerializer().dumps(value)) + 500


@pytest.mark.parametrize("colour", COLOURS)
def test_get_reads_the_state_once(ready_database, colour):
    """The server sends the text of the state, a stamp for each item, and a row."""
    with wire(ready_database, colour, auto_setup=False) as listened:
        for length in (20, 800):
            chain = talk(listened.driven, length, 3)
            listened.driven.get_tuple(chain.head)
            reader = listened.stranger()
            traffic = listened.traffic(lambda c=chain, r=reader: r.get_tuple(c.head))
            text = SnapshotSerializer().dumps(chain.values(chain.head)["messages"])
            # jsonb prints a space after each comma and colon
            assert traffic.received <= 1.1 * len(text) + (length + 2) * STAMP + ROW + COLUMNS
            assert traffic.sent <= 250


@pytest.mark.parametrize("colour", COLOURS)
def test_get_of_a_thread_that_was_read_before_brings_what_is_new(ready_database, colour):
    with wire(ready_database, colour, auto_setup=False) as listened:
        for length in (20, 800):
            chain = talk(listened.driven, length)
            listened.driven.get_tuple(chain.head)
            for _ in range(3):
                more(chain)
            traffic = listened.traffic(lambda c=chain: listened.driven.get_tuple(c.head))
            new = SnapshotSerializer().dumps([message(n) for n in range(3)])
            assert traffic.received <= 1.2 * len(new) + (length + 3) * STAMP + ROW + COLUMNS
            assert traffic.sent <= 300


@pytest.mark.parametrize("colour", COLOURS)
def test_old_checkpoint_of_a_long_log_reads_no_more_than_it_has(ready_database, colour):
    with wire(ready_database, colour, auto_setup=False) as listened:
        chain = talk(listened.driven, 20)
        first = chain.head
        chain.put({"messages": [message(n) for n in range(2_000)]})
        text = SnapshotSerializer().dumps(chain.values(first)["messages"])
        reader = listened.stranger()
        for wanted in (1.1 * len(text), 0):  # what was read before is not sent again
            traffic = listened.traffic(lambda: reader.get_tuple(first))
            assert traffic.received <= wanted + 20 * STAMP + ROW + 2 * COLUMNS


@pytest.mark.parametrize("colour", COLOURS)
def test_list_reads_what_checkpoints_share_once(ready_database, colour):
    with wire(ready_database, colour, auto_setup=False) as listened:
        chain = talk(listened.driven, 800, 20)
        config = config_of("thread-800")
        text = SnapshotSerializer().dumps(chain.values(chain.head)["messages"])
        reader = listened.stranger()
        for wanted in (1.1 * len(text), 0):  # what was read before is not sent again
            traffic = listened.traffic(lambda: reader.list(config, limit=20))
            assert traffic.received <= wanted + 820 * STAMP + 20 * ROW + 2 * COLUMNS


class Counting(SnapshotSerializer):
    """Counts what it is asked for."""

    saved = loaded = 0

    def dumps(self, *args, **kwargs):
        type(self).saved += 1
        return super().dumps(*args, **kwargs)

    def decode(self, *args, **kwargs):
        type(self).loaded += 1
        return super().decode(*args, **kwargs)


class CountingJsonPlus(JsonPlusSerializer):
    """The same, of the application's."""

    saved = loaded = 0

    def dumps_typed(self, obj):
        type(self).saved += 1
        return super().dumps_typed(obj)

    def loads_typed(self, data):
        type(self).loaded += 1
        return super().loads_typed(data)


@pytest.mark.parametrize("kind", [Counting, CountingJsonPlus])
def test_values_through_the_serializer(ready_database, kind):
    """A put encodes each element of what changed once, and nothing of what did not; a write or a
    get each value once. (Headers and metadata are few, whatever the length.)"""
    with PostgresSnapshotSaver(ready_database, serde=kind(), auto_setup=False) as saver:
        chain = talk(Driven(saver, None), 200)

        def counted(work):
            kind.saved = kind.loaded = 0
            work()
            return kind.saved, kind.loaded

        assert counted(lambda: more(chain))[0] <= 206
        assert counted(lambda: chain.put({"small": 1}))[0] <= 5
        assert counted(lambda: saver.put_writes(chain.head, [("a", 1), ("b", 2)], "t")) == (2, 0)
        saved, loaded = counted(lambda: saver.get_tuple(chain.head))
        assert saved == 0
        assert loaded <= 212

"""With an encrypting serializer, no plaintext of a value stands in any column."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from Crypto.Cipher import AES
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Interrupt, Send, interrupt
from psycopg import sql
from psycopg.types.json import Jsonb

from graphs import add_all
from langgraph_pg_snapshot import (
    DeserializationError,
    PostgresSnapshotSaver,
    SerializationError,
    SnapshotSerializer,
)
from servers import available_bindirs


class RotatingCipher:
    """Encrypts with the newest key and decrypts with the one that the data names."""

    def __init__(self, **keys: bytes) -> None:
        self.keys = keys

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        name = list(self.keys)[-1]
        cipher = AES.new(self.keys[name], AES.MODE_EAX)
        data, tag = cipher.encrypt_and_digest(plaintext)
        return name, cipher.nonce + tag + data

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        nonce, tag, data = ciphertext[:16], ciphertext[16:32], ciphertext[32:]
        cipher = AES.new(self.keys[ciphername], AES.MODE_EAX, nonce=nonce)
        return cipher.decrypt_and_verify(data, tag)


class OwnSerializer:
    """One of the application's, which nobody knows to encrypt."""

    def __init__(self) -> None:
        self.encrypting = EncryptedSerializer(RotatingCipher(k1=b"1" * 16))

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return self.encrypting.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.encrypting.loads_typed(data)


class OwnSnapshotSerializer(OwnSerializer, SnapshotSerializer):
    def __init__(self) -> None:
        SnapshotSerializer.__init__(self)
        OwnSerializer.__init__(self)


class OwnJsonPlusSerializer(OwnSerializer, JsonPlusSerializer):
    def __init__(self) -> None:
        JsonPlusSerializer.__init__(self)
        OwnSerializer.__init__(self)


class OwnEncryptedSerializer(EncryptedSerializer):
    def __init__(self) -> None:
        super().__init__(RotatingCipher(k1=b"1" * 16))


ENCRYPTING = {
    "jsonplus inside": lambda: EncryptedSerializer(RotatingCipher(k1=b"1" * 16)),
    "snapshot inside": lambda: EncryptedSerializer(
        RotatingCipher(k1=b"1" * 16), SnapshotSerializer()
    ),
    "own": OwnSerializer,
    "own snapshot": OwnSnapshotSerializer,
    "own jsonplus": OwnJsonPlusSerializer,
    "own encrypted": OwnEncryptedSerializer,
}


@dataclass
class Card:
    number: str


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    note: str
    card: Card
    files: dict[str, str]
    flag: bool


def ask(state: State) -> Any:
    answer = interrupt({"question": "secret-interrupt"})
    return {"note": f"secret-note {answer}", "card": Card("secret-card")}


def spread(state: State) -> Command[str]:
    return Command(goto=[Send("work", {"note": f"secret-send-{n}"}) for n in range(2)])


def work(state: State) -> Any:
    text = f"secret-message {state['note']} " + "x" * 300
    return {"messages": [HumanMessage(text)]}


def fail(state: State) -> None:
    raise ValueError("secret-error")


def builder() -> StateGraph[State]:
    graph = StateGraph(State)
    for node in (ask, work, fail):
        graph.add_node(node.__name__, node)
    graph.add_node("spread", spread, destinations=("work",))
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "spread")
    graph.add_edge("work", "fail")
    graph.add_edge("fail", END)
    return graph


def dump(dsn: str) -> str:
    """The database as pg_dump writes it, data and all, bytea as text too."""
    result = subprocess.run(
        [available_bindirs()[18] / "pg_dump", "--dbname", dsn, "--inserts"],
        check=True,
        capture_output=True,
        text=True,
    )
    # bytea is dumped as hex; what it says must not be readable either
    return result.stdout + "\n".join(blobs_of(dsn))


def play(saver: PostgresSnapshotSaver) -> dict[str, Any]:
    """A run with every kind of value: state, sends, interrupt, answer, error, metadata."""
    config: Any = {
        "configurable": {"thread_id": "t", "user": "secret-configurable"},
        "metadata": {"tenant": "secret-metadata", "many": {"deep": "secret-deep-metadata"}},
    }
    graph = builder().compile(checkpointer=saver)
    files = {f"secret-file-{n}": "secret-content " * 20 for n in range(10)}
    first = [HumanMessage(f"secret-input-{n} " + "y" * 200) for n in range(5)]
    graph.invoke({"messages": first, "note": "secret-short", "files": files}, config)
    with pytest.raises(ValueError, match="secret-error"):
        graph.invoke(Command(resume="secret-answer"), config)
    return graph.get_state(config).values


class Everywhere(TypedDict, total=False):
    flag: str
    numbers: list[int]
    notes: Annotated[list[str], DeltaChannel(add_all, snapshot_frequency=2)]
    history: dict[str, Any]


def inner_graph() -> Any:
    graph = StateGraph(Everywhere)
    graph.add_node("first", lambda _: {"history": {"secret-inner-key": "secret-inner-value"}})
    graph.add_node("asking", lambda _: {"flag": interrupt("secret-inner-question")})
    graph.add_edge(START, "first")
    graph.add_edge("first", "asking")
    return graph.compile()


def play_everywhere(saver: PostgresSnapshotSaver) -> None:
    """A DeltaChannel, a subgraph that asks, keys of split dicts, and what is put by hand."""
    graph = StateGraph(Everywhere)
    graph.add_node("note", lambda state: {"notes": [f"secret-delta-{len(state['notes'])}"]})
    graph.add_node("inner", inner_graph())
    graph.add_edge(START, "note")
    graph.add_edge("note", "inner")
    compiled = graph.compile(checkpointer=saver)
    config: Any = {
        "configurable": {"thread_id": "u", "secret-config-key": "secret-config-value"},
        "metadata": {"secret-metadata-key": "secret-metadata-value"},
        "run_name": "secret-run-name",
        "tags": ["secret-tag"],
    }
    entries = {f"secret-key-{n}": {f"secret-nested-{n}": "secret-entry " * 9} for n in range(9)}
    compiled.invoke({"notes": ["secret-first"], "history": entries, "flag": "secret-flag"}, config)
    compiled.invoke(Command(resume={"secret-resume-key": "secret-resume"}), config)
    compiled.update_state(config, {"flag": "secret-update"}, as_node="note")
    checkpoint: Any = {
        **empty_checkpoint(),
        "channel_values": {"short": "secret-put", "long": ["secret-element " * 9] * 3},
        "channel_versions": {"short": 1, "long": 1},
        "pending_sends": [Send("work", {"secret-send-key": "secret-pending"})],
        "secret-header-key": "secret-header",
    }
    by_hand: Any = {"configurable": {"thread_id": "v", "checkpoint_ns": ""}}
    metadata: Any = {"source": "input", "step": -1, "by": Card("secret-object"), "secret-by": 1}
    metadata["nested"] = {"secret-deep-key": ["secret-deep"]}
    stored = saver.put(by_hand, checkpoint, metadata, checkpoint["channel_versions"])
    writes = [("short", Card("secret-write")), ("__error__", ValueError("secret-exception"))]
    writes += [
        ("__interrupt__", (Interrupt("secret-asked", id="i"),)),
        ("__resume__", ["secret-r"]),
    ]
    saver.put_writes(stored, writes, "task", "~__pregel_pull, work")
    saver.save_state(
        "w", {"plain": "secret-saved", "messages": [HumanMessage("secret-saved " * 20)]}
    )
    saver.copy_thread("v", "x")


LOOKALIKES: dict[str, Any] = {
    "counters_since_delta_snapshot": {"notes": ["secret-counter"]},
    "parents": {"": {"secret-parent": 1}},
}


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
@pytest.mark.parametrize("key", LOOKALIKES)
def test_metadata_that_only_has_the_name_of_the_hosts_is_sealed(ready_database, make, key):
    checkpoint: Any = {**empty_checkpoint(), "channel_versions": {}}
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    metadata: Any = {"source": "input", "step": -1, key: LOOKALIKES[key]}
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        saver.put(config, checkpoint, metadata, {})
        found = saver.get_tuple(config)
        assert found is not None
        assert found.metadata[key] == LOOKALIKES[key]
    assert "secret" not in dump(ready_database)
    with psycopg.connect(ready_database, autocommit=True) as conn:
        conn.execute(
            "UPDATE agent_checkpoints_history SET metadata = metadata || %s", [Jsonb({key: "x"})]
        )
    with (
        PostgresSnapshotSaver(ready_database, serde=make()) as saver,
        pytest.raises(DeserializationError, match=f"metadata '{key}'"),
    ):
        saver.get_tuple(config)


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
def test_header_that_cannot_be_stored_is_named(ready_database, make):
    checkpoint: Any = {**empty_checkpoint(), "of the application": Lock()}
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        with pytest.raises(SerializationError, match=r"checkpoint\['of the application'\]:.*lock"):
            saver.put(config, checkpoint, {"source": "input", "step": -1, "who": Lock()}, {})
        assert saver.get_tuple(config) is None


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
def test_metadata_never_fails_a_run_however_deep_it_is(ready_database, make):
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        for depth in range(90, 110):
            who: Any = []
            for _ in range(depth):
                who = [who]
            checkpoint: Any = {**empty_checkpoint(), "channel_versions": {}}
            saver.put(config, checkpoint, {"source": "input", "step": -1, "who": who}, {})
            found = saver.get_tuple(config)
            assert found is not None
            assert found.metadata["who"] in (who, repr(who))


PLANTED = (
    *("inner-key", "inner-value", "inner-question", "delta-1", "config-key", "config-value"),
    *(
        "metadata-key",
        "metadata-value",
        "deep-key",
        "deep",
        "key-3",
        "nested-3",
        "entry",
        "first",
        "flag",
    ),
    *("resume-key", "resume", "update", "put", "element", "send-key", "pending", "header-key"),
    *("header", "object", "by", "write", "exception", "asked", "r", "saved"),
)


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
def test_no_plaintext_in_a_dump_wherever_values_are(ready_database, make):
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        play_everywhere(saver)
        assert [each for thread in "uvwx" for each in saver.check(thread)] == []
        found = saver.get_tuple({"configurable": {"thread_id": "v"}})
        assert found is not None
        assert found.metadata["by"] == Card("secret-object")
        assert found.checkpoint["secret-header-key"] == "secret-header"
        assert found.checkpoint["channel_values"]["short"] == "secret-put"
        assert "secret-exception" in repr(found.pending_writes)
        assert saver.load_state("w")["plain"] == "secret-saved"
    text = dump(ready_database)
    assert "agent_checkpoints_items" in text
    assert re.findall(r".{0,60}secret.{0,40}", text) == []


def test_all_that_is_planted_shows_in_a_dump_without_encryption(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        play_everywhere(saver)
    text = dump(ready_database)
    assert [name for name in PLANTED if f"secret-{name}" not in text] == []


def blobs_of(database: str) -> Iterator[str]:
    """Every BYTEA of our tables with its type, as text: bytes as escapes."""
    with psycopg.connect(database) as conn:
        columns = conn.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'bytea'"
        ).fetchall()
        for table, column in columns:
            statement = sql.SQL("SELECT encode({}, 'escape') FROM {} WHERE {} IS NOT NULL").format(
                sql.Identifier(column), sql.Identifier(table), sql.Identifier(column)
            )
            yield from (text for (text,) in conn.execute(statement))


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
def test_no_plaintext_in_a_dump(ready_database, make):
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        values = play(saver)
        assert len(values["messages"]) == 7
        assert values["card"] == Card("secret-card")
        found = saver.get_tuple({"configurable": {"thread_id": "t"}})
        assert found is not None
        assert found.metadata["tenant"] == "secret-metadata"
        assert found.metadata["user"] == "secret-configurable"
        assert "secret-error" in repr(found.pending_writes)
        [*listed] = saver.list(None, filter={"tenant": "secret-metadata"}, limit=2)
        assert len(listed) == 2
        assert list(saver.list(None, filter={"tenant": "another"})) == []
    text = dump(ready_database)
    assert "agent_checkpoints_items" in text
    assert "secret" not in text


def test_the_same_run_unencrypted_does_show_in_a_dump(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        play(saver)
    text = dump(ready_database)
    for planted in ("secret-message", "secret-card", "secret-answer", "secret-metadata"):
        assert planted in text


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
def test_no_digest_is_stored(ready_database, make):
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        play(saver)
    with psycopg.connect(ready_database) as conn:
        counts = conn.execute("SELECT count(*), count(digest) FROM agent_checkpoints_items")
        total, with_digest = counts.fetchone()
    assert total > 0
    assert with_digest == 0


def test_keys_can_be_rotated(ready_database):
    old = EncryptedSerializer(RotatingCipher(k1=b"1" * 16))
    both = EncryptedSerializer(RotatingCipher(k1=b"1" * 16, k2=b"2" * 16))
    messages = [HumanMessage(f"message {n} " + "y" * 200, id=str(n)) for n in range(5)]
    with PostgresSnapshotSaver(ready_database, serde=old) as saver:
        saver.save_state("t", {"messages": messages})
    with PostgresSnapshotSaver(ready_database, serde=both) as saver:
        assert saver.load_state("t") == {"messages": messages}
        messages.append(HumanMessage("one more " + "y" * 200, id="more"))
        saver.save_state("t", {"messages": messages})
        assert saver.load_state("t") == {"messages": messages}
    with psycopg.connect(ready_database) as conn:
        kinds = dict(
            conn.execute(
                "SELECT split_part(blob_type, '+', 2), count(*) FROM agent_checkpoints_items"
                " GROUP BY 1"
            ).fetchall()
        )
    assert kinds["k2"] >= 1
    wrong = EncryptedSerializer(RotatingCipher(k1=b"3" * 16, k2=b"3" * 16))
    with (
        PostgresSnapshotSaver(ready_database, serde=wrong) as saver,
        pytest.raises(DeserializationError, match=r"channel 'messages'.*key"),
    ):
        saver.load_state("t")


def test_rotated_keys_read_and_write_all_there_is(ready_database):
    """Values, writes, sealed metadata, headers and exceptions of the old key; news by the new."""
    inside = SnapshotSerializer()
    old = EncryptedSerializer(RotatingCipher(k1=b"1" * 16), inside)
    both = EncryptedSerializer(RotatingCipher(k1=b"1" * 16, k2=b"2" * 16), inside)
    new = EncryptedSerializer(RotatingCipher(k2=b"2" * 16), inside)
    with PostgresSnapshotSaver(ready_database, serde=old) as saver:
        play_everywhere(saver)
    with PostgresSnapshotSaver(ready_database, serde=both) as saver:
        assert [each for thread in "uvwx" for each in saver.check(thread)] == []
        [listed] = saver.list(None, filter={"secret-by": 1}, limit=1)
        assert listed.metadata["by"] == Card("secret-object")
        # The whole state anew, as who wants to be rid of the old key does it.
        for thread in "uvwx":
            state = saver.load_state(thread)
            saver.delete_thread(thread)
            saver.save_state(thread, state)
    with PostgresSnapshotSaver(ready_database, serde=new) as saver:
        assert [each for thread in "uvwx" for each in saver.check(thread)] == []
        assert saver.load_state("w")["plain"] == "secret-saved"
    assert "secret" not in dump(ready_database)


PLAIN = {
    "metadata": """metadata = metadata || '{"tenant": "plain"}'""",
    "structured metadata": """metadata = metadata || '{"k": {"$type": "set", "items": []}}'""",
    "header": """header = header || '{"pending_sends": [1]}'""",
    "value": """channel_values = '{"a": 1}'""",
}


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
@pytest.mark.parametrize("update", PLAIN.values(), ids=PLAIN.keys())
def test_what_someone_put_in_plain_is_refused(ready_database, make, update):
    with PostgresSnapshotSaver(ready_database, serde=make()) as saver:
        saver.save_state("t", {"a": 1})
        assert saver.check("t") == []
        with psycopg.connect(ready_database, autocommit=True) as conn:
            conn.execute(f"UPDATE agent_checkpoints_history SET {update}")  # noqa: S608 -- our own
        with pytest.raises(DeserializationError, match=r"thread 't'.*does not encrypt"):
            saver.load_state("t")
        assert ["does not encrypt" in each.reason for each in saver.check("t")] == [True]


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
def test_a_plain_write_is_refused(ready_database, make):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {})
        config = saver.get_tuple({"configurable": {"thread_id": "t"}}).config
        saver.put_writes(config, [("w", 1)], "task")
    with (
        PostgresSnapshotSaver(ready_database, serde=make()) as saver,
        pytest.raises(DeserializationError, match=r"write to channel 'w'.*does not encrypt"),
    ):
        saver.get_tuple(config)


@pytest.mark.parametrize("make", ENCRYPTING.values(), ids=ENCRYPTING)
@pytest.mark.parametrize("state", [{"a": 1}, {"a": "long " * 200}], ids=["small", "large"])
def test_plain_json_is_refused(ready_database, make, state):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", state)
    with (
        PostgresSnapshotSaver(ready_database, serde=make()) as saver,
        pytest.raises(DeserializationError, match=r"channel 'a'.*does not encrypt"),
    ):
        saver.load_state("t")


def test_unencrypted_bytes_are_refused(ready_database):
    with PostgresSnapshotSaver(ready_database, serde=JsonPlusSerializer()) as saver:
        saver.save_state("t", {"a": 1})
    serde = EncryptedSerializer(RotatingCipher(k1=b"1" * 16))
    with (
        PostgresSnapshotSaver(ready_database, serde=serde) as saver,
        pytest.raises(DeserializationError, match=r"channel 'a'.*does not encrypt"),
    ):
        saver.load_state("t")


def test_an_encrypted_thread_grows_by_what_is_new(ready_database):
    """In one process, and in another one that has read the thread."""

    def item_count(conn: psycopg.Connection[Any]) -> int:
        row = conn.execute("SELECT count(*) FROM agent_checkpoints_items").fetchone()
        assert row is not None
        return int(row[0])

    serde = EncryptedSerializer(RotatingCipher(k1=b"1" * 16))
    messages = [HumanMessage(f"message {n} " + "y" * 200, id=str(n)) for n in range(20)]
    with (
        psycopg.connect(ready_database, autocommit=True) as conn,
        PostgresSnapshotSaver(ready_database, serde=serde) as saver,
        PostgresSnapshotSaver(ready_database, serde=serde) as other,
    ):
        saver.save_state("t", {"messages": messages})
        before = item_count(conn)
        assert before == 20
        saver.save_state("t", {"messages": [*messages, HumanMessage("new", id="20")]})
        assert item_count(conn) == before + 1
        loaded = other.load_state("t")
        assert loaded is not None
        other.save_state("t", {"messages": [*loaded["messages"], HumanMessage("new", id="21")]})
        assert item_count(conn) == before + 2

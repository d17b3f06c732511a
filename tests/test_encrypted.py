"""With an encrypting serializer, no plaintext of a value stands in any column."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from Crypto.Cipher import AES
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt

from langgraph_pg_snapshot import (
    DeserializationError,
    PostgresSnapshotSaver,
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
    with psycopg.connect(dsn) as conn:
        blobs = conn.execute(
            "SELECT encode(blob, 'escape') FROM agent_checkpoints_items WHERE blob IS NOT NULL"
            " UNION ALL SELECT encode(blob, 'escape') FROM agent_checkpoints_writes"
            " WHERE blob IS NOT NULL UNION ALL SELECT encode(sealed, 'escape')"
            " FROM agent_checkpoints_history WHERE sealed IS NOT NULL"
        ).fetchall()
    return result.stdout + "\n".join(text for (text,) in blobs)


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

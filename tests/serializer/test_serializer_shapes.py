"""Models are read by functions written for the members that their trees have."""

from __future__ import annotations

from itertools import combinations

from langchain_core.messages import AIMessage
from serializer_sameness import assert_same

from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.codec import DECODERS

FIELDS = {
    "additional_kwargs": {"a": [1]},
    "response_metadata": {"b": {"c": 2}},
    "name": "Alice",
    "id": "1",
    "tool_calls": [{"name": "f", "args": {"z": 1, "a": (2,)}, "id": "c", "type": "tool_call"}],
    "invalid_tool_calls": [
        {"name": "g", "args": "{", "id": "d", "error": "?", "type": "invalid_tool_call"}
    ],
    "usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}


def test_every_set_of_members_however_many():
    """More sets than there are functions kept: the rest takes another way, to the same end."""
    serializer = SnapshotSerializer()
    subsets = [names for size in range(8) for names in combinations(FIELDS, size)]
    for _ in range(2):
        for names in subsets:
            message = AIMessage("text", **{name: FIELDS[name] for name in names})
            loaded = serializer.loads(serializer.dumps(message))
            assert_same(loaded, message)
            assert loaded.__dict__ is not serializer.loads(serializer.dumps(message)).__dict__
    assert len(subsets) == 128
    assert len(DECODERS["ai"].__self__.decoders) == 64


def test_loaded_models_share_no_default():
    serializer = SnapshotSerializer()
    text = serializer.dumps(AIMessage("text"))
    first, second = serializer.loads(text), serializer.loads(text)
    first.tool_calls.append("changed")
    first.additional_kwargs["changed"] = True
    first.model_fields_set.add("changed")
    assert_same(second, AIMessage("text"))
    assert_same(serializer.loads(text), AIMessage("text"))


def test_text_of_a_message_is_text():
    text = AIMessage("What Bob said").text
    loaded = SnapshotSerializer().loads(data := SnapshotSerializer().dumps({"answer": text}))
    assert data == b'{"answer":"What Bob said"}'
    assert type(loaded["answer"]) is str
    nul = SnapshotSerializer().dumps(AIMessage("a\x00b").text)
    assert SnapshotSerializer().loads(nul) == "a\x00b"

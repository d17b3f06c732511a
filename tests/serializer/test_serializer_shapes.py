"""Models are read by functions written for the members that their trees have."""

from __future__ import annotations

from itertools import combinations

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import DeserializationError
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


class Own(HumanMessage):
    """A message of the application's."""


ELEMENTS = {
    "a kind that was not read yet": lambda: AIMessage("b", name="b", response_metadata={"b": [1]}),
    "a class of the application's": lambda: Own("b"),
    "what is beside fields": lambda: HumanMessage("b", more=[1]),
    "text": lambda: "b",
    "number": lambda: 1,
    "nothing": lambda: None,
    "list": lambda: [HumanMessage("b"), ["b"]],
    "dict": lambda: {"content": "b"},
    "what has a tag": lambda: (1, 2),
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("make", ELEMENTS.values(), ids=ELEMENTS.keys())
def test_messages_in_a_list_with_something_else(make, place):
    def mixed():
        values = [HumanMessage("a", id="1"), AIMessage("c", id="2")]
        values.insert(place, make())
        return values

    serializer = SnapshotSerializer()
    for _ in range(2):
        assert_same(serializer.loads(serializer.dumps(mixed())), mixed())


@pytest.mark.parametrize("tag", [[], {}, 1, "", "human ", ["human"]], ids=repr)
def test_messages_in_a_list_with_a_tag_that_is_none(tag):
    human = {"$type": "human", "content": "a"}
    with pytest.raises(DeserializationError):
        SnapshotSerializer().decode([human, {"$type": tag, "content": "b"}, human])


def test_messages_nested_too_deep():
    tree = [{"$type": "human", "content": "a"}]
    for _ in range(2_000):
        tree = [{"$type": "human", "content": tree}]
    with pytest.raises(DeserializationError, match="nested too deep"):
        SnapshotSerializer().decode(tree)

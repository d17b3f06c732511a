"""How fast the snapshot serializer is beside LangGraph's own: run it as a script.

Both work in turn in one process; each figure is the best of several rounds.
"""

from __future__ import annotations

import gc
import sys
import timeit
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot.serializer import SnapshotSerializer

SIZES = (20, 200, 800, 5000)
ROUNDS = 7
USAGE = {"input_tokens": 512, "output_tokens": 128, "total_tokens": 640}
METADATA = {"model_name": "some-model", "finish_reason": "stop"}


def talk(length: int) -> list[BaseMessage]:
    """A conversation in text: people and the model take turns."""
    messages: list[BaseMessage] = []
    for turn in range(length // 2):
        messages.append(HumanMessage(f"Question {turn}: how does it work? " * 3, id=f"q-{turn}"))
        messages.append(AIMessage(f"Answer {turn}: it works like this. " * 12, id=f"a-{turn}"))
    return messages


def agent(length: int) -> list[BaseMessage]:
    """An agent's: each turn calls a tool, and carries what providers send along."""
    messages: list[BaseMessage] = []
    for turn in range(length // 4):
        call = {"name": "search", "args": {"query": f"topic {turn}", "limit": 5}, "id": f"c-{turn}"}
        messages += [
            HumanMessage(f"Question {turn}: how does it work? " * 3, id=f"q-{turn}"),
            AIMessage(
                "",
                id=f"t-{turn}",
                tool_calls=[call],
                usage_metadata=USAGE,
                response_metadata=METADATA,
            ),
            ToolMessage(f"Result {turn}. " * 20, tool_call_id=f"c-{turn}", id=f"r-{turn}"),
            AIMessage(
                f"Answer {turn}: it works like this. " * 12,
                id=f"a-{turn}",
                usage_metadata=USAGE,
                response_metadata=METADATA,
            ),
        ]
    return messages


def rows(length: int) -> list[dict[str, Any]]:
    """Plain data in small pieces: rows of a table."""
    return [
        {"id": n, "name": f"row {n}", "score": n / 7, "active": n % 2 == 0, "tags": ["a", "b"]}
        for n in range(length)
    ]


def documents(length: int) -> list[dict[str, Any]]:
    """Plain data with text in it: what a retriever leaves in the state."""
    return [
        {
            "id": f"doc-{n}",
            "text": f"Paragraph {n} of a document that was found for the question. " * 30,
            "score": 1 / (n + 1),
            "source": {"url": f"https://example.org/{n}", "title": f"Page {n}"},
        }
        for n in range(length)
    ]


def best(action: Callable[[], Any], repeats: int) -> float:
    """Seconds that one run takes in the best round."""
    gc.collect()
    return min(timeit.repeat(action, number=repeats, repeat=ROUNDS)) / repeats


def compare(name: str, make: Callable[[int], list[Any]], size: int) -> None:
    """Print one line: microseconds an element, both ways, of both, and the ratios."""
    theirs, ours = JsonPlusSerializer(), SnapshotSerializer()
    value = make(size)
    repeats = max(1, 4000 // size)
    packed, text = theirs.dumps_typed(value), ours.dumps_typed(value)
    if ours.loads_typed(text) != value:
        raise SystemExit(f"{name} does not come back")
    seconds = [
        best(lambda: theirs.dumps_typed(value), repeats),
        best(lambda: ours.dumps_typed(value), repeats),
        best(lambda: theirs.loads_typed(packed), repeats),
        best(lambda: ours.loads_typed(text), repeats),
    ]
    theirs_out, ours_out, theirs_in, ours_in = (each / size * 1e6 for each in seconds)
    print(
        f"{name:<10} {size:>5}   {theirs_out:>8.2f} {ours_out:>8.2f} {ours_out / theirs_out:>6.2f}"
        f"   {theirs_in:>8.2f} {ours_in:>8.2f} {ours_in / theirs_in:>6.2f}"
        f"   {len(packed[1]) / size:>7.0f} {len(text[1]) / size:>7.0f}"
    )


def main() -> None:
    """Print the table."""
    print(f"Python {sys.version.split()[0]}; microseconds and bytes an element\n")
    print(
        f"{'values':<10} {'n':>5}   {'dumps':>8} {'ours':>8} {'ratio':>6}"
        f"   {'loads':>8} {'ours':>8} {'ratio':>6}   {'bytes':>7} {'ours':>7}"
    )
    for make in (talk, agent, rows, documents):
        for size in SIZES:
            compare(make.__name__, make, size)


if __name__ == "__main__":
    main()

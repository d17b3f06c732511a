"""How fast the snapshot serializer is beside LangGraph's own: run it as a script.

Both work in turn in one process; each figure is the best of several rounds, in processor time, so
that it matters less what else the machine does. A ratio is to the time of LangGraph's. The floor is
what orjson alone takes to write or read the same JSON, with nobody looking at the values.

They are without the garbage collector, as timeit has it; "gc" is the share of loading that it takes
when it is on, in a process that has half a million objects besides, as one with an agent has.
"""

from __future__ import annotations

import gc
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any

import orjson
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


def best(action: Callable[[], Any], repeats: int, *, collector: bool = False) -> float:
    """Seconds of processor time that one run takes in the best round."""
    gc.collect()
    setup = gc.enable if collector else (lambda: None)  # timeit has turned it off by then
    rounds = timeit.repeat(action, setup, time.process_time, number=repeats, repeat=ROUNDS)
    return min(rounds) / repeats


def compare(name: str, make: Callable[[int], list[Any]], size: int) -> None:
    """Print one line: microseconds an element, both ways, of both, and the ratios."""
    theirs, ours = JsonPlusSerializer(), SnapshotSerializer()
    value = make(size)
    repeats = max(1, 4000 // size)
    packed, text = theirs.dumps_typed(value), ours.dumps_typed(value)
    if ours.loads_typed(text) != value:
        raise SystemExit(f"{name} does not come back")
    tree = ours.encode(value)
    out = [
        best(lambda: theirs.dumps_typed(value), repeats),
        best(lambda: ours.dumps_typed(value), repeats),
        best(lambda: orjson.dumps(tree), repeats),
    ]
    load = [
        lambda: theirs.loads_typed(packed),
        lambda: ours.loads_typed(text),
        lambda: orjson.loads(text[1]),
    ]
    back = [best(each, repeats) for each in load]
    collected = [1 - back[n] / best(load[n], repeats, collector=True) for n in (0, 1)]
    line = f"{name:<10} {size:>5}"
    for seconds in (out, back):
        one, other, _ = (each / size * 1e6 for each in seconds)
        line += f"   {one:>7.2f} {other:>7.2f}"
        line += "".join(f" {each / seconds[0]:>6.2f}" for each in seconds[1:])
    line += "  " + "".join(f" {max(0, share):>6.0%}" for share in collected)
    print(line + f"   {len(packed[1]) / size:>6.0f} {len(text[1]) / size:>6.0f}")


def compare_one_by_one(name: str, make: Callable[[int], list[Any]], size: int) -> None:
    """Print one line of what the saver does with a list: each element by itself."""
    theirs, ours = JsonPlusSerializer(), SnapshotSerializer()
    value = make(size)
    seconds = [
        best(lambda dumps=serde.dumps_typed: [dumps(each) for each in value], 4000 // size)  # type: ignore[misc]
        for serde in (theirs, ours)
    ]
    one, other = (each / size * 1e6 for each in seconds)
    print(f"{name:<10} {size:>5}   {one:>7.2f} {other:>7.2f} {other / one:>6.2f}")


def main() -> None:
    """Print the tables."""
    heap = [[n] for n in range(500_000)]
    print(f"Python {sys.version.split()[0]}; microseconds and bytes an element\n")
    columns = f"{'theirs':>7} {'ours':>7} {'ratio':>6} {'floor':>6}"
    print(
        f"{'':<16}   {'dumps':<29}   {'loads':<29}   {'gc':<13}   bytes\n"
        f"{'values':<10} {'n':>5}   {columns}   {columns}"
        f"   {'theirs':>6} {'ours':>6}   {'theirs':>6} {'ours':>6}"
    )
    for make in (talk, agent, rows, documents):
        for size in SIZES:
            compare(make.__name__, make, size)
    print(
        f"\n{'':<16}   dumps of each element by itself\n"
        f"{'values':<10} {'n':>5}   {'theirs':>7} {'ours':>7} {'ratio':>6}"
    )
    for make in (talk, agent, rows, documents):
        compare_one_by_one(make.__name__, make, 200)
    del heap


if __name__ == "__main__":
    main()

"""An agent whose messages lie in a DeltaChannel, from its first turn on."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import partial, reduce
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.channels.delta import DeltaChannel
from typing_extensions import TypedDict

from benchmarks import targets
from benchmarks.contenders import NONE, OFFICIAL, OURS, contenders
from benchmarks.data import question, text
from benchmarks.measure import Bench, Figure, Samples, Spread
from benchmarks.workloads.turns import State, kilobytes, linear


def _add_all(state: list[Any], writes: list[list[Any]]) -> list[Any]:
    return reduce(operator.add, writes, state)


class Agent(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], DeltaChannel(_add_all)]


def _call(state: State) -> State:
    count = len(state["messages"])
    calls = [{"name": "search", "args": {"query": text(count, 5)}, "id": f"call-{count}"}]
    return {"messages": [AIMessage("", tool_calls=calls, id=f"t-{count}")]}


def _search(state: State) -> State:
    count = len(state["messages"])
    call = state["messages"][-1].tool_calls[0]
    return {"messages": [ToolMessage(text(count), tool_call_id=call["id"], id=f"o-{count}")]}


def _answer(state: State) -> State:
    count = len(state["messages"])
    return {"messages": [AIMessage(text(count), id=f"a-{count}")]}


def run(bench: Bench) -> Iterator[Figure]:
    """Turns one after the other, of each saver in turn; the early and the late ones apart."""
    config: Any = {"configurable": {"thread_id": "thread"}}
    builder = linear(Agent, model=_call, tools=_search, answer=_answer)
    for colour in bench.scale.colours:
        with bench.database() as (dsn, meter), contenders(dsn, colour) as savers:
            graphs = {n: builder.compile(checkpointer=each.saver) for n, each in savers.items()}
            samples = {name: Samples() for name in graphs}
            found: dict[str, Any] = {NONE: {"messages": []}}

            def work(name: str, given: list[AnyMessage]) -> None:
                found[name] = savers[name].call(graphs[name], "invoke", {"messages": given}, config)  # noqa: B023 -- called here

            for turn in range(bench.scale.delta):
                asked = question(turn)
                past = found[NONE]["messages"]
                for name in savers:
                    given = [*past, asked] if name == NONE else [asked]
                    meter.measure(partial(work, name, given), samples[name])
        yield from _figures(bench.scale.delta, colour, samples)


def _figures(turns: int, colour: str, samples: dict[str, Samples]) -> Iterator[Figure]:
    quarter = max(1, turns // 4)
    parts = {
        f"all {turns} turns": slice(None),
        f"turns {quarter + 1} to {2 * quarter}": slice(quarter, 2 * quarter),
        f"the last {quarter} turns": slice(-quarter, None),
    }
    for part, which in parts.items():
        spreads = {name: Spread.of(each.ms[which]) for name, each in samples.items()}
        alone = spreads[NONE].median
        yield Figure(
            "delta",
            f"{part}, {colour}",
            "added time of a turn",
            "ms",
            {name: s if name == NONE else s.less(alone) for name, s in spreads.items()},
            target=targets.DELTA,
        )
    wal = {name: kilobytes(samples[name].wal) for name in (OURS, OFFICIAL)}
    yield Figure("delta", f"all {turns} turns, {colour}", "WAL a turn", "kB", wal)

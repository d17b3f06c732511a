"""A turn of a graph on a thread that has a past."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Send
from typing_extensions import TypedDict

from benchmarks import targets
from benchmarks.contenders import FLOOR, IDLE, NONE, OURS, Contender, IdleSaver, contenders
from benchmarks.data import conversation, files, question, text, tool_calls, tool_conversation
from benchmarks.floor import Operation, Recorder, floor
from benchmarks.measure import Bench, Figure, Samples, Spread, Work

State: TypeAlias = Mapping[str, Any]
Node: TypeAlias = Callable[[Any], State]


@dataclass(frozen=True)
class Scene:
    """A graph, and what happens to it.

    Attributes:
        title: What it is, for the table.
        graph: Builds it.
        past: The state that a turn finds, made for a scale's ``files`` where that matters.
        given: What the turn of that number is given.
        whole: What a graph without a saver is given instead: the past, too.
    """

    title: str
    graph: Callable[[], StateGraph[Any]]
    past: Callable[[Bench], State]
    given: Callable[[int], State]

    def whole(self, past: State, turn: int) -> State:
        """The past, and what the turn is given: for a graph that has no saver."""
        whole = dict(past)
        for channel, value in self.given(turn).items():
            before = past.get(channel)
            if isinstance(before, dict):
                whole[channel] = {**before, **value}
            elif isinstance(before, list):
                whole[channel] = [*before, *value]
            else:
                whole[channel] = value
        return whole


def linear(state: type[Any], **nodes: Node) -> StateGraph[Any]:
    """One node after the other."""
    builder = StateGraph(state)
    names = list(nodes)
    for before, name in zip([START, *names], names, strict=False):
        builder.add_node(name, nodes[name])
        builder.add_edge(before, name)
    builder.add_edge(names[-1], END)
    return builder


def reply(state: State) -> State:
    """The model's answer."""
    return {"messages": [AIMessage(text(len(state["messages"])))]}


def chat_graph() -> StateGraph[Any]:
    return linear(MessagesState, reply=reply)


def ask(turn: int) -> State:
    return {"messages": [question(turn)]}


def chat_scene(length: int) -> Scene:
    """A question and an answer, after so many messages."""
    past = {"messages": conversation(length)}
    return Scene(f"{length} messages", chat_graph, lambda _bench: past, ask)


class Small(TypedDict, total=False):
    question: str
    plan: str
    draft: str
    answer: str


def _small_graph() -> StateGraph[Any]:
    return linear(
        Small,
        plan=lambda state: {"plan": f"plan of {state['question']}"},
        write=lambda state: {"draft": f"draft of {state['plan']}"},
        check=lambda state: {"answer": f"checked {state['draft']}"},
    )


class Fan(TypedDict, total=False):
    items: list[int]
    results: Annotated[list[dict[str, Any]], lambda old, new: [*old, *new][-8:]]


def _fan_out_graph() -> StateGraph[Any]:
    builder = StateGraph(Fan)
    builder.add_node("plan", lambda _state: {"items": list(range(8))})
    builder.add_node("work", lambda item: {"results": [{"item": item["item"], "text": text(1)}]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", lambda state: [Send("work", {"item": item}) for item in state["items"]], ["work"]
    )
    builder.add_edge("work", END)
    return builder


TOOLS, WORDS_OF_OUTPUT = 3, 3_000


def _tool_graph() -> StateGraph[Any]:
    def outputs(state: State) -> State:
        return {
            "messages": [
                ToolMessage(text(n, WORDS_OF_OUTPUT), tool_call_id=call["id"])
                for n, call in enumerate(state["messages"][-1].tool_calls)
            ]
        }

    return linear(
        MessagesState,
        model=lambda state: {"messages": [tool_calls(len(state["messages"]), TOOLS)]},
        tools=outputs,
        answer=reply,
    )


class Project(TypedDict, total=False):
    files: Annotated[dict[str, str], operator.or_]
    task: str


def _files_graph() -> StateGraph[Any]:
    def edit(state: State) -> State:
        number = state["task"].split()[-1]
        return {"files": {f"src/module_{number}.py": text(0, 300) + state["task"]}}

    return linear(Project, edit=edit)


WINDOW = 50


def _window(old: list[AnyMessage], new: list[AnyMessage]) -> list[AnyMessage]:
    return list(add_messages(old, new))[-WINDOW:]  # type: ignore[arg-type]


class Window(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], _window]


SCENES: Mapping[str, Scene] = {
    "small": Scene(
        "small graph of 3 steps",
        _small_graph,
        lambda _bench: {"question": "what?", "plan": "none", "draft": "none", "answer": "none"},
        lambda turn: {"question": f"question {turn}"},
    ),
    "fan-out": Scene(
        "8 nodes in parallel",
        _fan_out_graph,
        lambda _bench: {"items": [], "results": [{"item": 0, "text": text(2)}]},
        lambda turn: {"items": [turn]},
    ),
    "tools": Scene(
        "agent, 3 tool outputs of 20 kB",
        _tool_graph,
        lambda bench: {
            "messages": tool_conversation(min(bench.scale.long, 60), TOOLS, WORDS_OF_OUTPUT)
        },
        ask,
    ),
    "files": Scene(
        "a file of many changes",
        _files_graph,
        lambda bench: {"files": files(bench.scale.files), "task": "begin"},
        lambda turn: {"task": f"edit {turn}"},
    ),
    "window": Scene(
        f"the last {WINDOW} messages",
        lambda: linear(Window, reply=reply),
        lambda _bench: {"messages": conversation(WINDOW)},
        ask,
    ),
}


def scene(name: str, bench: Bench) -> Iterator[Figure]:
    """One of the scenes."""
    each = SCENES[name]
    # all durabilities where there is a target for each
    durabilities = bench.scale.durabilities[: None if name == "small" else 1]
    for colour in bench.scale.colours:
        for durability in durabilities:
            past = each.past(bench)
            samples = measure(bench, each, past, colour=colour, durability=durability)
            yield from turn_figures(
                name,
                f"{each.title}, {colour}, {durability}",
                samples,
                time_target=targets.ADDED_TIME_OF_A_SMALL_GRAPH if name == "small" else None,
                wal_target=targets.WAL_OF_ONE_FILE if name == "files" else None,
            )


def chat(bench: Bench) -> Iterator[Figure]:
    """A question and an answer, on threads of several lengths."""
    for colour in bench.scale.colours:
        for durability in bench.scale.durabilities:
            wal: dict[int, Spread] = {}
            for length in bench.scale.lengths:
                each = chat_scene(length)
                past = each.past(bench)
                samples = measure(bench, each, past, colour=colour, durability=durability)
                wal[length] = Spread.of(samples[OURS].wal)
                yield from turn_figures(
                    "chat",
                    f"{each.title}, {colour}, {durability}",
                    samples,
                    time_target=targets.ADDED_TIME.get(length),
                    wal_target=targets.WAL.get(length),
                )
            short, long = min(wal), max(wal)
            yield Figure(
                "chat",
                f"{long} against {short} messages, {colour}, {durability}",
                "WAL a turn",
                "kB",
                {},
                ratio=wal[long].median / wal[short].median,
                between=f"{OURS}, {long} / {short}",
                target=targets.WAL_BY_LENGTH,
            )


def measure(
    bench: Bench, each: Scene, past: State, *, colour: str, durability: str
) -> dict[str, Samples]:
    """Turns of a scene: without a saver, with an idle one, on the floor, with ours, with theirs."""
    config: Any = {"configurable": {"thread_id": "thread"}}
    builder = each.graph()

    def turns(contender: Contender) -> Work:
        graph = builder.compile(checkpointer=contender.saver)
        if contender.saver is None:
            return lambda turn: contender.call(graph, "invoke", each.whole(past, turn))
        contender.call(graph, "update_state", config, past)
        return lambda turn: contender.call(
            graph, "invoke", each.given(turn), config, durability=durability
        )

    with (
        bench.database() as (dsn, meter),
        contenders(dsn, colour) as all_of_them,
        floor(dsn) as ground,
    ):
        all_of_them[IDLE] = Contender(IdleSaver(), all_of_them[NONE].loop)
        works = {name: turns(contender) for name, contender in all_of_them.items()}
        filling, operations = recorded(builder, each, past, durability)
        ground.run(filling)
        works[FLOOR] = lambda _turn: ground.run(operations)
        meter.checkpoint()
        return bench.interleave(meter, works)


def recorded(
    builder: StateGraph[Any], each: Scene, past: State, durability: str
) -> tuple[list[Operation], list[Operation]]:
    """What a saver is asked for to store the past, and in one turn."""
    recorder = Recorder()
    graph = builder.compile(checkpointer=recorder)
    config: Any = {"configurable": {"thread_id": "thread"}}
    graph.update_state(config, dict(past))
    filled = len(recorder.operations)
    graph.invoke(dict(each.given(0)), config, durability=durability)  # type: ignore[call-overload]
    return recorder.operations[:filled], recorder.operations[filled:]


def turn_figures(
    workload: str,
    case: str,
    samples: Mapping[str, Samples],
    *,
    time_target: float | None = None,
    wal_target: float | None = None,
) -> Iterator[Figure]:
    """Time that each adds to a turn, and what it has the server log."""
    spreads = {name: Spread.of(each.ms) for name, each in samples.items()}
    alone = spreads[NONE].median
    added = {n: s if n in (NONE, FLOOR) else s.less(alone) for n, s in spreads.items()}
    yield Figure(workload, case, "added time of a turn", "ms", added, target=time_target)
    wal = {n: kilobytes(s.wal) for n, s in samples.items() if n not in (NONE, IDLE)}
    yield Figure(workload, case, "WAL a turn", "kB", wal, target=wal_target)


def kilobytes(found: list[float]) -> Spread:
    return Spread.of(each / 1000 for each in found)

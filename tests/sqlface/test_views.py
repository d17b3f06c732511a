"""The views of messages and of history, against what LangGraph itself says of the same threads."""

from __future__ import annotations

import json
import random
from typing import Annotated, Any

import psycopg
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer
from langgraph.types import Command, Overwrite
from psycopg.rows import dict_row
from talks import chat_graph, usage
from typing_extensions import TypedDict

from graphs import (
    agent_turn_graph,
    approve,
    asking_graph,
    fan_out_graph,
    human,
    nested_graph,
    steps_graph,
    tool_agent,
)
from helpers import SERDES, Chain, config_of
from langgraph_pg_snapshot import PostgresSnapshotSaver


class OwnMessage(AIMessage):
    """A class of the application's."""


CALL = {"name": "look_up", "args": {"b": 1, "a": [2]}, "id": "call-1", "type": "tool_call"}
BLOCKS = [
    {"type": "text", "text": "one "},
    {"type": "image_url", "image_url": {"url": "data:…"}},
    "two ",
    {"type": "text", "text": "three \x00"},
]
MESSAGES: list[BaseMessage] = [
    HumanMessage("hi"),
    HumanMessage("ünïcödé 表", id="1", name="ada"),
    HumanMessage(""),
    HumanMessage(BLOCKS[:3]),
    HumanMessage([]),
    AIMessage("yes", usage_metadata=usage(3, 4), response_metadata={"model_name": "large"}),
    AIMessage("", tool_calls=[CALL], response_metadata={"model": "small"}),
    SystemMessage("be kind"),
    ToolMessage("42", tool_call_id="call-1", name="look_up"),
    ToolMessage("no", tool_call_id="call-2", status="error"),
    FunctionMessage("42", name="f"),
    ChatMessage("hm", role="critic"),
    OwnMessage("own", id="2"),
    HumanMessageChunk(content="a"),
    AIMessageChunk(content="b", usage_metadata=usage(1, 2)),
    SystemMessageChunk(content="c"),
    ToolMessageChunk(content="d", tool_call_id="call-3"),
    FunctionMessageChunk(content="e", name="f"),
    ChatMessageChunk(content="f", role="critic"),
]
TYPES = {
    SystemMessage: ("system", "system"),
    HumanMessage: ("human", "user"),
    AIMessage: ("ai", "assistant"),
    ToolMessage: ("tool", "tool"),
    FunctionMessage: ("function", "function"),
    ChatMessage: ("chat", "critic"),
}


def expected_of(message: BaseMessage) -> dict[str, Any]:
    """What the view should say of a message."""
    [(type_, role)] = [names for kind, names in TYPES.items() if isinstance(message, kind)]
    counted = getattr(message, "usage_metadata", None) or {}
    metadata = message.response_metadata
    return {
        "id": message.id,
        "type": type_,
        "role": role,
        "name": message.name,
        "content": message.text,
        "tool_call_id": getattr(message, "tool_call_id", None),
        "status": getattr(message, "status", None),
        "model": metadata.get("model_name", metadata.get("model")),
        **{name: counted.get(name) for name in usage(0, 0)},
    }


def ask(database: str, query: str, *arguments: Any) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as conn:
        return conn.execute(query, arguments).fetchall()


def shown(database: str, thread_id: str = "thread", channel: str = "messages") -> list[Any]:
    """The rows of a channel by position, which counts up from 0."""
    return ask(
        database,
        "SELECT * FROM agent_checkpoints_messages WHERE thread_id = %s AND channel = %s"
        " ORDER BY position",
        thread_id,
        channel,
    )


LAYOUTS = {
    "in the row": [[each] for each in MESSAGES if len(each.content) < 30],
    "one item": [[HumanMessage("hi")] * 30],
    "an item each": [MESSAGES, [HumanMessage("long " * 99)] * 3],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_message_however_it_lies(any_ready_database, layout):
    with PostgresSnapshotSaver(any_ready_database) as saver:
        for number, messages in enumerate(LAYOUTS[layout]):
            thread_id = f"thread {number}"
            saver.save_state(thread_id, {"messages": messages, "n": number, "$list": [1]})
            rows = shown(any_ready_database, thread_id)
            assert [row["position"] for row in rows] == list(range(len(messages)))
            expected = [expected_of(each) for each in messages]
            assert [{key: row[key] for key in expected[0]} for row in rows] == expected
            for row, message in zip(rows, messages, strict=True):
                calls = saver.serde.loads(json.dumps(row["tool_calls"] or []))
                assert calls == getattr(message, "tool_calls", [])
                assert saver.serde.loads(json.dumps(row["message"])) == message


def test_text_with_nul_is_shown_escaped(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("thread", {"messages": [HumanMessage("a\x00b"), HumanMessage(BLOCKS)]})
    assert [row["content"] for row in shown(ready_database)] == [
        "a\\u0000b",
        "one two three \\u0000",
    ]


def test_only_messages_are_shown_at_the_place_where_they_are(ready_database):
    mixed = [
        "text",
        HumanMessage("first"),
        None,
        {"role": "assistant", "content": "as a dict"},
        {"role": "manager", "content": "no message"},
        7,
        [HumanMessage("inside")],
    ]
    with PostgresSnapshotSaver(ready_database) as saver:
        for long in ([], [{"text": "x" * 300}] * 3):
            saver.save_state(
                "thread",
                {
                    "mixed": mixed + long,
                    "alone": AIMessage("alone" + "x" * 30 * len(long)),
                    "doc": {"content": "c", "type": "human"},
                },
            )
            rows = shown(ready_database, channel="mixed")
            assert [(row["position"], row["type"], row["content"]) for row in rows] == [
                (1, "human", "first"),
                (3, "ai", "as a dict"),
            ]
            [row] = shown(ready_database, channel="alone")
            assert (row["position"], row["content"][:5]) == (0, "alone")
            assert shown(ready_database, channel="doc") == []


@pytest.mark.parametrize("every", [1, 3, 100])
@pytest.mark.parametrize("seed", range(3))
def test_delta_channel_holds_what_its_reducer_says(any_ready_database, every, seed):
    """Messages added, replaced, removed, said again, overwritten; by two nodes side by side."""
    chance = random.Random(seed)
    messages = Annotated[list, DeltaChannel(_messages_delta_reducer, snapshot_frequency=every)]
    state = TypedDict("State", {"messages": messages}, total=False)  # noqa: UP013

    def write(_state):
        kind = chance.random()
        if kind < 0.1:
            return {"messages": Overwrite([HumanMessage("anew", id="0")] * chance.randint(0, 1))}
        written = [
            RemoveMessage(id=str(number))
            if chance.random() < 0.3
            else AIMessage(f"{chance.random()} " * chance.randint(1, 9), id=str(number))
            for number in chance.choices(range(9), k=chance.randint(0, 4))
        ]
        return {"messages": written}

    builder = StateGraph(state)
    for name in ("left", "right"):
        builder.add_node(
            name,
            write
            if name == "left"
            else lambda _: {"messages": [HumanMessage("right", id=str(chance.randint(20, 23)))]},
        )
        builder.add_edge(START, name)
    with PostgresSnapshotSaver(any_ready_database) as saver:
        graph = builder.compile(checkpointer=saver)
        for turn in range(12):
            graph.invoke({"messages": [HumanMessage(f"turn {turn}")]}, config_of("thread"))
            held = graph.get_state(config_of("thread")).values["messages"]
            rows = shown(any_ready_database)
            assert [(row["id"], row["content"]) for row in rows] == [
                (each.id, each.text) for each in held
            ]
            assert [row["position"] for row in rows] == list(range(len(held)))


@pytest.mark.parametrize("seed", range(5))
def test_writes_are_replayed_as_langgraph_does_it(ready_database, seed):
    """Whatever stands in them. (1.2.0 stores no snapshot after an Overwrite, newer ones do.)"""
    chance = random.Random(seed)

    def some():
        return [
            chance.choice([HumanMessage, RemoveMessage])(id=str(chance.randint(0, 5)), content="")
            for _ in range(chance.randint(0, 3))
        ]

    counters = {"counters_since_delta_snapshot": {"messages": [1, 1]}}
    with PostgresSnapshotSaver(ready_database) as saver:
        chain = Chain(saver, "thread")
        anew = [HumanMessage(f"{number} " * 99, id=str(number)) for number in range(3)]
        chain.put({"messages": anew})
        for _ in range(4):
            for task in range(2):
                written = chance.choice([some(), some(), Overwrite(anew[1:]), HumanMessage("one")])
                saver.put_writes(chain.head, [("messages", written)], f"task {task}")
            chain.put(valueless=("messages",), metadata=counters)
            history = saver.get_delta_channel_history(config=chain.head, channels=["messages"])
            channel = DeltaChannel(_messages_delta_reducer).from_checkpoint(
                history["messages"]["seed"]
            )
            channel.replay_writes(history["messages"]["writes"])
            assert [(row["id"], row["content"]) for row in shown(ready_database)] == [
                (each.id, each.text) for each in channel.value
            ]


def test_time_of_a_message_is_when_it_was_stored(ready_database):
    with PostgresSnapshotSaver(ready_database) as saver:
        for turn in range(3):
            chat_graph(saver).invoke({"messages": [human(str(turn))]}, config_of("thread"))
    turns = ask(
        ready_database,
        "SELECT created_at FROM agent_checkpoints_steps WHERE 'messages' = ANY (changed_channels)"
        " ORDER BY checkpoint_id",
    )
    rows = shown(ready_database)
    said, stored = ([row["created_at"] for row in found] for found in (rows, turns))
    # (The first one was stored with its list; the second made an item of each.)
    assert said == [stored[1], *stored[1:]]
    assert len(set(stored)) == 6


RUNS = {
    "agent": (tool_agent, [{"messages": [human("hi")]}, {"messages": [human("again")]}]),
    "interrupted": (agent_turn_graph, [{"log": ["go"]}]),
    "resumed": (agent_turn_graph, [{"log": ["go"]}, approve()]),
    "two questions": (asking_graph, [{"log": ["go"]}]),
    "subgraphs": (nested_graph, [{"log": ["go"]}, Command(resume="inside")]),
    "sends": (fan_out_graph, [{"items": [1, 2]}, {"items": [3]}]),
    "many sends": (fan_out_graph, [{"items": ["x" * 200, "y" * 200, "z" * 99]}]),
    "long": (lambda saver: steps_graph(saver, "abcdef"), [{"log": ["go"]}] * 2),
}


@pytest.mark.parametrize("run", RUNS)
def test_steps_are_those_of_langgraphs_history(any_ready_database, run):
    make, turns = RUNS[run]
    with PostgresSnapshotSaver(any_ready_database) as saver:
        graph = make(saver)
        for turn in turns:
            graph.invoke(turn, config_of("thread"))
        graph.update_state(config_of("thread"), {}, as_node="__copy__")
        history = {
            state.config["configurable"]["checkpoint_id"]: state
            for state in graph.get_state_history(config_of("thread"))
        }
    rows = ask(
        any_ready_database,
        "SELECT * FROM agent_checkpoints_steps WHERE thread_id = 'thread' AND checkpoint_ns = ''"
        " ORDER BY checkpoint_id DESC",
    )
    assert [row["checkpoint_id"] for row in rows] == list(history)
    assert [row["is_newest"] for row in rows] == [True] + [False] * (len(rows) - 1)
    for row in rows:
        state = history[row["checkpoint_id"]]
        assert (row["step"], row["source"]) == (state.metadata["step"], state.metadata["source"])
        parent = history.get(row["parent_checkpoint_id"])
        assert (state.parent_config is None) == (parent is None)
        asked = [each.value for task in state.tasks for each in task.interrupts]
        assert sorted(row["interrupts"] or [], key=repr) == sorted(asked, key=repr)
        assert row["is_interrupted"] == bool(asked)
        if parent is None:
            assert row["nodes"] is None
        elif row["source"] == "loop":
            assert row["nodes"] == sorted({*parent.next} - {"__start__"})
            for channel in {*state.values, *parent.values}:
                if state.values.get(channel) != parent.values.get(channel):
                    assert channel in row["changed_channels"]


def test_failed_node_is_told(ready_database):
    def fail(name):
        raise ValueError(f"{name} can't")

    with (
        PostgresSnapshotSaver(ready_database) as saver,
        pytest.raises(ValueError, match="a can't"),
    ):
        steps_graph(saver, fail=fail).invoke({"log": ["go"]}, config_of("thread"))
    rows = ask(ready_database, "SELECT * FROM agent_checkpoints_steps WHERE error IS NOT NULL")
    assert [(row["error"], row["is_newest"]) for row in rows] == [("a can't", True)]


@pytest.mark.parametrize("serde", ["jsonplus", "encrypted"])
def test_other_serializers_show_no_message_but_every_step(ready_database, serde):
    with PostgresSnapshotSaver(ready_database, serde=SERDES[serde]()) as saver:
        chat_graph(saver).invoke({"messages": [human("hi")]}, config_of("chat"))
        agent_turn_graph(saver).invoke({"log": ["go"]}, config_of("asks"))
        agent_turn_graph(saver).invoke({"log": ["go"]}, config_of("answered"))
        agent_turn_graph(saver).invoke(approve(), config_of("answered"))
    assert ask(ready_database, "SELECT * FROM agent_checkpoints_messages") == []
    rows = ask(
        ready_database, "SELECT * FROM agent_checkpoints_steps ORDER BY thread_id, checkpoint_id"
    )
    assert [(row["thread_id"], row["step"], row["nodes"]) for row in rows] == [
        ("answered", -1, None),
        ("answered", 0, []),
        ("answered", 1, ["agent"]),
        ("answered", 2, ["tool_one", "tool_two"]),
        ("answered", 3, ["review"]),
        ("asks", -1, None),
        ("asks", 0, []),
        ("asks", 1, ["agent"]),
        ("asks", 2, ["tool_one", "tool_two"]),
        ("chat", -1, None),
        ("chat", 0, []),
        ("chat", 1, ["model"]),
    ]
    assert [row["thread_id"] for row in rows if row["is_interrupted"]] == ["answered", "asks"]
    assert [row["thread_id"] for row in rows if row["is_waiting"]] == ["asks"]
    assert all(row["interrupts"] is None for row in rows)


# What JSON can say, and more than a bigint can: no row of a view may fail on any of it.
ODD = [
    *(None, True, 2**63, -(2**63) - 1, 1e30, 1.5, 2.0, "", "text", "7", [], [1, [2]], ["x"], {}),
    *([{"text": None}, {"text": {"a": 1}, "type": "text"}], {"a": {"b": 1}}, {"": []}),
    *([{"input_tokens": 7}], {"escaped": 1}, {"$type": "human"}, {"$list": [["a"]], "$item": "b"}),
]
WHOLE = {"input_tokens": 7, "output_tokens": 2**63 - 1, "total_tokens": 3.0}
PLACES = [
    *("id", "name", "role", "content", "tool_calls", "tool_call_id", "status", "type", "$type"),
    *("response_metadata", "usage_metadata"),
]


def tells_apart(value: Any) -> Any:
    """The number that a column of whole numbers shows of a value."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and value == int(value) and -(2**63) < value < 2**63 else None


@pytest.mark.parametrize("long", ["", "x" * 300], ids=["in the row", "apart"])
def test_no_message_breaks_the_view_for_the_others(any_ready_database, long):
    """Each odd value at each place that the view looks at, in a list and alone in a channel."""
    with PostgresSnapshotSaver(any_ready_database) as saver:
        said = {"role": "assistant", "content": long, "usage_metadata": WHOLE}
        saver.save_state("thread", {"messages": [said, HumanMessage("hi")], "alone": said})
        saver.save_state("odd", {str(n): odd for n, odd in enumerate(ODD)} | {"messages": ODD})
        for place in PLACES:
            odd = [{**said, place: value} for value in ODD]
            saver.save_state(place, {"messages": odd} | {str(n): m for n, m in enumerate(odd)})
        tokens = [{**said, "usage_metadata": dict.fromkeys(WHOLE, value)} for value in ODD]
        saver.save_state("tokens", {"messages": tokens})
        calls = [{**said, "tool_calls": [value]} for value in ODD]
        saver.save_state("calls", {"messages": calls})
    assert len(ask(any_ready_database, "SELECT * FROM agent_checkpoints")) == len(PLACES) + 4
    rows = ask(any_ready_database, "SELECT * FROM agent_checkpoints_messages ORDER BY position")
    [(first, _), alone, shown_calls, shown_tokens] = (
        [row for row in rows if (row["thread_id"], row["channel"]) == at]
        for at in [
            ("thread", "messages"),
            ("thread", "alone"),
            ("tool_calls", "messages"),
            ("tokens", "messages"),
        ]
    )
    assert [{name: row[name] for name in WHOLE} for row in (first, *alone)] == [WHOLE] * 2
    assert [row["tool_calls"] for row in shown_calls] == [
        value if isinstance(value, list) else None for value in ODD
    ]
    assert [[row[name] for name in WHOLE] for row in shown_tokens] == [
        [tells_apart(value)] * 3 for value in ODD
    ]


def test_no_step_breaks_the_view_for_the_others(any_ready_database):
    with PostgresSnapshotSaver(any_ready_database) as saver:
        for number, value in enumerate(ODD):
            chain = Chain(saver, f"step {number:02}")
            for place in ("step", "source", "run_id", "counters_since_delta_snapshot"):
                chain.put({"a": 1, "__pregel_tasks": value}, metadata={"step": value, place: value})
            for channel in ("__interrupt__", "__error__", "__resume__"):
                saver.put_writes(chain.head, [(channel, value)], channel)
    rows = ask(any_ready_database, "SELECT * FROM agent_checkpoints_steps ORDER BY thread_id")
    assert [row["step"] for row in rows] == [tells_apart(value) for value in ODD for _ in range(4)]


EDITS = [
    ("items", "item = 'JSON'"),
    ("items", """item = item || '{"content": JSON}'"""),
    ("items", """item = item || '{"usage_metadata": JSON}'"""),
    ("items", """item = item || '{"usage_metadata": {"input_tokens": JSON}}'"""),
    ("items", """item = item || '{"tool_calls": JSON}'"""),
    ("writes", "value = 'JSON'"),
    ("history", """metadata = '{"step": JSON}'"""),
    ("history", """header = header || '{"versions_seen": JSON}'"""),
    ("history", """header = header || '{"channel_versions": JSON}'"""),
    ("history", """metadata = metadata || '{"counters_since_delta_snapshot": JSON}'"""),
]


@pytest.mark.parametrize(("table", "edit"), EDITS)
@pytest.mark.parametrize(
    "json_text", ['"text"', "[1, [2]]", "null", "1.5", "1e400", '{"a": {"b": 1}}']
)
def test_views_bear_with_what_others_wrote(ready_database, table, edit, json_text):
    with PostgresSnapshotSaver(ready_database) as saver:
        tool_agent(saver).invoke({"messages": [human("hi")]}, config_of("thread"))
        asking_graph(saver).invoke({"log": ["go"]}, config_of("asks"))
    with psycopg.connect(ready_database, autocommit=True) as conn:
        before = conn.execute("SELECT count(*) FROM agent_checkpoints_steps").fetchone()
        edit = edit.replace("JSON", json_text)
        assert conn.execute(f"UPDATE agent_checkpoints_{table} SET {edit}").rowcount > 0  # noqa: S608
        conn.execute("SELECT * FROM agent_checkpoints_messages")
        found = conn.execute("SELECT * FROM agent_checkpoints_steps").fetchall()
        assert [len(found)] == list(before)


@pytest.mark.parametrize("length", [1, 100, 300, 3000])
def test_message_alone_in_a_channel_is_shown_however_long(ready_database, length):
    message = {"role": "assistant", "content": "x" * length, "id": "1", "note": "y" * length}
    with PostgresSnapshotSaver(ready_database) as saver:
        other = {"a": "z" * length, "b": "z" * length}
        saver.save_state("thread", {"last": message, "other": other})
        [row] = ask(ready_database, "SELECT * FROM agent_checkpoints_messages")
        assert row["message"].items() >= message.items()
        assert (row["channel"], row["position"], row["role"], row["content"], row["id"]) == (
            *("last", 0, "assistant"),
            *(message["content"], "1"),
        )
        [step] = ask(ready_database, "SELECT created_at FROM agent_checkpoints_steps")
        assert row["created_at"] == step["created_at"]


def test_only_unanswered_questions_are_open(any_ready_database):
    """Two nodes that ask, one of them twice; each is answered by itself."""

    def state_of(graph):
        [row] = ask(any_ready_database, "SELECT * FROM agent_checkpoints_steps WHERE is_newest")
        asked = [each for task in graph.get_state(config).tasks for each in task.interrupts]
        return row, {each.value if each.value == "aside" else "main": each.id for each in asked}

    config = config_of("thread")
    with PostgresSnapshotSaver(any_ready_database) as saver:
        graph = asking_graph(saver)
        graph.invoke({"log": ["go"]}, config)
        row, ids = state_of(graph)
        assert row["open_interrupts"] == row["interrupts"]
        assert row["is_waiting"]
        assert sorted(ids) == ["aside", "main"]
        graph.invoke(Command(resume={ids["main"]: "one"}), config)
        row, _ = state_of(graph)
        assert sorted(row["open_interrupts"]) == ["aside", "second"]
        graph.invoke(Command(resume={ids["aside"]: "two"}), config)
        row, ids = state_of(graph)
        assert (row["is_interrupted"], row["open_interrupts"]) == (True, ["second"])
        assert row["is_waiting"]
        assert sorted(row["interrupts"]) == ["aside", "second"]
        graph.invoke(Command(resume="three"), config)
        row, _ = state_of(graph)
        assert (row["is_interrupted"], row["open_interrupts"]) == (False, None)
        assert not row["is_waiting"]


def scans(plan: Any) -> list[dict[str, Any]]:
    """The nodes of a plan that read a table, and ran."""
    found = [plan] if "Relation Name" in plan or "Index Name" in plan else []
    return found + [scan for part in plan.get("Plans", ()) for scan in scans(part)]


VIEWS = ["agent_checkpoints", "agent_checkpoints_messages", "agent_checkpoints_steps"]


@pytest.mark.parametrize("delta", [False, True], ids=["list", "delta"])
@pytest.mark.parametrize("is_analyzed", [True, False], ids=["analyzed", "fresh"])
def test_one_threads_rows_are_found_by_index(any_ready_database, is_analyzed, delta):
    """Of 1,000 threads with 10 messages each; the plan is asked what it read."""
    from talks import Chat, DeltaChat

    with PostgresSnapshotSaver(any_ready_database) as saver:
        graph = chat_graph(saver, DeltaChat if delta else Chat)
        for turn in range(5):
            graph.invoke({"messages": [human(str(turn))]}, config_of("thread"))
    with psycopg.connect(any_ready_database, autocommit=True) as conn:
        for table in ("threads", "history", "items", "writes"):
            columns = ", ".join(
                name
                for (name,) in conn.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 1",
                    [f"agent_checkpoints_{table}"],
                )
            )
            conn.execute(
                f"INSERT INTO agent_checkpoints_{table} (thread_id, {columns})"  # noqa: S608
                f" SELECT 'thread-' || n, {columns}"
                f" FROM agent_checkpoints_{table}, generate_series(1, 1000) AS n"
            )
        if is_analyzed:
            conn.execute("ANALYZE")
        for view in VIEWS:
            [(counted,)] = conn.execute(
                f"SELECT count(*) FROM {view} WHERE thread_id = 'thread'"  # noqa: S608
            ).fetchall()
            query = f"SELECT * FROM {view} WHERE thread_id = 'thread-765'"  # noqa: S608
            [([explained],)] = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}").fetchall()
            assert explained["Plan"]["Actual Rows"] == counted > 0
            read = scans(explained["Plan"])
            assert {scan.get("Relation Name") for scan in read} > {"agent_checkpoints_threads"} or (
                view == VIEWS[2]
            )
            for scan in read:
                assert scan["Node Type"] != "Seq Scan", scan
                if "Index Cond" in scan:
                    assert "thread_id" in scan["Index Cond"], scan
                # No more rows than the thread has in any table, however often it is looked at.
                assert scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) < 60, scan


def test_every_relation_and_column_has_a_comment(any_ready_database):
    rows = ask(
        any_ready_database,
        """
        SELECT c.relname, a.attname, d.description
        FROM pg_class AS c
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
            AND d.objsubid = coalesce(a.attnum, 0)
        WHERE c.relkind IN ('r', 'v') AND c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT c.relname, NULL, obj_description(c.oid)
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'v') AND c.relnamespace = 'public'::regnamespace
        """,
    )
    assert len({row["relname"] for row in rows}) == 11
    assert [row for row in rows if not row["description"]] == []

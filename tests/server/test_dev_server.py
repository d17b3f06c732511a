"""A real `langgraph dev` keeps its checkpoints in our tables, whatever its clients do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import agent
import orders
import psycopg
import pytest
from dev_server import DevServer, block, make_project, serving, texts, user
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from psycopg import sql

from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotSerializer
from servers import Server

TABLES = ("threads", "history", "items", "writes", "metadata")


@pytest.fixture(scope="module")
def served_database(server: Server) -> Iterator[str]:
    with server.clone(server.template("empty")) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def dev_server(
    served_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    unused_tcp_port_factory: Callable[[], int],
) -> Iterator[DevServer]:
    directory = tmp_path_factory.mktemp("project")
    make_project(directory, served_database)
    with serving(directory, unused_tcp_port_factory()) as started:
        yield started
    assert "Traceback" not in started.log


@pytest.fixture
def client(dev_server: DevServer) -> Iterator[SyncLangGraphClient]:
    with dev_server.client as made:
        yield made


@pytest.fixture
async def async_client(dev_server: DevServer) -> Any:
    async with dev_server.async_client as made:
        yield made


@pytest.fixture
def thread(client: SyncLangGraphClient) -> str:
    """A thread that has said hello, and was answered."""
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=user("Hello"))
    return thread_id


@pytest.fixture
def rows(served_database: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    with psycopg.connect(served_database, autocommit=True) as connection:
        yield lambda query, *params: connection.execute(query, params).fetchall()


def stored_texts(rows: Callable[..., list[tuple[Any, ...]]], thread_id: str) -> list[str]:
    [(state,)] = rows("SELECT state FROM agent_checkpoints WHERE thread_id = %s", thread_id)
    return texts(state)


def checkpoints(rows: Callable[..., list[tuple[Any, ...]]], thread_id: str) -> list[str]:
    """The ids of a thread's checkpoints, newest first."""
    found = rows(
        "SELECT checkpoint_id FROM agent_checkpoints_history"
        " WHERE thread_id = %s AND checkpoint_ns = '' ORDER BY checkpoint_id DESC",
        thread_id,
    )
    return [each for (each,) in found]


def test_server_says_that_it_uses_ours_and_misses_nothing(dev_server: DevServer):
    assert "Using custom checkpointer: PostgresSnapshotSaver" in dev_server.log
    assert "Custom checkpointer missing" not in dev_server.log


def test_state_and_history_are_what_the_tables_have(client, rows, thread):
    state = client.threads.get_state(thread)
    assert texts(state["values"]) == ["Hello", "You said: Hello"] == stored_texts(rows, thread)
    history = [each["checkpoint"]["checkpoint_id"] for each in client.threads.get_history(thread)]
    assert history == checkpoints(rows, thread)
    assert len(history) == 3
    [(graph_id,)] = rows(
        "SELECT metadata->>'graph_id' FROM agent_checkpoints_metadata WHERE thread_id = %s", thread
    )
    assert graph_id == "agent"


def test_history_is_filtered_and_paged(client, rows, thread):
    client.runs.wait(thread, "agent", input=user("Again"))
    newest, *older = client.threads.get_history(thread)
    # The server hands it on as it is, and savers take a config.
    before = {"configurable": newest["checkpoint"]}
    assert client.threads.get_history(thread, before=before, limit=2) == older[:2]
    assert len(client.threads.get_history(thread, metadata={"source": "input"})) == 2
    [at] = [each for each in older if each["metadata"]["step"] == 1]
    assert client.threads.get_state(thread, checkpoint=at["checkpoint"])["values"] == at["values"]


async def test_streams(async_client: LangGraphClient, rows):
    thread_id = (await async_client.threads.create())["thread_id"]
    parts = [
        part
        async for part in async_client.runs.stream(
            thread_id,
            "agent",
            input=user("Hello"),
            stream_mode=["values", "updates", "checkpoints"],
        )
    ]
    events = [part.event for part in parts]
    assert {"metadata", "values", "updates", "checkpoints"} <= set(events)
    last = [part.data for part in parts if part.event == "values"][-1]
    assert texts(last) == stored_texts(rows, thread_id)
    streamed = [part.data["config"] for part in parts if part.event == "checkpoints"]
    ids = [config["configurable"]["checkpoint_id"] for config in streamed]
    assert ids[::-1] == checkpoints(rows, thread_id)


def test_delta_channel(client, rows, thread):
    for text in ("Two", "Three"):
        client.runs.wait(thread, "agent", input=user(text))
    log = [state["values"].get("log", []) for state in client.threads.get_history(thread)]
    answers = ["answer 0", "answer 1", "answer 2"]
    assert client.threads.get_state(thread)["values"]["log"] == answers == log[0]
    assert answers[:2] in log


def test_state_that_is_changed_from_outside(client, rows, thread):
    before = checkpoints(rows, thread)
    client.threads.update_state(thread, user("Also this"), as_node="answer")
    assert stored_texts(rows, thread)[-1] == "Also this"
    assert checkpoints(rows, thread)[1:] == before
    # A fork: the thread's state is that of the newest checkpoint.
    client.threads.update_state(thread, user("Instead"), checkpoint_id=before[1])
    assert stored_texts(rows, thread) == ["Hello", "Instead"]
    assert client.threads.get_state(thread)["parent_checkpoint"]["checkpoint_id"] == before[1]


def test_copy_goes_its_own_way(client, rows, thread):
    copy = client.threads.copy(thread)["thread_id"]
    assert checkpoints(rows, copy) == checkpoints(rows, thread)
    client.runs.wait(copy, "agent", input=user("More"))
    assert stored_texts(rows, thread) == ["Hello", "You said: Hello"]
    assert stored_texts(rows, copy) == ["Hello", "You said: Hello", "More", "You said: More"]
    assert texts(client.threads.get_state(copy)["values"]) == stored_texts(rows, copy)


@pytest.mark.parametrize("how", ["delete", "prune"])
def test_what_is_deleted_leaves_no_row(client, rows, thread, how):
    client.runs.wait(thread, "agent", input=user("refund"))
    if how == "delete":
        client.threads.delete(thread)
    else:
        client.threads.prune([thread], strategy="delete")
    for table in TABLES:
        query = sql.SQL("SELECT 1 FROM {} WHERE thread_id = %s")
        assert rows(query.format(sql.Identifier(f"agent_checkpoints_{table}")), thread) == []


async def start_waiting(client: LangGraphClient, thread_id: str) -> str:
    """A run that has begun, and waits in its node."""
    stream = client.runs.stream(
        thread_id,
        "agent",
        input=user("wait"),
        stream_mode="custom",
        on_disconnect="continue",
        durability="sync",
    )
    run_id = ""
    async for part in stream:
        if part.event == "metadata":
            run_id = part.data["run_id"]
        if part.event == "custom":
            return run_id
    raise AssertionError("the run has ended")


def runs_in(rows, thread_id: str) -> set[str]:
    found = rows(
        "SELECT DISTINCT metadata->>'run_id' FROM agent_checkpoints_history WHERE thread_id = %s",
        thread_id,
    )
    return {run_id for (run_id,) in found}


async def test_rollback_takes_the_run_back(async_client: LangGraphClient, rows, thread):
    before = checkpoints(rows, thread)
    waiting = await start_waiting(async_client, thread)
    assert waiting in runs_in(rows, thread)
    done = await async_client.runs.wait(
        thread, "agent", input=user("Instead"), multitask_strategy="rollback"
    )
    expected = ["Hello", "You said: Hello", "Instead", "You said: Instead"]
    assert texts(done) == expected == stored_texts(rows, thread)
    assert waiting not in runs_in(rows, thread)
    assert checkpoints(rows, thread)[-len(before) :] == before
    assert (await async_client.threads.get_state(thread))["values"] == done


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_cancelled_run(async_client: LangGraphClient, rows, thread, action):
    waiting = await start_waiting(async_client, thread)
    await async_client.runs.cancel(thread, waiting, wait=True, action=action)
    assert (waiting in runs_in(rows, thread)) == (action == "interrupt")
    kept = ["wait"] if action == "interrupt" else []
    assert stored_texts(rows, thread) == ["Hello", "You said: Hello", *kept]
    done = await async_client.runs.wait(thread, "agent", input=user("Go on"))
    assert texts(done)[2:] == [*kept, "Go on", "You said: Go on"]


def test_question_is_answered(client, rows, thread):
    client.runs.wait(thread, "agent", input=user("refund"))
    state = client.threads.get_state(thread, subgraphs=True)
    [task] = state["tasks"]
    assert [each["value"] for each in task["interrupts"]] == ["Refund 20 €?"]
    assert task["state"]["next"] == ["ask"]
    [(open_interrupts,)] = rows(
        "SELECT open_interrupts FROM agent_checkpoints_steps WHERE thread_id = %s"
        " AND checkpoint_ns = '' ORDER BY checkpoint_id DESC LIMIT 1",
        thread,
    )
    assert "Refund 20 €?" in str(open_interrupts)
    done = client.runs.wait(thread, "agent", command={"resume": "yes"})
    assert texts(done)[-2:] == ["refund", "refund: yes"] == stored_texts(rows, thread)[-2:]


def test_thread_that_was_made_without_the_server(client, served_database):
    thread_id = str(uuid4())
    with PostgresSnapshotSaver(served_database) as saver:
        agent.builder.compile(checkpointer=saver).invoke(
            user("Hello"), {"configurable": {"thread_id": thread_id}}
        )
    client.threads.create(thread_id=thread_id, graph_id="agent")
    assert texts(client.threads.get_state(thread_id)["values"]) == ["Hello", "You said: Hello"]
    done = client.runs.wait(thread_id, "agent", input=user("Again"))
    assert texts(done)[2:] == ["Again", "You said: Again"]


def test_classes_are_named_by_their_module(client, rows, served_database):
    thread_id = client.threads.create()["thread_id"]
    done = client.runs.wait(thread_id, "agent", input=user("order"))
    assert done["order"] == {"number": "17"}
    with PostgresSnapshotSaver(served_database) as saver:
        assert saver.load_state(thread_id)["order"] == orders.Order("17")
        client.runs.wait(thread_id, "agent", input=user("note"))
        assert {each.channel for each in saver.check(thread_id)} == {"note"}
    [(note,)] = rows("SELECT state->>'note' FROM agent_checkpoints WHERE thread_id = %s", thread_id)
    assert "__agent:Note" in note


def test_questions_outlive_the_server(database: str, tmp_path: Path, unused_tcp_port: int):
    """It is restarted, then killed and left without its files; runs have loops of their own."""
    make_project(tmp_path, database, own_factory=True)
    settings = {
        "BG_JOB_ISOLATED_LOOPS": "true",
        "PG_SNAPSHOT_TABLE_NAME": "agents",
        "LANGGRAPH_STRICT_MSGPACK": "true",
    }
    with serving(tmp_path, unused_tcp_port, **settings) as server:
        client = server.client
        asked = [client.threads.create()["thread_id"] for _ in range(2)]
        for thread_id in asked:
            client.runs.wait(thread_id, "agent", input=user("order"))
            client.threads.update_state(thread_id, user("Between"), as_node="answer")
            client.runs.wait(thread_id, "agent", input=user("refund"))
    assert server.log.count("Using custom checkpointer: PostgresSnapshotSaver") > 1
    files = [each.read_bytes() for each in (tmp_path / ".langgraph_api").iterdir()]
    assert sum(b"You said: order" in each for each in files) == 1  # its list of threads

    expected = ["order", "You said: order", "Between", "refund", "refund: yes"]
    with serving(tmp_path, unused_tcp_port, **settings) as server:
        restarted = {"client": server.client, "thread_id": asked[0]}
        exec(block("python", "client.runs.wait"), restarted)  # noqa: S102 -- the page's own
        assert texts(server.client.threads.get_state(asked[0])["values"]) == expected
        server.process.kill()
        server.process.wait()

    shutil.rmtree(tmp_path / ".langgraph_api")
    with serving(tmp_path, unused_tcp_port, **settings) as server:
        client = server.client
        assert client.threads.search() == []
        exec(block("python", "client.runs.wait"), {"client": client, "thread_id": asked[1]})  # noqa: S102 -- the page's own
        assert texts(client.threads.get_state(asked[1])["values"]) == expected

    serde = SnapshotSerializer(strict=True, allowed_types=[orders.Order])
    with PostgresSnapshotSaver(database, table_name="agents", serde=serde) as saver:
        assert saver.load_state(asked[1])["order"] == orders.Order("17")


def test_server_that_lacks_its_database_says_so(tmp_path: Path, unused_tcp_port: int):
    make_project(tmp_path, None)
    server = DevServer(tmp_path, unused_tcp_port, {})
    assert server.process.wait() != 0
    assert "DATABASE_URL is not set" in server.log

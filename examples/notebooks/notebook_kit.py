"""What the notebooks share: a database, a look into it, and something in place of a chat model."""

from __future__ import annotations

import atexit
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import psycopg
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from psycopg import postgres, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from langgraph_pg_snapshot.embedded import EmbeddedServer


def database() -> str:
    """Return the conninfo of an empty place for one notebook, gone when its kernel ends.

    That is a new schema of the database that the environment's DATABASE_URL names, or a PostgreSQL
    of the notebook's own, which starts in a second or two. DATABASE_URL is the result afterwards,
    so that a process which a cell starts finds the same place. Times are in UTC there.
    """
    settings = "-c TimeZone=UTC"
    if url := os.environ.get("DATABASE_URL"):
        schema = f"langgraph_notebook_{secrets.token_hex(4)}"
        _execute(url, "CREATE SCHEMA {}", schema)
        atexit.register(_execute, url, "DROP SCHEMA {} CASCADE", schema)
        settings += f" -c search_path={schema}"
    else:
        url = EmbeddedServer.start().dsn
    given = conninfo_to_dict(url).get("options") or ""
    place = make_conninfo(url, options=f"{given} {settings}".strip())
    os.environ["DATABASE_URL"] = place
    return place


def _execute(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


# -- A look at the tables ----------------------------------------------------------------------


def show(query: str) -> None:
    """Print what a query finds, as psql does."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        cursor = connection.execute(query.encode())
        columns = cursor.description or []
        found = cursor.pgresult
    assert found is not None
    rows = [
        # The text is the server's: nothing becomes an object of Python's.
        [(found.get_value(row, column) or b"").decode() for column in range(found.nfields)]
        for row in range(found.ntuples)
    ]
    print(_table([column.name for column in columns], rows, [_is_number(c) for c in columns]))
    print(f"({len(rows)} row{'' if len(rows) == 1 else 's'})")


def _is_number(column: psycopg.Column) -> bool:
    return postgres.types[column.type_code].name in {"int2", "int4", "int8", "float8", "numeric"}


def _table(names: list[str], rows: list[list[str]], to_the_right: list[bool]) -> str:
    # A cell may have several lines.
    lines = [
        line for row in rows for line in zip_longest(*(c.split("\n") for c in row), fillvalue="")
    ]
    widths = [max(map(len, column)) for column in zip(names, *lines, strict=True)]
    aligned = [
        [
            f" {cell:>{width}} " if is_right else f" {cell:<{width}} "
            for cell, width, is_right in zip(line, widths, to_the_right, strict=True)
        ]
        for line in lines
    ]
    head = [f" {name:^{width}} " for name, width in zip(names, widths, strict=True)]
    rule = "+".join("-" * (width + 2) for width in widths)
    return "\n".join(["|".join(head).rstrip(), rule, *("|".join(a).rstrip() for a in aligned)])


# -- In place of a chat model ------------------------------------------------------------------


class FakeModel(BaseChatModel):
    """Stands in for a chat model, so that nobody needs a key: what it says is a function.

    ``init_chat_model("…")`` in its place, and the rest of a notebook stays as it is.

    Attributes:
        reply: Given the conversation, what to say: text, or a message, with tool calls for example.
        name: What it says that it is called.
    """

    reply: Callable[[Sequence[BaseMessage]], AIMessage | str]
    name: str = "fake-1"

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> FakeModel:
        """Tell a model what it can call; this one knows."""
        del tools
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._said(messages))])

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        said = self._said(messages)
        for word in re.findall(r"\S+\s*", str(said.content)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        calls = [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"])
            for call in said.tool_calls
        ]
        rest = AIMessageChunk(
            content="",
            tool_call_chunks=calls,
            usage_metadata=said.usage_metadata,
            response_metadata=said.response_metadata,
        )
        yield ChatGenerationChunk(message=rest)

    def _said(self, messages: Sequence[BaseMessage]) -> AIMessage:
        reply = self.reply(messages)
        said = AIMessage(reply) if isinstance(reply, str) else reply
        # A word is its token.
        read = sum(len(str(message.content).split()) for message in messages)
        written = len(str(said.content).split()) + 5 * len(said.tool_calls)
        said.usage_metadata = {
            "input_tokens": read,
            "output_tokens": written,
            "total_tokens": read + written,
        }
        said.response_metadata = {"model_name": self.name}
        return said

"""What the workloads' states are made of: text that compresses like prose, and messages of it."""

from __future__ import annotations

import random

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

WORDS = [
    "".join(random.Random(seed).choices("etaoinshrdlucmfw", k=2 + seed % 9))
    for seed in range(2_000)
]


def text(seed: int, words: int = 60) -> str:
    """About 400 characters, by default; not one word repeated."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def conversation(length: int) -> list[AnyMessage]:
    """A person and a model, in turns."""
    kinds = (HumanMessage, AIMessage)
    return [kinds[n % 2](text(n), id=f"message-{n}") for n in range(length)]


def question(turn: int) -> HumanMessage:
    """What a person says next."""
    return HumanMessage(text(-turn - 1))


def tool_calls(turn: int, calls: int) -> AIMessage:
    """A model that asks for several tools at once."""
    return AIMessage(
        "",
        tool_calls=[
            {"name": "read", "args": {"path": f"src/{turn}/{n}.py"}, "id": f"call-{turn}-{n}"}
            for n in range(calls)
        ],
    )


def tool_conversation(length: int, calls: int, words: int) -> list[AnyMessage]:
    """An agent's, of so many messages: a question, tool calls, their large outputs, an answer."""
    messages: list[AnyMessage] = []
    turn = 0
    while len(messages) < length:
        messages += [
            HumanMessage(text(turn), id=f"q-{turn}"),
            tool_calls(turn, calls).model_copy(update={"id": f"t-{turn}"}),
            *(
                ToolMessage(
                    text(100 * turn + n, words),
                    tool_call_id=f"call-{turn}-{n}",
                    id=f"o-{turn}-{n}",
                )
                for n in range(calls)
            ),
            AIMessage(text(-turn), id=f"a-{turn}"),
        ]
        turn += 1
    return messages[:length]


def files(count: int) -> dict[str, str]:
    """Sources of about 2 kB, by path."""
    return {f"src/module_{n}.py": text(n, 300) for n in range(count)}

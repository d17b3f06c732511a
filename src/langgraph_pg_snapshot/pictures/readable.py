"""Stored JSON for people: tags become names, and what only the serializer needs is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

DELTA = "langgraph.checkpoint.serde.types:_DeltaSnapshot"
MESSAGES = ("human", "ai", "system", "tool", "function", "chat", "remove")
_OWN = ("$type", "$order", "$fields_set")
# Tags whose one member says it all: {"$type": "Decimal", "value": "1.10"}.
_ONLY_MEMBERS = ({"value"}, {"items"}, {"escaped"}, {"hex"})


def bare(tree: Any) -> Any:
    """A channel's value without what LangGraph wraps a DeltaChannel's in."""
    if isinstance(tree, dict) and tree.get("$type") == DELTA:
        return tree.get("value")
    return tree


def is_opaque(tree: Any) -> bool:
    """Whether another serializer stored it, or some of it."""
    if isinstance(tree, list):
        return any(map(is_opaque, tree))
    return isinstance(tree, dict) and [*tree] == ["$opaque"]


def is_message(tree: Any) -> bool:
    """Whether it is a message of LangChain's."""
    if not isinstance(tree, dict) or not isinstance(tree.get("$type"), str):
        return False
    return tree["$type"].removesuffix("MessageChunk").lower() in MESSAGES and "content" in tree


def members(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an object as the application has them: in its order, without our own."""
    order = [k for k in _listed(tree.get("$order")) if isinstance(k, str) and k in tree]
    found = {key: tree[key] for key in order}
    found.update((key, tree[key]) for key in tree if key not in _OWN and key not in found)
    extra = found.pop("$extra", None)
    return {**found, **extra} if isinstance(extra, dict) else found


def readable(tree: Any) -> str:
    """A value in one line."""
    if isinstance(tree, str):
        return tree
    try:
        return _nested(tree)
    except RecursionError:
        return "(nested too deep to show)"


def _nested(tree: Any) -> str:
    if isinstance(tree, list):
        return f"[{', '.join(map(_nested, tree))}]"
    if not isinstance(tree, dict):
        return orjson.dumps(tree).decode()
    if is_opaque(tree):
        return f"(stored by another serializer, as {tree['$opaque']})"
    if is_message(tree):
        return message(tree)
    if "$type" not in tree:
        return "{" + ", ".join(f"{k}: {_nested(v)}" for k, v in members(tree).items()) + "}"
    return _tagged(str(tree["$type"]), members(tree))


def _tagged(tag: str, rest: dict[str, Any]) -> str:
    name = tag.rpartition(":")[2]
    if tag == "dict":
        return "{" + ", ".join(_pairs(rest.get("items"))) + "}"
    if tag in ("str", "int", "float") and len(rest) == 1:
        return str(*rest.values())
    if rest.keys() in _ONLY_MEMBERS:
        [value] = rest.values()
        if isinstance(value, list):
            return f"{name}({', '.join(map(_nested, value))})"
        return f"{name}({_nested(value)})"
    return f"{name}({', '.join(f'{k}={_nested(v)}' for k, v in rest.items())})"


def _pairs(pairs: Any) -> Iterator[str]:
    for pair in _listed(pairs):
        yield ": ".join(map(_nested, pair)) if isinstance(pair, list) else _nested(pair)


def _listed(tree: Any) -> list[Any]:
    """A list as it is; of what should be one and is none, nothing."""
    return tree if isinstance(tree, list) else []


def message(tree: Mapping[str, Any]) -> str:
    """A message: who, what, and which tools it asks for."""
    calls = [call for call in _listed(tree.get("tool_calls")) if isinstance(call, dict)]
    said = [text] if (text := _text(tree.get("content"))) else []
    said += [f"→ {call.get('name')}({_nested(call.get('args'))})" for call in calls]
    who = str(tree.get("name") or tree["$type"])
    kind = tree["$type"] if who == tree["$type"] else f"{tree['$type']} {who}"
    return f"{kind}: {' '.join(said)}"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return str(content.get("escaped", _nested(content)))
    blocks = content if isinstance(content, list) else [content]
    return " ".join(
        block
        if isinstance(block, str)
        else _text(block["text"])
        if isinstance(block, dict) and "text" in block
        else _nested(block)
        for block in blocks
    )


def elements(tree: Any) -> list[Any] | None:
    """The elements of a list or tuple; None if it is neither."""
    if isinstance(tree, dict) and tree.get("$type") == "tuple":
        tree = tree.get("items")
    return tree if isinstance(tree, list) else None


def entries(tree: Any) -> dict[str, Any] | None:
    """The entries of a dict or the fields of an object; None if it is neither."""
    return members(tree) if isinstance(tree, dict) and not is_opaque(tree) else None

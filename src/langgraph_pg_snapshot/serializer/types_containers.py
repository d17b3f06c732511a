"""Containers that JSON has no word for: tuples, sets, deques, and kinds of dict."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Refused, Tree, add_codec, add_record, located
from .decoder import Decoder
from .encoder import Encoder, encode_dict
from .state import ATTRIBUTES, Fields, dict_of, has_dict, set_attributes

# What a defaultdict may call for a missing key, on either side.
_FACTORIES: dict[str, Callable[[], Any]] = {
    cls.__name__: cls
    for cls in (
        *(bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple),
        *(Counter, OrderedDict, defaultdict, deque, Decimal, Fraction),
    )
}


def encode_items(enc: Encoder, values: Any, depth: int) -> list[Any]:
    """Write the elements of any iterable."""
    out: list[Any] = []
    try:
        for value in values:
            out.append(enc.node(value, depth))  # noqa: PERF401  # len(out) tells where it stopped
    except Exception as error:  # noqa: BLE001  # raised again, with its place
        raise located(error, f"[{len(out)}]") from None
    return out


class _Items:
    """A container that is stored as the list of its elements."""

    def __init__(self, tag: str, build: Callable[[list[Any]], Any]) -> None:
        self.tag = tag
        self.build = build

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        return {"$type": self.tag, "items": encode_items(enc, value, depth - 2)}

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        return self.build(check_type(dec.node(tree["items"], depth - 1), list))


class _Set(_Items):
    """Sets have no order of their own, so equal ones are given the same."""

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        items = encode_items(enc, value, depth - 2)
        items.sort(key=orjson.dumps)
        return {"$type": self.tag, "items": items}


add_codec(tuple, _Items("tuple", tuple), "tuple")
add_codec(set, _Set("set", set), "set")
add_codec(frozenset, _Set("frozenset", frozenset), "frozenset")


def _deque_parts(value: deque[Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {"items": list(value)}
    if value.maxlen is not None:
        parts["maxlen"] = value.maxlen
    return parts


def _deque(items: list[Any], maxlen: int | None = None) -> deque[Any]:
    return deque(check_type(items, list), None if maxlen is None else check_type(maxlen, int))


add_record(deque, "deque", _deque_parts, _deque)


class _DictKind:
    """A kind of dict: a plain dict as ``value``, so that SQL can look into it."""

    def __init__(self, cls: type[dict[Any, Any]]) -> None:
        self.cls = cls
        self.has_dict = has_dict(cls)
        self.fields = Fields(cls, cls.__name__, {})

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        # dict() would ask an OrderedDict for its own order, which is the one that counts.
        plain = dict(value.items())
        tree: Tree = {"$type": self.fields.tag, "value": encode_dict(enc, plain, depth - 1)}
        attributes = self.fields.attributes(dict_of(value)) if self.has_dict else {}
        if attributes:
            tree[ATTRIBUTES] = encode_dict(enc, attributes, depth - 1)
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        made = self.cls()
        self.fill(made, check_type(dec.node(tree["value"], depth - 1), dict))
        set_attributes(self.fields, dec, tree, depth - 1, made, has_place=self.has_dict)
        return made

    def fill(self, made: dict[Any, Any], content: dict[Any, Any]) -> None:
        # Counter.update() counts; what is wanted is to set.
        dict.update(made, content)


class _OrderedDict(_DictKind):
    def fill(self, made: dict[Any, Any], content: dict[Any, Any]) -> None:
        made.update(content)  # dict.update() would leave it without an order


class _DefaultDict(_DictKind):
    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        tree = super().encode(enc, value, depth)
        factory = value.default_factory
        if factory is not None:
            name = getattr(factory, "__name__", "")
            if _FACTORIES.get(name) is not factory:
                raise Refused(f"has a default_factory, {name or factory!r}, that can't be stored")
            tree["factory"] = name
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        made = super().decode(dec, tree, depth)
        name = tree.get("factory")
        if name is not None:
            if not isinstance(name, str) or name not in _FACTORIES:
                raise DeserializationError(f"{name!r} is not a factory that a defaultdict may have")
            made.default_factory = _FACTORIES[name]
        return made


add_codec(OrderedDict, _OrderedDict(OrderedDict), "OrderedDict")
add_codec(defaultdict, _DefaultDict(defaultdict), "defaultdict")
add_codec(Counter, _DictKind(Counter), "Counter")

"""Dataclasses, attrs classes, namedtuples, enums, and the like: objects that are their fields."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any

from langgraph_pg_snapshot.errors import DeserializationError

from .codec import Codec, Tree, add_codec
from .decoder import Decoder
from .encoder import Encoder
from .names import attribute_of, class_dict, mro_of, tag_of
from .state import (
    MISSING,
    Fields,
    check_rebuildable,
    default_value,
    dict_of,
    has_dict,
    slots_of,
)

_new = object.__new__


class ObjectCodec:
    """An object whose state is its ``__dict__`` and its slots."""

    def __init__(
        self,
        cls: type,
        tag: str,
        defaults: Mapping[str, Callable[[], Any]],
        *,
        short: bool = False,
        reset: frozenset[str] = frozenset(),
    ) -> None:
        check_rebuildable(cls)
        self.cls = cls
        self.slots = slots_of(cls)
        self.has_dict = has_dict(cls)
        self.fields = Fields(cls, tag, defaults, short=short)
        # Attributes that only remember what was worked out, and are None until then.
        self.reset = reset
        self.fields.caches |= reset

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        """Write the state of an instance."""
        if not self.slots:
            return self.fields.encode(enc, dict_of(value), depth)
        state = dict(dict_of(value)) if self.has_dict else {}
        found = {name: _slot(member, value) for name, member in self.slots.items()}
        ordered = {name: found[name] for name in self.fields.defaults if name in found}
        ordered.update(found)
        state.update((name, item) for name, item in ordered.items() if item is not MISSING)
        return self.fields.encode(enc, state, depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        """Put the stored state into an instance that no constructor has seen."""
        state = self.fields.decode(dec, tree, depth)
        state.update(dict.fromkeys(self.reset))
        made: Any = _new(self.cls)
        slots = self.slots
        if slots:
            for name in slots.keys() & state.keys():
                slots[name].__set__(made, state.pop(name))
        if self.has_dict:
            dict_of(made).update(state)
        elif state:
            raise DeserializationError(
                f"{self.fields.tag!r} has no place for {sorted(map(str.__str__, state))}"
            )
        return made


def _slot(member: Any, value: Any) -> Any:
    try:
        return member.__get__(value)
    except AttributeError:
        return MISSING


def find_dataclass(cls: type) -> Codec | None:
    """Find the codec of a dataclass."""
    if attribute_of(cls, "__dataclass_fields__") is None:
        return None
    return _dataclass_codec(cls, tag_of(cls))


def _dataclass_codec(cls: Any, tag: str, *, short: bool = False) -> ObjectCodec:
    # Not of the class itself: fields() would ask its metaclass.
    fields: Any = SimpleNamespace(__dataclass_fields__=attribute_of(cls, "__dataclass_fields__"))
    defaults = {
        field.name: partial(
            default_value,
            MISSING if field.default is dataclasses.MISSING else field.default,
            field.default_factory,
        )
        for field in dataclasses.fields(fields)
    }
    return ObjectCodec(cls, tag, defaults, short=short)


def add_dataclass(cls: type, tag: str) -> None:
    """Store a dataclass under a short tag, without its empty fields."""
    add_codec(cls, _dataclass_codec(cls, tag, short=True), tag)


def find_attrs(cls: type) -> Codec | None:
    """Find the codec of an attrs class."""
    attributes = attribute_of(cls, "__attrs_attrs__")
    if attributes is None:
        return None
    factory = sys.modules["attr"].Factory
    defaults = {
        attribute.name: partial(
            default_value,
            attribute.default,
            attribute.default.factory if type(attribute.default) is factory else None,
        )
        for attribute in attributes
    }
    codec = ObjectCodec(cls, tag_of(cls), defaults, reset=_remembered_hash(cls))
    codec.fields.caches |= _slots_of_properties(cls)
    return codec


def _remembered_hash(cls: type) -> frozenset[str]:
    """Find where ``cache_hash=True`` keeps a hash: it holds in the process that made it only."""
    name = "_attrs_cached_hash"
    hashes = [class_dict(base).get("__hash__") for base in mro_of(cls)]
    used = any(
        name in method.__code__.co_names for method in hashes if type(method) is FunctionType
    )
    return frozenset({name} if used else ())


def _slots_of_properties(cls: type) -> frozenset[str]:
    """Find the slots that attrs gives to cached properties: no others of its are not fields."""
    return frozenset(
        name
        for base in mro_of(cls)
        if "__attrs_attrs__" in class_dict(base)
        for name in slots_of(base, mro_of(base)[1])
        if name not in {attribute.name for attribute in class_dict(base)["__attrs_attrs__"]}
    )


def add_slotted(cls: type, tag: str, **defaults: Any) -> None:
    """Store a class that keeps all its state in ``__slots__``, without its empty fields."""
    codec = ObjectCodec(
        cls,
        tag,
        {name: partial(defaults.get, name, MISSING) for name in reversed(slots_of(cls))},
        short=True,
    )
    add_codec(cls, codec, tag)

"""Enums, namedtuples, and classes as values: what is found again rather than rebuilt."""

from __future__ import annotations

import enum
from functools import partial
from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Codec, Refused, Tree, add_codec, codec_for
from .decoder import Decoder
from .encoder import Encoder
from .names import attribute_of, derives, tag_of
from .state import MISSING, Fields, check_rebuildable, default_value


class _NamedTuple:
    def __init__(self, cls: type, names: tuple[str, ...]) -> None:
        check_rebuildable(cls, tuple)
        self.cls = cls
        defaults = attribute_of(cls, "_field_defaults") or {}
        self.fields = Fields(
            cls,
            tag_of(cls),
            {name: partial(default_value, defaults.get(name, MISSING), None) for name in names},
        )

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        state = dict(zip(self.fields.defaults, value, strict=True))
        # A subclass without __slots__ can hold more than the tuple does.
        state.update(getattr(value, "__dict__", {}))
        return self.fields.encode(enc, state, depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        state = self.fields.decode(dec, tree, depth)
        made: Any = tuple.__new__(self.cls, [state.pop(name) for name in self.fields.defaults])
        if state:
            object.__getattribute__(made, "__dict__").update(state)
        return made


def find_namedtuple(cls: type) -> Codec | None:
    """Find the codec of a namedtuple."""
    names = attribute_of(cls, "_fields")
    if not derives(cls, tuple) or not isinstance(names, tuple):
        return None
    return _NamedTuple(cls, names)


class _Enum:
    """A member, looked up by its value where that is plain, else by its name."""

    def __init__(self, cls: type[enum.Enum]) -> None:
        self.cls = cls
        self.tag = tag_of(cls)

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        stored, name = value._value_, value._name_
        if type(stored) in (str, int) and self._by_value(stored) is value:
            return {"$type": self.tag, "value": enc.node(stored, depth - 1)}
        member: object = self.cls._member_map_.get(name)
        if member is not value:
            raise Refused(f"is not a member of {self.tag} that can be found again")
        return {"$type": self.tag, "name": enc.node(name, depth - 1)}

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        if "name" in tree:
            found = self.cls._member_map_.get(check_type(dec.node(tree["name"], depth - 1), str))
        else:
            value = dec.node(tree["value"], depth - 1)
            if type(value) is not int:
                check_type(value, str)
            found = self._by_value(value)
        if found is None:
            stored = tree.get("name", tree.get("value"))
            raise DeserializationError(f"{self.tag!r} has no member {stored!r}")
        return found

    def _by_value(self, value: Any) -> Any:
        found = self.cls._value2member_map_.get(value)
        if found is None and derives(self.cls, enum.Flag) and type(value) is int:
            return self._combination(value)
        return found

    def _combination(self, value: int) -> Any:
        """Make a combination of flags, as long as that is the standard library's work alone."""
        cls: Any = self.cls
        if any("_missing_" in vars(base) for base in cls.__mro__ if base.__module__ != "enum"):
            return None
        try:
            return cls._missing_(value)
        except ValueError:
            return None


def find_enum(cls: type) -> Codec | None:
    """Find the codec of an enum."""
    return _Enum(cls) if derives(cls, enum.Enum) else None


_BUILTINS: Final[dict[str, type]] = {
    cls.__name__: cls for cls in (str, int, float, bool, bytes, list, dict, tuple, set)
}


class _Class:
    """A class as a value, as an Interrupt's ``response_schema`` may be."""

    def encode(self, _enc: Encoder, value: Any, _depth: int) -> Tree:
        name = value.__name__
        if _BUILTINS.get(name) is not value:
            codec_for(value)  # which refuses a class that is not data
            name = tag_of(value)
        return {"$type": "type", "value": name}

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        name = check_type(tree["value"], str)
        return _BUILTINS.get(name) or dec.classes.decode_class(dec, name, tree, depth)


def find_class(cls: type) -> Codec | None:
    """Find the codec of classes that stand as values."""
    return _Class() if derives(cls, type) else None


add_codec(type, _Class(), "type")

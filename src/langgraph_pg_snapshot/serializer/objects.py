"""Dataclasses, attrs classes, namedtuples, enums, and the like: objects that are their fields."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from functools import partial
from typing import Any

from langgraph_pg_snapshot.errors import DeserializationError
from .classes import name_of
from .codec import Codec, Refused, Tree, add_codec, add_finder
from .decoder import Decoder
from .encoder import Encoder
from .state import (
    MISSING,
    Fields,
    check_rebuildable,
    default_value,
    slots_of,
)

_new = object.__new__


class ObjectCodec:
    """An object whose state is its ``__dict__`` and its slots."""

    def __init__(self, cls: type, tag: str, defaults: dict[str, Callable[[], Any]]) -> None:
        check_rebuildable(cls)
        self.cls = cls
        self.slots = slots_of(cls)
        self.has_dict = cls.__dictoffset__ != 0
        self.fields = Fields(cls, tag, defaults)

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        if not self.slots:
            return self.fields.encode(enc, value.__dict__, depth)
        state = dict(value.__dict__) if self.has_dict else {}
        found = {name: _slot(member, value) for name, member in self.slots.items()}
        ordered = {name: found[name] for name in self.fields.defaults if name in found}
        ordered.update(found)
        state.update((name, item) for name, item in ordered.items() if item is not MISSING)
        return self.fields.encode(enc, state, depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        state = self.fields.decode(dec, tree, depth)
        made = _new(self.cls)
        slots = self.slots
        if slots:
            for name in slots.keys() & state.keys():
                slots[name].__set__(made, state.pop(name))
        if self.has_dict:
            object.__getattribute__(made, "__dict__").update(state)
        elif state:
            raise DeserializationError(f"{self.fields.tag!r} has no place for {sorted(state)}")
        return made


def _slot(member: Any, value: Any) -> Any:
    try:
        return member.__get__(value)
    except AttributeError:
        return MISSING


def _find_dataclass(cls: type) -> Codec | None:
    return _dataclass_codec(cls, name_of(cls)) if dataclasses.is_dataclass(cls) else None


def _dataclass_codec(cls: Any, tag: str) -> ObjectCodec:
    defaults = {
        field.name: partial(
            default_value,
            MISSING if field.default is dataclasses.MISSING else field.default,
            field.default_factory,
        )
        for field in dataclasses.fields(cls)
    }
    return ObjectCodec(cls, tag, defaults)


def add_dataclass(cls: type, tag: str) -> None:
    """Store a dataclass under a short tag."""
    add_codec(cls, _dataclass_codec(cls, tag), tag)


def _find_attrs(cls: type) -> Codec | None:
    attributes = getattr(cls, "__attrs_attrs__", None)
    if attributes is None:
        return None
    return ObjectCodec(
        cls,
        name_of(cls),
        {
            attribute.name: partial(
                default_value,
                attribute.default,
                getattr(attribute.default, "factory", None),
            )
            for attribute in attributes
        },
    )


def add_slotted(cls: type, tag: str) -> None:
    """Store a class that keeps all its state in ``__slots__``."""
    names = [name for base in reversed(cls.__mro__) for name in vars(base).get("__slots__", ())]
    add_codec(cls, ObjectCodec(cls, tag, {name: lambda: MISSING for name in names}), tag)


class _NamedTuple:
    def __init__(self, cls: type, names: tuple[str, ...]) -> None:
        check_rebuildable(cls, tuple)
        self.cls = cls
        defaults = getattr(cls, "_field_defaults", {})
        self.fields = Fields(
            cls,
            name_of(cls),
            {name: partial(default_value, defaults.get(name, MISSING), None) for name in names},
        )

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        state = dict(zip(self.fields.defaults, value, strict=True))
        # A subclass without __slots__ can hold more than the tuple does.
        state.update(getattr(value, "__dict__", {}))
        return self.fields.encode(enc, state, depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        state = self.fields.decode(dec, tree, depth)
        made = tuple.__new__(self.cls, [state.pop(name) for name in self.fields.defaults])
        if state:
            object.__getattribute__(made, "__dict__").update(state)
        return made


def _find_namedtuple(cls: type) -> Codec | None:
    names = getattr(cls, "_fields", None)
    if not issubclass(cls, tuple) or not isinstance(names, tuple):
        return None
    return _NamedTuple(cls, names)


class _Enum:
    """A member, looked up by its value where that is plain, else by its name."""

    def __init__(self, cls: type[enum.Enum]) -> None:
        self.cls = cls
        self.tag = name_of(cls)

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        stored = value._value_
        if type(stored) in (str, int) and self._by_value(stored) is value:
            return {"$type": self.tag, "value": enc.node(stored, depth - 1)}
        if self.cls._member_map_.get(value._name_) is not value:
            raise Refused(f"is not a member of {self.tag} that can be found again")
        return {"$type": self.tag, "name": enc.node(value._name_, depth - 1)}

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        if "name" in tree:
            found = self.cls._member_map_.get(dec.node(tree["name"], depth - 1))
        else:
            found = self._by_value(dec.node(tree["value"], depth - 1))
        if found is None:
            stored = tree.get("name", tree.get("value"))
            raise DeserializationError(f"{self.tag!r} has no member {stored!r}")
        return found

    def _by_value(self, value: Any) -> Any:
        found = self.cls._value2member_map_.get(value)
        if found is None and issubclass(self.cls, enum.Flag) and type(value) is int:
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


def _find_enum(cls: type) -> Codec | None:
    return _Enum(cls) if issubclass(cls, enum.Enum) else None


class _Class:
    """A class as a value, as an Interrupt's ``response_schema`` may be."""

    _BUILTINS = {
        cls.__name__: cls for cls in (str, int, float, bool, bytes, list, dict, tuple, set)
    }

    def encode(self, _enc: Encoder, value: Any, _depth: int) -> Tree:
        name = value.__name__
        if self._BUILTINS.get(name) is not value:
            name = name_of(value)
            from .codec import codec_for

            codec_for(value)
        return {"$type": "type", "value": name}

    def decode(self, dec: Decoder, tree: Tree, _depth: int) -> Any:
        name = tree["value"]
        return self._BUILTINS.get(name) or dec.classes.get(name)


def _find_class(cls: type) -> Codec | None:
    return _Class() if issubclass(cls, type) else None


add_codec(type, _Class(), "type")
add_finder(_find_enum)
add_finder(_find_dataclass)
add_finder(_find_attrs)
add_finder(_find_namedtuple)
add_finder(_find_class)

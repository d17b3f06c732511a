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
from .flags import combination, combines, is_flag
from .names import attribute_of, derives, short_name_of, tag_of
from .state import MISSING, Fields, check_rebuildable, default_value, dict_of, has_dict


class _NamedTuple:
    def __init__(self, cls: type, names: tuple[str, ...]) -> None:
        check_rebuildable(cls, tuple)
        self.cls = cls
        self.has_dict = has_dict(cls)
        defaults = attribute_of(cls, "_field_defaults") or {}
        self.fields = Fields(
            cls,
            tag_of(cls),
            {name: partial(default_value, defaults.get(name, MISSING), None) for name in names},
        )

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        state = dict(zip(self.fields.defaults, tuple.__iter__(value), strict=True))
        # A subclass without __slots__ can hold more than the tuple does.
        if self.has_dict:
            state.update(dict_of(value))
        return self.fields.encode(enc, state, depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        state = self.fields.decode(dec, tree, depth)
        made: Any = tuple.__new__(self.cls, [state.pop(name) for name in self.fields.defaults])
        if state:
            dict_of(made).update(state)
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
        self.is_flag = is_flag(cls)
        self.remembered: set[int] = set()  # combinations that can be made again

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        state = dict_of(value)
        stored, name = state["_value_"], state["_name_"]
        member = self._members().get(name)
        if (
            type(stored) in (str, int)
            and self._values().get(stored) is value
            and (member is value or not self.is_flag or self._combines(stored))
        ):
            return {"$type": self.tag, "value": enc.node(stored, depth - 1)}
        if member is not value:
            raise Refused(f"is not a member of {self.tag} that can be found again")
        return {"$type": self.tag, "name": enc.node(name, depth - 1)}

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        if "name" in tree:
            found = self._members().get(check_type(dec.node(tree["name"], depth - 1), str))
        else:
            value = dec.node(tree["value"], depth - 1)
            if type(value) is not int:
                check_type(value, str)
            found = self._values().get(value)
            if found is None and type(value) is int and self.is_flag:
                found = combination(self.cls, value)
        if found is None:
            stored = tree.get("name", tree.get("value"))
            raise DeserializationError(f"{self.tag!r} has no member {stored!r}")
        return found

    def _combines(self, value: int) -> bool:
        if value not in self.remembered and combines(self.cls, value):
            self.remembered.add(value)
        return value in self.remembered

    def _members(self) -> dict[str, object]:
        return attribute_of(self.cls, "_member_map_")  # type: ignore[no-any-return]  # of any enum

    def _values(self) -> dict[Any, object]:
        return attribute_of(self.cls, "_value2member_map_")  # type: ignore[no-any-return]  # as above


def find_enum(cls: type) -> Codec | None:
    """Find the codec of an enum."""
    return _Enum(cls) if derives(cls, enum.Enum) else None


_BUILTINS: Final[dict[str, type]] = {
    cls.__name__: cls for cls in (str, int, float, bool, bytes, list, dict, tuple, set)
}


class _Class:
    """A class as a value, as an Interrupt's ``response_schema`` may be."""

    def encode(self, _enc: Encoder, value: Any, _depth: int) -> Tree:
        name = short_name_of(value)
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

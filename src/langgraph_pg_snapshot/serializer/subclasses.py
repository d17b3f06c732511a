"""Subclasses of the built-in types of data, kept as what they are: content and attributes."""

from __future__ import annotations

from typing import Any, Final

from .classes import check_type
from .codec import ENCODERS, Codec, Refused, Tree, located
from .decoder import Decoder
from .encoder import Encoder
from .names import tag_of
from .state import (
    ATTRIBUTES,
    Fields,
    builtin_base,
    check_rebuildable,
    dict_of,
    has_dict,
    set_attributes,
    slots_of,
)

_BASES: Final[frozenset[type]] = frozenset(
    {str, int, float, bytes, list, tuple, dict, set, frozenset}
)
_FILLED_LATER: Final[dict[type, Any]] = {list: list.extend, dict: dict.update, set: set.update}
_VALUE: Final = "value"


class _Subclass:
    """An instance of a subclass: its content, read and made by the methods of its base alone."""

    def __init__(self, cls: type, base: type) -> None:
        check_rebuildable(cls, base)
        if slots_of(cls):
            raise Refused(f"is a {base.__name__} with __slots__ of its own")
        self.cls = cls
        self.has_dict = has_dict(cls)
        self.base: Any = base
        try:
            base.__new__(cls)  # type: ignore[call-overload]  # one of _BASES
        except TypeError:  # as Python's own time.struct_time
            raise Refused(f"is a {base.__name__} that only compiled code can make") from None
        self.tag = tag_of(cls)
        self.fields = Fields(cls, self.tag, {})

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        depth -= 1
        tree: Tree = {"$type": self.tag}
        try:
            tree[_VALUE] = ENCODERS[self.base](enc, self._plain(value), depth)
            attributes = self.fields.attributes(dict_of(value) if self.has_dict else {})
            if attributes:
                tree[ATTRIBUTES] = ENCODERS[dict](enc, attributes, depth)
        except Exception as error:  # noqa: BLE001  # raised again, with its place
            raise located(error, ".__dict__" if _VALUE in tree else "", self.tag) from None
        return tree

    def _plain(self, value: Any) -> Any:
        base = self.base
        if base is dict:
            return dict(dict.items(value))
        if base is str:
            return str.__str__(value)
        if base is bytes:
            return bytes.__getitem__(value, slice(None))
        if base in (int, float):
            return base.__pos__(value)
        return base(base.__iter__(value))

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        depth -= 1
        content = check_type(dec.node(tree[_VALUE], depth), self.base)
        fill = _FILLED_LATER.get(self.base)
        if fill is None:
            made = self.base.__new__(self.cls, content)
        else:
            made = self.base.__new__(self.cls)
            fill(made, content)
        set_attributes(self.fields, dec, tree, depth, made, has_place=self.has_dict)
        return made


def find_subclass(cls: type) -> Codec | None:
    """Find the codec of a subclass of a built-in type of data."""
    base = builtin_base(cls)
    return _Subclass(cls, base) if base in _BASES and cls is not base else None

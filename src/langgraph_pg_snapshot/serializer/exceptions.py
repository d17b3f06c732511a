"""Exceptions: what a failed node leaves behind in the pending writes.

This is the one kind that is stored with losses rather than refused: an exception often holds
live objects (a request, a lock), and refusing it would hide the failure that it reports. What
was left out is named in ``$lost``.
"""

from __future__ import annotations

import threading
from typing import Any

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Codec, Refused, Tree, too_deep
from .decoder import Decoder
from .encoder import Encoder
from .exceptions_parts import can_be_found, fields_of_python, is_group, make, own, set_field
from .exceptions_writer import CAUSE, CONTEXT, SUPPRESS, Writer
from .names import derives, mro_of, name_of, tag_of
from .state import ATTRIBUTES, Fields, slots_of

_open = threading.local()


class _Exception:
    def __init__(self, cls: type[BaseException]) -> None:
        self.lost: list[str] = []
        if not can_be_found(cls):
            # What it derives from takes its place.
            self.lost.append(f"type {name_of(cls)}")
            cls = next(base for base in mro_of(cls)[1:] if can_be_found(base))
        self.cls = cls
        self.tag = tag_of(cls)
        self.fields = Fields(cls, self.tag, {})
        self.hidden = fields_of_python(cls)
        self.slots: dict[str, Any] = slots_of(cls)
        self.is_group = is_group(cls)

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        if depth < 1:
            too_deep()
        # What swallows refusals must not go round in circles: that takes 2**depth steps.
        opened: set[int] = _open.__dict__.setdefault("ids", set())
        if id(value) in opened:
            raise Refused("holds itself")
        opened.add(id(value))
        try:
            return Writer(self, enc, value, depth - 1).tree()
        finally:
            opened.discard(id(value))

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        depth -= 1
        args = check_type(dec.node(tree["args"], depth), list)
        made = make(self.cls, args)
        state = check_type(dec.node(tree.get(ATTRIBUTES, {}), depth), dict)
        rest = dict(state)
        for name, field in (*self.hidden.items(), *self.slots.items()):
            if name in rest:
                set_field(field, made, rest.pop(name))
        for name in rest:
            if type(name) is not str or name != "__notes__":
                self.fields.check_attribute(name)
        own["__dict__"].__get__(made).update(rest)
        cause = context = None
        if CAUSE in tree:
            cause = _linked(dec, tree[CAUSE], args, state, depth)
            own["__cause__"].__set__(made, cause)
        if CONTEXT in tree:
            link = tree[CONTEXT]
            context = cause if link is True else _linked(dec, link, args, state, depth)
            own["__context__"].__set__(made, context)
        if SUPPRESS in tree:
            own["__suppress_context__"].__set__(made, check_type(tree[SUPPRESS], bool))
        return made


def _linked(dec: Decoder, link: Any, args: list[Any], state: dict[str, Any], depth: int) -> Any:
    """Find the exception that another one names: in its args, its attributes, or stored there."""
    found: Any
    if type(link) is dict:
        found = dec.node(link, depth)
    elif type(link) is str:
        found = state.get(link)
    elif type(link) is list:
        place, index = link
        items = args[check_type(place, int)]
        found = items[check_type(index, int)] if type(items) in (list, tuple) else None
    else:
        found = args[check_type(link, int)]
    if not derives(type(found), BaseException):
        raise DeserializationError("the stored cause of an exception is not one")
    return found


def find_exception(cls: type) -> Codec | None:
    """Find the codec of an exception class."""
    return _Exception(cls) if derives(cls, BaseException) else None

"""Exceptions: what a failed node leaves behind in the pending writes.

This is the one kind that is stored with losses rather than refused: an exception often holds
live objects (a request, a lock), and refusing it would hide the failure that it reports. What
was left out is named in ``$lost``.
"""

from __future__ import annotations

from typing import Any

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import attribute_of, check_type, derives, name_of
from .codec import Codec, Refused, Tree, too_deep
from .decoder import Decoder
from .encoder import Encoder
from .state import ATTRIBUTES, Fields, builtin_base
from .text import ORDER, order_of

# State of built-in exceptions that is neither in args nor in __dict__.
_HIDDEN: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (OSError, ("filename", "filename2")),
    (ImportError, ("name", "path")),
    (NameError, ("name",)),
    (AttributeError, ("name",)),
)


_LOST = object()


class _Exception:
    def __init__(self, cls: type[BaseException]) -> None:
        if attribute_of(cls, "__del__") is not None:
            raise Refused("has a finalizer (__del__), which would run on a copy too")
        self.lost: list[str] = []
        if not _can_be_made(cls):
            # An exception of compiled code, as pydantic's, that only that code can make: what
            # it derives from takes its place.
            self.lost.append(f"type {name_of(cls)}")
            cls = next(base for base in cls.__mro__[1:] if _can_be_made(base))
        self.cls = cls
        self.base: Any = builtin_base(cls)
        self.tag = name_of(cls)
        self.fields = Fields(cls, self.tag, {})
        self.hidden = [name for base, names in _HIDDEN if derives(cls, base) for name in names]

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        if depth < 1:
            too_deep()
        depth -= 1
        lost = self.lost.copy()
        args = [_printed(value)] if lost else []
        for index, item in enumerate(value.args):
            tree = _encoded(enc, item, depth - 1)
            if tree is _LOST:
                lost.append(f"args[{index}]")
                tree = enc.node(_printed(item), depth - 1)
            args.append(tree)
        state = {name: getattr(value, name, None) for name in self.hidden}
        state = {name: item for name, item in state.items() if item is not None}
        state.update(value.__dict__)
        attributes = {}
        for name, item in state.items():
            tree = _encoded(enc, item, depth - 1) if name.isidentifier() else _LOST
            if tree is _LOST:
                lost.append(f".{name}")
            else:
                attributes[name] = tree
        out: Tree = {
            "$type": self.tag,
            "message": enc.node(_printed(value), depth),
            "args": args,
        }
        if attributes:
            out[ATTRIBUTES] = attributes
            order = order_of(tuple(attributes))
            if order and enc.keep_order:
                attributes[ORDER] = list(order)
        if lost:
            out["$lost"] = enc.node(lost, depth)
        return out

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        depth -= 1
        args = check_type(dec.node(tree["args"], depth), list)
        # The C class's own methods: the ones of a class that derives from it never run.
        made = self.base.__new__(self.cls, *args)
        if type(made) is not self.cls:
            raise DeserializationError(f"{self.tag!r} can't be made of its stored args")
        self.base.__init__(made, *args)
        state = check_type(dec.node(tree.get(ATTRIBUTES, {}), depth), dict)
        for name in self.hidden:
            if name in state:
                BaseException.__setattr__(made, name, state.pop(name))
        for name in state:
            if name != "__notes__":
                self.fields.check_attribute(name)
        BaseException.__getattribute__(made, "__dict__").update(state)
        return made


def _can_be_made(cls: type) -> bool:
    try:
        make: Any = builtin_base(cls).__new__
        make(cls)
    except TypeError as error:
        return "is not safe" not in str(error)
    return True


def _encoded(enc: Encoder, value: object, depth: int) -> Any:
    try:
        return enc.node(value, depth)
    except Refused:
        return _LOST


def _printed(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001  # an exception's own __str__ may fail in any way
        return f"<{type(value).__name__}>"


def find_exception(cls: type) -> Codec | None:
    """Find the codec of an exception class."""
    return _Exception(cls) if derives(cls, BaseException) else None

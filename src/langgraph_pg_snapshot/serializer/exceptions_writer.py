"""How an exception is written: what of it is data, and the names of what is not."""

from __future__ import annotations

from typing import Any, Final

import orjson

from langgraph_pg_snapshot.errors import DeserializationError

from .codec import Refused, Tree, too_deep
from .encoder import Encoder
from .exceptions_parts import GROUP, is_same, make, may_be_member, own, takes_any_args
from .names import derives, name_of, short_name_of
from .state import ATTRIBUTES, MISSING
from .text import ORDER, order_of

CAUSE: Final = "$cause"
CONTEXT: Final = "$context"
SUPPRESS: Final = "$suppress_context"
_LOST: Final = "$lost"
_obj = vars(AttributeError)["obj"]


class Writer:
    """One exception on its way to a tree; ``lost`` fills up with what has no place there."""

    def __init__(self, codec: Any, enc: Encoder, value: Any, depth: int) -> None:
        self.codec = codec
        self.enc = enc
        self.value = value
        self.depth = depth
        self.lost = codec.lost.copy()
        self.places: dict[int, Any] = {}  # of the exceptions in it, by their id

    def tree(self) -> Tree:
        """Write it, or a plain exception that says the same if loading could not make it."""
        codec, enc, depth = self.codec, self.enc, self.depth
        try:
            args, kept = self._group() if codec.is_group else self._args()
            made = make(codec.cls, kept)
        except (Refused, DeserializationError):
            return _stand_in(enc, self.value, depth)
        attributes = self._attributes(self._state(made))
        out: Tree = {
            "$type": codec.tag,
            "message": enc.node(printed(self.value), depth),
            "args": args,
        }
        if attributes:
            out[ATTRIBUTES] = attributes
            order = order_of(tuple(attributes))
            if order and enc.keep_order:
                attributes[ORDER] = list(order)
        self._links(out)
        if self.lost:
            out[_LOST] = enc.node(self.lost, depth)
        return out

    def _args(self) -> tuple[list[Any], list[Any]]:
        """Write the args, and say what they will be when they are read."""
        enc, depth = self.enc, self.depth - 1
        kept = []
        if self.lost and takes_any_args(self.codec.cls):
            kept.append(printed(self.value))
        trees = [enc.node(item, depth) for item in kept]
        for index, item in enumerate(own["args"].__get__(self.value)):
            tree = _encoded(enc, item, depth)
            if tree is MISSING:
                self.lost.append(f"args[{index}]")
                kept.append(printed(item))
                tree = enc.node(kept[-1], depth)
            else:
                self._note(item, len(kept))
                kept.append(item)
            trees.append(tree)
        return trees, kept

    def _group(self) -> tuple[list[Any], list[Any]]:
        """Write the args of a group: its message and its exceptions, whatever its args say."""
        value, enc, depth = self.value, self.enc, self.depth - 2
        message, members = (vars(GROUP)[name].__get__(value) for name in ("message", "exceptions"))
        args = own["args"].__get__(value)
        if len(args) != 2 or args[0] is not message or not _are_same(args[1], members):  # noqa: PLR2004  # a message and the exceptions
            self.lost.append("args")
        if depth < 0:
            too_deep()
        trees, kept = [], []
        for index, member in enumerate(members):
            tree = _encoded(enc, member, depth) if may_be_member(type(member)) else MISSING
            if tree is MISSING:
                kept.append(_plain_base(member)())
                tree = _stand_in(enc, member, depth - 1)
            else:
                kept.append(member)
                self._note(member, [1, index])
            trees.append(tree)
        items: Any = trees
        if "args" not in self.lost and type(args[1]) is tuple:
            items = {"$type": "tuple", "items": trees}
        return [enc.node(message, self.depth - 1), items], [message, kept]

    def _attributes(self, state: dict[Any, Any]) -> Tree:
        fields = self.codec.fields
        trees = {}
        for name, item in state.items():
            tree: Any = MISSING
            if name == "__notes__" or fields.why_not(name) is None:
                tree = _encoded(self.enc, item, self.depth - 1)
            if tree is MISSING or not name.isidentifier():
                self.lost.append(f".{name}")
            else:
                trees[name] = tree
                self._note(item, name)
        return trees

    def _state(self, made: Any) -> dict[Any, Any]:
        """Collect what is neither in the args nor follows from them."""
        codec, value = self.codec, self.value
        state: dict[Any, Any] = {}
        for name, field in codec.hidden.items():
            item = _get(field, value)
            if item is not MISSING and not is_same(item, _get(field, made)):
                state[name] = item
        for name, slot in codec.slots.items():
            if (item := _get(slot, value)) is not MISSING:
                state[name] = item
        if derives(type(value), AttributeError) and _get(_obj, value) is not None:
            self.lost.append(".obj")  # whatever lacked the attribute: often all of the state
        caches = codec.fields.caches
        attributes = own["__dict__"].__get__(value).items()
        state.update((name, item) for name, item in attributes if name not in caches)
        return state

    def _links(self, out: Tree) -> None:
        """Write the cause, or what was being handled if there is none: as Python prints them.

        One of them, and none that is in the args already: of several ways to one exception,
        each would be written, and along a chain they multiply.
        """
        cause, context, suppressed = (
            own[name].__get__(self.value)
            for name in ("__cause__", "__context__", "__suppress_context__")
        )
        if cause is not None:
            self._link(out, CAUSE, cause)
            if context is cause and CAUSE in out:
                out[CONTEXT] = True
            elif context is not None:
                self.lost.append("__context__")
        elif context is not None:
            self._link(out, CONTEXT, context)
        if suppressed is not (CAUSE in out):
            out[SUPPRESS] = suppressed

    def _link(self, out: Tree, name: str, other: BaseException) -> None:
        tree = self.places.get(id(other))
        if tree is None:
            tree = _encoded(self.enc, other, self.depth)
        if tree is MISSING:
            self.lost.append(f"__{name[1:]}__")
        else:
            out[name] = tree

    def _note(self, item: Any, place: Any) -> None:
        if isinstance(item, BaseException):
            self.places[id(item)] = place
        elif type(item) in (list, tuple) and type(place) is int:
            for index, part in enumerate(item):
                if isinstance(part, BaseException):
                    self.places[id(part)] = [place, index]


def _stand_in(enc: Encoder, value: BaseException, depth: int) -> Tree:
    """Write what loading can't make as a plain exception that says the same."""
    text = enc.node(printed(value), depth - 1)
    return {
        "$type": f"builtins:{_plain_base(value).__name__}",
        "message": text,
        "args": [text],
        _LOST: [f"type {name_of(type(value))}", "args"],
    }


def _plain_base(value: BaseException) -> type[BaseException]:
    return Exception if derives(type(value), Exception) else BaseException


def _are_same(items: Any, members: tuple[BaseException, ...]) -> bool:
    return (
        type(items) in (list, tuple)
        and len(items) == len(members)
        and all(item is member for item, member in zip(items, members, strict=True))
    )


def _get(field: Any, value: Any) -> Any:
    try:
        return field.__get__(value)
    except (AttributeError, TypeError):  # the latter of a UnicodeError's that has none
        return MISSING


def _encoded(enc: Encoder, value: object, depth: int) -> Any:
    try:
        return enc.node(value, depth)
    except orjson.JSONEncodeError:
        raise
    except Exception:  # noqa: BLE001  # whatever it is that can't be stored
        return MISSING


def printed(value: object) -> str:
    """Print a value as well as it can be."""
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001  # an exception's own __str__ may fail in any way
        return f"<{short_name_of(type(value))}>"

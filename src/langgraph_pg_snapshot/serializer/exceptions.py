"""Exceptions: what a failed node leaves behind in the pending writes.

This is the one kind that is stored with losses rather than refused: an exception often holds
live objects (a request, a lock), and refusing it would hide the failure that it reports. What
was left out is named in ``$lost``.
"""

from __future__ import annotations

import builtins
from typing import Any, Final

import orjson

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Codec, Refused, Tree, too_deep
from .decoder import SCALARS, Decoder
from .encoder import Encoder
from .names import attribute_of, derives, name_of, tag_of
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
_GROUP: Final[Any] = getattr(builtins, "BaseExceptionGroup", None)
_PLAIN: Final = SCALARS | {bytes}
# These look into their args.
_CHOOSY: Final = (
    OSError,
    SyntaxError,
    UnicodeDecodeError,
    UnicodeEncodeError,
    UnicodeTranslateError,
)
_set_args = vars(BaseException)["args"].__set__


class _Exception:
    def __init__(self, cls: type[BaseException]) -> None:
        self.lost: list[str] = []
        if not _can_be_found(cls):
            # What it derives from takes its place.
            self.lost.append(f"type {name_of(cls)}")
            cls = next(base for base in cls.__mro__[1:] if _can_be_found(base))
        self.cls = cls
        self.base: Any = builtin_base(cls)
        self.tag = tag_of(cls)
        self.fields = Fields(cls, self.tag, {})
        # By the C class's own descriptors: a class that derives from it may have a property there.
        self.hidden = {
            name: vars(base)[name]
            for base, names in _HIDDEN
            if derives(cls, base)
            for name in names
            if attribute_of(type(attribute_of(cls, name)), "__set__") is not None
        }

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
        state = {name: member.__get__(value) for name, member in self.hidden.items()}
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
        made = self._make(args)
        state = check_type(dec.node(tree.get(ATTRIBUTES, {}), depth), dict)
        for name, member in self.hidden.items():
            if name in state:
                member.__set__(made, state.pop(name))
        for name in state:
            if type(name) is not str or name != "__notes__":
                self.fields.check_attribute(name)
        BaseException.__getattribute__(made, "__dict__").update(state)
        return made

    def _make(self, args: list[Any]) -> Any:
        """Make it by the C class's own methods: those of a class that derives from it never run.

        Raises:
            DeserializationError: it can't be made of these args.
        """
        base = self.base
        if _GROUP is not None and derives(base, _GROUP):
            _check_group(args)
        elif not (_is_simple(base) or all(map(_is_plain, args))):
            return self._make_bare(args)
        made = base.__new__(self.cls, *args)
        if type(made) is not self.cls:
            raise DeserializationError(f"{self.tag!r} can't be made of its stored args")
        base.__init__(made, *args)
        return made

    def _make_bare(self, args: list[Any]) -> Any:
        """Keep args that the C class would ask for an index, an iterator or a hash."""
        made = self.base.__new__(self.cls)
        _set_args(made, args)
        if derives(self.cls, OSError) and 2 <= len(args) <= 5:  # noqa: PLR2004  # as OSError has it
            for name, item in zip(("errno", "strerror"), args, strict=False):
                vars(OSError)[name].__set__(made, item)
        return made


def _is_simple(base: type) -> bool:
    """Whether a C class takes args as they are; of compiled code elsewhere, who knows."""
    return base.__module__ == "builtins" and not any(derives(base, cls) for cls in _CHOOSY)


def _check_group(args: list[Any]) -> None:
    items: Any = args[1] if len(args) == 2 else None  # noqa: PLR2004  # a message and the exceptions
    if type(items) not in (list, tuple) or not derives(type(args[0]), str):
        raise DeserializationError("a stored exception group lacks its message or its exceptions")
    for item in items:
        cls = type(item)
        # What is no Exception is asked for its __class__.
        if not derives(cls, Exception) and (
            not derives(cls, BaseException)
            or attribute_of(cls, "__class__") is not vars(object)["__class__"]
            or attribute_of(cls, "__getattribute__") is not vars(BaseException)["__getattribute__"]
            or attribute_of(cls, "__getattr__") is not None
        ):
            raise DeserializationError("a stored exception group holds what is no exception")


def _is_plain(item: object) -> bool:
    if type(item) in (tuple, list):
        return all(type(part) in _PLAIN for part in item)  # type: ignore[attr-defined]  # as above
    return type(item) in _PLAIN


def _can_be_found(cls: type) -> bool:
    """Whether loading can make one: not of compiled code's own, as pydantic's, for example."""
    if attribute_of(cls, "__del__") is not None:  # it would run on a copy too
        return False
    try:
        tag_of(cls)
    except Refused:
        return False
    try:
        make: Any = builtin_base(cls).__new__
        make(cls)
    except TypeError as error:
        return "is not safe" not in str(error)
    return True


def _encoded(enc: Encoder, value: object, depth: int) -> Any:
    try:
        return enc.node(value, depth)
    except orjson.JSONEncodeError:
        raise
    except Exception:  # noqa: BLE001  # whatever keeps it from being stored
        return _LOST


def _printed(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001  # an exception's own __str__ may fail in any way
        return f"<{type(value).__name__}>"


def find_exception(cls: type) -> Codec | None:
    """Find the codec of an exception class."""
    return _Exception(cls) if derives(cls, BaseException) else None

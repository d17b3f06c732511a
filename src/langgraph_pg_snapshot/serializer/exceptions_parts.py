"""How Python itself makes exceptions, and what it keeps in them besides their args."""

from __future__ import annotations

import builtins
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Refused
from .decoder import SCALARS
from .names import attribute_of, derives, tag_of
from .state import builtin_base

GROUP: Final[Any] = getattr(builtins, "BaseExceptionGroup", None)  # since Python 3.11
_PLAIN: Final = SCALARS | {bytes}
# These look into their args.
_CHOOSY: Final = (
    OSError,
    SyntaxError,
    UnicodeDecodeError,
    UnicodeEncodeError,
    UnicodeTranslateError,
)
_COUNTS: Final = ("start", "end", "characters_written")
# What an exception itself keeps, past what a class that derives from it may have made of it.
own: Final[dict[str, Any]] = {
    name: vars(BaseException)[name]
    for name in ("args", "__cause__", "__context__", "__suppress_context__", "__dict__")
}


def is_group(cls: type) -> bool:
    """Whether it is a class of exception groups."""
    return GROUP is not None and derives(cls, GROUP)


def takes_any_args(cls: type) -> bool:
    """Whether it takes args as they are; of compiled code elsewhere, who knows."""
    base = builtin_base(cls)
    return (
        base.__module__ == "builtins"
        and not any(derives(base, choosy) for choosy in _CHOOSY)
        and not is_group(base)
    )


def can_be_found(cls: type) -> bool:
    """Whether loading can make one: not of compiled code's own, as pydantic's, for example."""
    if attribute_of(cls, "__del__") is not None:  # it would run on a copy too
        return False
    try:
        tag_of(cls)
    except Refused:
        return False
    try:
        new: Any = builtin_base(cls).__new__
        new(cls)
    except TypeError as error:
        return "is not safe" not in str(error)
    return True


def fields_of_python(cls: type) -> dict[str, Any]:
    """Find what Python's own exceptions keep that can be set, by the descriptors to do it with.

    A class that derives from them may have a property of that name, which must not run.
    """
    found: dict[str, Any] = {}
    if is_group(cls):  # which keep their args alone
        return found
    for base in builtin_base(cls).__mro__:
        if derives(BaseException, base) or base.__module__ != "builtins":
            continue
        for name, field in vars(base).items():
            if (
                type(field) in (MemberDescriptorType, GetSetDescriptorType)
                and attribute_of(type(attribute_of(cls, name)), "__set__") is not None
                and name not in ("obj", "__dict__")
            ):
                found.setdefault(name, field)
    return found


def set_field(field: Any, made: BaseException, item: Any) -> None:
    """Set one of those, or a slot, by its descriptor.

    Raises:
        DeserializationError: it would be asked for a number, which is not one.
    """
    if field.__name__ in _COUNTS and field.__objclass__.__module__ == "builtins":
        check_type(item, int)
    field.__set__(made, item)


def is_same(one: object, other: object) -> bool:
    """Whether a value need not be stored, as it is there already."""
    return one is other or (type(one) is type(other) and type(one) in _PLAIN and one == other)


def make(cls: Any, args: list[Any]) -> Any:
    """Make it by the C class's own methods: those of a class that derives from it never run.

    Raises:
        DeserializationError: it can't be made of these args.
    """
    base: Any = builtin_base(cls)
    if is_group(base):
        _check_group(args)
    elif not (takes_any_args(base) or all(map(_is_plain, args))):
        return _make_bare(cls, args)
    try:
        made = base.__new__(cls, *args)
    except (TypeError, ValueError) as error:
        raise DeserializationError(f"{cls.__name__} can't be made of its stored args") from error
    if type(made) is not cls:
        raise DeserializationError(f"{cls.__name__} can't be made of its stored args")
    base.__init__(made, *args)
    return made


def _make_bare(cls: Any, args: list[Any]) -> Any:
    """Keep args that the C class would ask for an index, an iterator or a hash."""
    made = builtin_base(cls).__new__(cls)  # type: ignore[call-overload]  # an exception's takes any
    own["args"].__set__(made, args)
    if derives(cls, OSError) and 2 <= len(args) <= 5:  # noqa: PLR2004  # as OSError has it
        for name, item in zip(("errno", "strerror"), args, strict=False):
            vars(OSError)[name].__set__(made, item)
    return made


def _check_group(args: list[Any]) -> None:
    items: Any = args[1] if len(args) == 2 else None  # noqa: PLR2004  # a message and the exceptions
    if type(items) not in (list, tuple) or not derives(type(args[0]), str):
        raise DeserializationError("a stored exception group lacks its message or its exceptions")
    if not all(may_be_member(type(item)) for item in items):
        raise DeserializationError("a stored exception group holds what is no exception")


def may_be_member(cls: type) -> bool:
    """Whether a group can hold it: what is no ``Exception`` is asked for its ``__class__``."""
    return derives(cls, Exception) or (
        derives(cls, BaseException)
        and attribute_of(cls, "__class__") is vars(object)["__class__"]
        # (BaseException has one of its own before Python 3.14.)
        and attribute_of(cls, "__getattribute__") is attribute_of(BaseException, "__getattribute__")
        and attribute_of(cls, "__getattr__") is None
    )


def _is_plain(item: object) -> bool:
    if type(item) in (tuple, list):
        return all(type(part) in _PLAIN for part in item)  # type: ignore[attr-defined]  # as above
    return type(item) in _PLAIN

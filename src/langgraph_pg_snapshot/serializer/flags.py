"""Combinations of flags: made when data has them, as long as nothing of the application runs."""

from __future__ import annotations

import enum
from types import BuiltinFunctionType, MethodType
from typing import Any, Final

from .names import attribute_of, class_dict, derives, mro_of
from .state import builtin_base, dict_of

# A combination that was made stays as long as its class, and data may say which: so not any
# number of them, and none of numbers as long as the data says.
_MAX_VALUES: Final = 2**14
_MIN_BITS: Final = 64  # which a value may have whatever the members are

# What the standard library asks a class for while it makes one.
_ASKED: Final = frozenset(
    {
        *("_missing_", "_create_pseudo_member_", "_numeric_repr_", "_value_", "_name_"),
        *("_iter_member_", "_iter_member_by_value_", "_iter_member_by_def_"),
        *("__new__", "__eq__", "__iter__", "__invert__", "__or__", "__and__", "__xor__"),
        *("__setattr__", "__getattribute__", "__getattr__"),
    }
)


_WRAPPERS: Final = (classmethod, staticmethod, MethodType)


def _unwrapped(member: Any) -> Any:
    return member.__func__ if type(member) in _WRAPPERS else member


_STANDARD: Final = frozenset(
    id(_unwrapped(member))
    for base in enum.IntFlag.__mro__
    for name, member in vars(base).items()
    if name in _ASKED
)


def _is_standard(member: object) -> bool:
    # Compiled functions are nobody's code: RegexFlag has hex() for one of these.
    return id(_unwrapped(member)) in _STANDARD or type(member) is BuiltinFunctionType


def is_flag(cls: type) -> bool:
    """Whether it is a class of flags."""
    return derives(cls, enum.Flag)


def combines(cls: Any, value: int) -> bool:
    """Whether a combination can be made of its number, by the standard library alone."""
    if type(cls) is not enum.EnumMeta or builtin_base(cls) not in (object, int):
        return False
    for own in map(class_dict, mro_of(cls)):
        if not all(_is_standard(own[name]) for name in _ASKED.intersection(own)):
            return False
    members = attribute_of(cls, "_member_map_").values()
    bits: list[int] = [dict_of(member)["_value_"].bit_length() for member in members]
    return value.bit_length() <= max([_MIN_BITS, *bits])


def combination(cls: Any, value: int) -> Any:
    """Make a combination of flags.

    Returns:
        None if there is none of that number, or one can't be made without code of the class.
    """
    if len(attribute_of(cls, "_value2member_map_")) >= _MAX_VALUES or not combines(cls, value):
        return None
    try:
        made = cls._missing_(value)
    except ValueError:
        return None
    return made if type(made) is cls else None  # or what its boundary=EJECT lets through

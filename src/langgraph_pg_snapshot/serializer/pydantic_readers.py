"""Functions that read one kind of model's trees, written out member by member.

A loop over the members would take twice the time. Their names stand in the source as literals only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel

from .codec import DecodeFunction
from .decoder import SCALARS
from .ready import Builder

# Types of defaults that can stand in a function's source: repr() makes them anew. (Lists, dicts and
# sets are empty.)
_CONTAINERS: Final = frozenset({list, dict, set})
_LITERALS: Final = _CONTAINERS | {type(None), bool, str}

new = object.__new__
# The slots themselves: RootModel hides two of them behind class attributes.
set_dict = vars(BaseModel)["__dict__"].__set__
set_fields_set = vars(BaseModel)["__pydantic_fields_set__"].__set__
set_extra = vars(BaseModel)["__pydantic_extra__"].__set__
set_private = vars(BaseModel)["__pydantic_private__"].__set__


class Readers:
    """Writes the functions of one class.

    Args:
        cls: the class of model.
        template: its fields in their order, with their defaults.
        allows_extra: whether it takes other fields, too.
    """

    def __init__(
        self, cls: type[BaseModel], template: Mapping[str, Any], *, allows_extra: bool
    ) -> None:
        self.template = template
        self.allows_extra = allows_extra
        self.namespace: dict[str, Any] = {
            "cls": cls,
            "defaults": template,
            "new": new,
            "scalars": SCALARS,
            "set_dict": set_dict,
            "set_extra": set_extra,
            "set_fields_set": set_fields_set,
            "set_private": set_private,
        }

    def decode(self, members: Collection[str]) -> DecodeFunction:
        """Write what reads trees of exactly these members."""
        state = [
            f"{name!r}: v if type(v := tree[{name!r}]) in scalars else dec.node(v, depth - 1)"
            if name in members
            else f"{name!r}: {default!r}"
            if type(default) in _LITERALS
            else f"{name!r}: defaults[{name!r}]"
            for name, default in self.template.items()
        ]
        decode: DecodeFunction = self._compiled(
            "def decode(dec, tree, depth):", f"{{{', '.join(state)}}}", members
        )
        return decode

    def build(self, members: Collection[str]) -> Builder:
        """Write what takes a state that trees of these members, all of them scalars, lead to."""
        anew = [
            f"    state[{name!r}] = {default!r}"
            for name, default in self.template.items()
            if name not in members and type(default) in _CONTAINERS
        ]
        build: Builder = self._compiled(
            "\n".join(["def build(state):", "    state = state.copy()", *anew]), "state", members
        )
        return build

    def _compiled(self, beginning: str, state: str, members: Collection[str]) -> Any:
        lines = [
            beginning,
            "    made = new(cls)",
            f"    set_dict(made, {state})",
            # (repr of none: "set()")
            f"    set_fields_set(made, {set(members) - {'$type'}!r})",
            f"    set_extra(made, {'{}' if self.allows_extra else None})",
            "    set_private(made, None)",
            "    return made",
        ]
        return compiled(lines, self.namespace)


def compiled(lines: list[str], namespace: Mapping[str, Any]) -> Any:
    """Make a function of its source."""
    of_its_own = dict(namespace)
    exec("\n".join(lines), of_its_own)  # noqa: S102  # written by us, of literals alone
    return of_its_own[lines[0].removeprefix("def ").partition("(")[0]]

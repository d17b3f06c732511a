"""Where an instance keeps its state, and how it is put back without running its class's code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Refused, Tree, located, too_deep
from .decoder import Decoder
from .encoder import Encoder, encode_dict
from .names import attribute_of, class_dict, derives, mro_of, short_name_of

logger = logging.getLogger(__name__)

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made by a class statement


class _Missing:
    """The type of ``MISSING`` alone."""


MISSING: Final = _Missing()
_flags: Callable[[type], int] = vars(type)["__flags__"].__get__
_dictoffset: Callable[[type], int] = vars(type)["__dictoffset__"].__get__
ATTRIBUTES: Final = "$attributes"
ABSENT: Final = "$absent"

_COPIED_DEFAULTS = (list, dict, set)
_SHARED_DEFAULTS = (type(None), bool, int, float, str, bytes, tuple, frozenset)
_SAFE_FACTORIES: tuple[Any, ...] = (list, dict, set, tuple, frozenset, str, int, float)
# What Box[int](…) leaves on an instance of a generic class: a hint for type checkers.
_HINTS = frozenset({"__orig_class__"})


def has_dict(cls: type) -> bool:
    """Whether the instances of a class have a ``__dict__``."""
    return _dictoffset(cls) != 0


def dict_of(value: object) -> dict[str, Any]:
    """The ``__dict__`` of an instance, past a ``__getattribute__`` of its class."""
    return object.__getattribute__(value, "__dict__")  # type: ignore[no-any-return]  # it is one


def builtin_base(cls: type) -> type:
    """The class, made in C, whose memory layout the instances of ``cls`` have."""
    return next(base for base in mro_of(cls) if not _flags(base) & _HEAP_TYPE)


def check_rebuildable(cls: type, base: type = object) -> None:
    """Refuse classes whose instances are more than their fields.

    Raises:
        Refused: there is state that fields don't show, or a finalizer.
    """
    if builtin_base(cls) is not base:
        raise Refused(f"is built on {builtin_base(cls).__name__}, whose state can't be seen")
    if attribute_of(cls, "__del__") is not None:
        raise Refused("has a finalizer (__del__), which would run on a copy too")
    place = attribute_of(cls, "__dict__")
    if place is not None and type(place) is not GetSetDescriptorType:
        raise Refused("makes its own __dict__, which loading would have to ask for")


def slots_of(cls: type, stop: type = object) -> dict[str, MemberDescriptorType]:
    """Find the ``__slots__`` of a class, down to the base that keeps its own."""
    slots: dict[str, MemberDescriptorType] = {}
    for base in mro_of(cls):
        if base is stop:
            break
        if "__slots__" in class_dict(base):
            for name, member in class_dict(base).items():
                if type(member) is MemberDescriptorType:
                    slots.setdefault(name, member)
    return slots


def caches_of(cls: type) -> frozenset[str]:
    """Find the attributes that only remember what a ``cached_property`` worked out."""
    return frozenset(
        name
        for base in mro_of(cls)
        for name, member in class_dict(base).items()
        if derives(type(member), cached_property)
    )


def default_value(default: Any, factory: Any) -> Any:
    """Make the default of a field without running application code.

    Returns:
        The value, or ``MISSING`` if there is none that can be made so.
    """
    if any(factory is safe for safe in _SAFE_FACTORIES):  # "in" would ask for its __eq__
        return factory()
    if type(default) in _COPIED_DEFAULTS and not default:
        return type(default)()
    return default if type(default) in _SHARED_DEFAULTS else MISSING


def _is_same(value: object, default: object) -> bool:
    return type(value) is type(default) and value == default


def set_attributes(
    fields: Fields, dec: Decoder, tree: Tree, depth: int, made: object, *, has_place: bool = True
) -> None:
    """Give an instance what is stored as its attributes, if anything is.

    Raises:
        DeserializationError: data may not set one of them, or the class has no place for any.
    """
    attributes = tree.get(ATTRIBUTES)
    if attributes is None:
        return
    state = check_type(dec.node(attributes, depth), dict)
    for name in state:
        fields.check_attribute(name)
    if not has_place:
        raise DeserializationError(f"{fields.tag!r} has no place for attributes")
    dict_of(made).update(state)


class Fields:
    """The fields of a class by name, and what stands for one that stored data lacks."""

    def __init__(
        self,
        cls: type,
        tag: str,
        defaults: Mapping[str, Callable[[], Any]],
        *,
        short: bool = False,
    ) -> None:
        for name in defaults:
            if not name.isidentifier():
                raise Refused(f"has a field named {name!r}, which can't be stored")
        self.cls = cls
        self.tag = tag
        self.defaults = defaults
        # Left out while they are the default: only those of our hosts' own types, whose
        # defaults are None or empty and stay so.
        self.left_out = {
            name: value for name, make in defaults.items() if short and not (value := make())
        }
        self.caches = caches_of(cls) | _HINTS
        self._dropped: set[str] = set()

    def encode(self, enc: Encoder, state: dict[str, Any], depth: int) -> Tree:
        """Write ``state``: the fields as members, other attributes below ``$attributes``."""
        if depth < 1:
            too_deep()
        tree: Tree = {"$type": self.tag}
        depth -= 1
        defaults = self.defaults
        present = []
        others: dict[str, Any] = {}
        for name, value in state.items():
            if name in defaults:
                present.append(name)
                if name in self.left_out and _is_same(value, self.left_out[name]):
                    continue
                try:
                    tree[name] = enc.node(value, depth)
                except Exception as error:  # noqa: BLE001  # raised again, with its place
                    raise located(error, f".{name}") from None
            else:
                others[name] = value
        if others and (others := self.attributes(others)):
            tree[ATTRIBUTES] = encode_dict(enc, others, depth)
        if len(present) != len(defaults):
            tree[ABSENT] = [name for name in defaults if name not in state]
        if enc.keep_order and present != [name for name in defaults if name in state]:
            tree["$order"] = present
        return tree

    def decode(
        self, dec: Decoder, tree: Tree, depth: int, done: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Read what :meth:`encode` wrote, in its order; ``done`` has the fields read already.

        Raises:
            DeserializationError: a field is neither stored nor has a plain default.
        """
        depth -= 1
        absent = tree.get(ABSENT, ())
        state: dict[str, Any] = {}
        for name in self._order(tree):
            if name in tree:
                state[name] = dec.node(tree[name], depth) if done is None else done[name]
            elif name not in absent:
                state[name] = self._default(name)
        for name in tree:
            if name[:1] != "$" and name not in self.defaults:
                self._warn_dropped(name)
        attributes = tree.get(ATTRIBUTES)
        if attributes is not None:
            for name, value in check_type(dec.node(attributes, depth), dict).items():
                self.check_attribute(name)
                state[name] = value
        return state

    def _order(self, tree: Tree) -> Iterator[str]:
        order = tree.get("$order")
        if order is None:
            yield from self.defaults
            return
        first = [name for name in order if isinstance(name, str) and name in self.defaults]
        yield from dict.fromkeys(first)
        yield from (name for name in self.defaults if name not in first)

    def _default(self, name: str) -> Any:
        value = self.defaults[name]()
        if value is MISSING:
            said = f"the stored {self.tag!r} has no field {name!r}, for which the class has no"
            way = "plain default"
            if ":" in self.tag:  # which upgrades= has no other than
                way = f"{way}: pass upgrades={{{self.tag!r}: a function of the stored fields}}"
            raise DeserializationError(f"{said} {way}")
        return value

    def _warn_dropped(self, name: str) -> None:
        if name not in self._dropped:
            self._dropped.add(name)
            logger.warning("The stored %r has a field %r that the class lacks", self.tag, name)

    def attributes(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what attributes only remember, and see that the others can be set again.

        Raises:
            Refused: one of them can't.
        """
        kept = {name: value for name, value in state.items() if name not in self.caches}
        for name in kept:
            reason = self.why_not(name)
            if reason is not None:
                raise Refused(f"can't be stored: {self.tag} has an attribute {name!r}, {reason}")
        return kept

    def check_attribute(self, name: object) -> None:
        """Let no stored attribute stand in for a method.

        Raises:
            DeserializationError: this one would.
        """
        reason = self.why_not(name)
        if reason is not None:
            shown = str.__str__(name) if derives(type(name), str) else short_name_of(type(name))
            raise DeserializationError(
                f"an attribute {shown!r} is stored for {self.tag!r}, {reason}"
            )

    def why_not(self, name: object) -> str | None:
        """Say why data may not set an attribute, or None if it may."""
        if not derives(type(name), str):  # not isinstance(): that asks the object
            return "which is not a name"
        plain = str.__str__(name)
        if plain[:2] == plain[-2:] == "__":
            return "which only Python may set"
        if any(_is_method(class_dict(base).get(plain)) for base in mro_of(self.cls)):
            return "which is the name of a method"
        return None


def _is_method(member: object) -> bool:
    """Whether an attribute of a class can be called, or makes something that can.

    What sets itself, as a property and a slot do, can't be hidden by an attribute.
    """
    kind = type(member)
    if attribute_of(kind, "__set__") is not None:
        return False
    return any(attribute_of(kind, name) is not None for name in ("__call__", "__get__"))

"""Which class that stored data names may be built, and what is done about the others."""

from __future__ import annotations

import enum
import logging
import re
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from langgraph_pg_snapshot.errors import DeserializationError, SnapshotError, TypeNotAllowedError

from .codec import CANT, Refused, Tree, codec_for, is_known, shown
from .names import (
    at,
    class_dict,
    derives,
    find,
    local_classes,
    module_dict,
    module_of,
    name_of,
    qualname_of,
    short_name_of,
    untokened,
)

if TYPE_CHECKING:
    from .decoder import Decoder

logger = logging.getLogger(__name__)

OnUnknownType = Literal["raise", "fields"]

# What strict mode allows besides the types that have a short tag: LangGraph's, LangChain's and
# pydantic's own types, and the exceptions, enums and namedtuples of the standard library.
_SAFE_MODULES = frozenset(
    {
        "langgraph.types",
        "langgraph.errors",
        "langgraph.store.base",
        "langgraph.checkpoint.serde.types",
        "langchain_core.documents.base",
        "langchain_core.prompt_values",
        "pydantic.networks",
        "pydantic.types",
    }
)
_SAFE_PREFIX = "langchain_core.messages."
_ARGUMENT = re.compile(r"[^][, |]+")
_MODULE = re.compile(r"[^][, |:]+:")


class Classes:
    """The classes that one serializer may build, and what it does about the others.

    Args:
        strict: build only what is allowed by name.
        allowed: classes that may be built, found by their name wherever they live.
        allowed_names: ``(module, name)`` of more classes, as LangGraph's allow-list has them.
        upgrades: for a stored name, the class or the function that takes its place.
        on_unknown: raise, or hand back the fields with a warning.
    """

    def __init__(
        self,
        *,
        strict: bool,
        allowed: Iterable[type],
        allowed_names: Iterable[tuple[str, ...]],
        upgrades: Mapping[str, type | Callable[..., Any]],
        on_unknown: OnUnknownType,
    ) -> None:
        self.strict = strict
        self.allowed: dict[str, list[type]] = {}
        for cls in allowed:
            self.allowed.setdefault(name_of(cls), []).append(cls)
        self.allowed_names = frozenset(tuple(name) for name in allowed_names)
        self.upgrades = dict(upgrades)
        self.on_unknown = on_unknown
        self._warned: set[str] = set()
        self._meant: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()

    def widened(self, names: Iterable[tuple[str, ...]]) -> Classes:
        """Make a copy that allows more names."""
        return Classes(
            strict=self.strict,
            allowed=[cls for classes in self.allowed.values() for cls in classes],
            allowed_names=self.allowed_names.union(tuple(name) for name in names),
            upgrades=self.upgrades,
            on_unknown=self.on_unknown,
        )

    def get(self, name: str) -> type:
        """Find a class that may be built: the one that took its place, if there is one.

        Raises:
            TypeNotAllowedError: there is none of that name, or it may not be built.
        """
        if self.upgrades and "[" in name and name not in self.upgrades:
            name = self._upgraded_generic(name)
        cls = self._upgrade_to_class(name) or self._allowed_class(name)
        listed = cls is not None
        if cls is None:
            cls = find(name)
        if cls is None:
            raise TypeNotAllowedError(_missing(name))
        if self.strict and not listed and not self._is_listed(cls):
            raise TypeNotAllowedError(
                f"{name!r} is not on the allow-list of strict mode: add "
                f"allowed_types=[{qualname_of(cls)}]"
            )
        try:
            codec_for(cls)
        except Refused as refused:
            reason = refused.reason.removeprefix(CANT)
            raise TypeNotAllowedError(f"{name!r} is not built: {reason}") from None
        return cls

    def _upgrade_to_class(self, name: str) -> type | None:
        upgrade = self.upgrades.get(untokened(name))
        if upgrade is None or isinstance(upgrade, type):
            return upgrade
        raise TypeNotAllowedError(
            f"{name!r} is stored as a class, and upgrades= has a function for it, which makes "
            f"values: pass the class that took its place"
        )

    def _allowed_class(self, name: str) -> type | None:
        classes = self.allowed.get(untokened(name), [])
        if len(classes) < 2:  # noqa: PLR2004  # there is nothing to choose
            return classes[0] if classes else None
        saved = find(name)
        if not any(saved is cls for cls in classes):
            raise TypeNotAllowedError(
                f"{untokened(name)!r} is the name of several classes in allowed_types=: give each "
                f"a name of its own, or pass one of them"
            )
        return saved

    def _upgraded_generic(self, name: str) -> str:
        """Name a generic class, of which a part may have been renamed, as it is called now."""
        origin, _, arguments = name.partition("[")
        if (renamed := self._upgrade_to_class(origin)) is not None:
            origin = name_of(renamed)
        names = {old: name_of(new) for old, new in self.upgrades.items() if isinstance(new, type)}
        arguments = _ARGUMENT.sub(lambda found: names.get(found[0], found[0]), arguments)
        return f"{origin}[{arguments}"

    def _is_listed(self, cls: type) -> bool:
        module = module_of(cls)
        return (
            is_known(cls)
            or module in _SAFE_MODULES
            or module.startswith(_SAFE_PREFIX)
            or _is_standard(cls)
            or _is_of_numpy_or_pandas(cls)
            or (module, qualname_of(cls)) in self.allowed_names
            or ((module, short_name_of(cls)) in self.allowed_names and self._is_meant(cls))
        )

    def _is_meant(self, cls: type) -> bool:
        """Whether a name of the graph's schema, without what the class is nested in, is its own.

        LangGraph says ``(module, "Order")`` of ``Shop.Order`` too. That is the ``Order`` of the
        module if it has one, else a nested one if there are not several.
        """
        if self._meant.get(id(cls)) is not cls:
            name = short_name_of(cls).partition("[")[0]
            if _namesakes(module_of(cls), name) - {qualname_of(cls).partition("[")[0]}:
                return False
            self._meant[id(cls)] = cls
        return True

    def decode(self, dec: Decoder, name: str, tree: Tree, depth: int) -> Any:
        """Read a tagged object whose tag is not one of ours."""
        upgrade = self.upgrades.get(untokened(name))
        if upgrade is not None and not isinstance(upgrade, type):
            fields = dec.members(tree, depth)
            try:
                return upgrade(fields)
            except SnapshotError:
                raise
            except Exception as error:
                raise DeserializationError(
                    f"{name!r} can't be read by what upgrades= has for it: {shown(error)}"
                ) from error
        try:
            cls = self.get(name)
        except TypeNotAllowedError as error:
            return self._fields_instead(error, dec, name, tree, depth)
        return codec_for(cls).decode(dec, tree, depth)

    def decode_class(self, dec: Decoder, name: str, tree: Tree, depth: int) -> Any:
        """Read a class that is itself the value."""
        try:
            return self.get(name)
        except TypeNotAllowedError as error:
            return self._fields_instead(error, dec, name, tree, depth)

    def _fields_instead(
        self, error: TypeNotAllowedError, dec: Decoder, name: str, tree: Tree, depth: int
    ) -> dict[str, Any]:
        if self.on_unknown == "raise":
            raise error
        if name not in self._warned:
            self._warned.add(name)
            logger.warning("Handing back the fields of a stored object as a dict: %s", error)
        return dec.members(tree, depth)


def _missing(tag: str) -> str:
    name = untokened(tag)
    place, bracket, _ = name.partition("[")
    way = "import its module before loading"
    if tag != name:
        way = "its name leads to no class, so only the process that saved it finds it"
    elif bracket and at(place) is not None:
        shown_name = _MODULE.sub("", name)
        way = f"write {shown_name} before loading, as only that makes this class"
    return (
        f"{name!r} is not in this process: {way}, pass the class as allowed_types=[…], or say "
        f"what took its place with upgrades={{{name!r}: NewClass}}"
    )


def _is_standard(cls: type) -> bool:
    """Whether it is an exception, an enum or a namedtuple of the standard library."""
    name = name_of(cls)
    return (
        module_of(cls).partition(".")[0] in sys.stdlib_module_names
        and any(derives(cls, base) for base in (BaseException, enum.Enum, tuple))
        # Classes that a function makes may claim the module of that function.
        and at(name) is cls
    )


def _is_of_numpy_or_pandas(cls: type) -> bool:
    """Whether it is a class of theirs whose values have a short tag."""
    if module_of(cls).partition(".")[0] not in ("numpy", "pandas"):
        return False
    try:
        return getattr(codec_for(cls), "has_short_tag", False)
    except Refused:
        return False


def _namesakes(module_name: str, name: str) -> set[str]:
    """The qualified names of all classes of a module that have this name, nested ones too."""
    module = sys.modules.get(module_name)
    todo = [module_dict(module)] if isinstance(module, ModuleType) else []
    seen: list[type] = []
    while todo:
        for found in list(todo.pop().values()):
            if (
                derives(type(found), type)
                and module_of(found) == module_name
                and not any(found is other for other in seen)
            ):
                seen.append(found)
                todo.append(class_dict(found))
    seen += [cls for cls in local_classes() if module_of(cls) == module_name]
    return {qualname_of(cls) for cls in seen if short_name_of(cls) == name}


def check_type(value: object, expected: type) -> Any:
    """Hand back ``value`` if it is exactly of a type, as data that was edited may not be.

    Raises:
        DeserializationError: it is of another type.
    """
    if type(value) is not expected:
        raise DeserializationError(
            f"expected {expected.__name__}, the stored data has {short_name_of(type(value))}"
        )
    return value


def check_names(value: object) -> set[str]:
    """Hand back a list of names as a set.

    Raises:
        DeserializationError: it is not a list, or holds something else than plain text.
    """
    return {check_type(name, str) for name in check_type(value, list)}

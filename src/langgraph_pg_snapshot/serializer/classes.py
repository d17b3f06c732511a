"""Names of classes, and which named class may be built from stored data.

Nothing here imports a module or runs code of a class: modules and classes are looked at through
their dictionaries, past any ``__getattr__`` that might do so.
"""

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

from .codec import Refused, Tree, codec_for, is_known, shown

if TYPE_CHECKING:
    from .decoder import Decoder

logger = logging.getLogger(__name__)

OnUnknownType = Literal["raise", "fields"]

_module_dict: Callable[[object], Mapping[str, Any]] = vars(ModuleType)["__dict__"].__get__
_class_dict: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__

_mro: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
_module: Callable[[type], str] = vars(type)["__module__"].__get__
_name: Callable[[type], str] = vars(type)["__name__"].__get__
_qualname: Callable[[type], str] = vars(type)["__qualname__"].__get__

# Classes that can't be found by their name, as those made in a function: the process that
# stored their values finds them here for as long as they live.
_local_classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()

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


def derives(cls: type, base: type) -> bool:
    """Whether ``cls`` is or derives from ``base``, asking neither of them, as issubclass() does."""
    return base in _mro(cls)


def attribute_of(cls: type, name: str) -> Any:
    """Look an attribute up in a class and its bases, past any metaclass; None if there is none."""
    for base in _mro(cls):
        namespace = _class_dict(base)
        if name in namespace:
            return namespace[name]
    return None


def name_of(cls: type) -> str:
    """Name a class as ``module:Qualified.Name``, so that this process finds it again."""
    name = f"{cls.__module__}:{cls.__qualname__}"
    if find(name) is not cls:
        _local_classes[name] = cls
    return name


def find(name: str) -> type | None:
    """Find a class that this process has already, without importing or running anything."""
    module_name, _, path = name.partition(":")
    path, bracket, _ = path.partition("[")
    module = sys.modules.get(module_name)
    found: Any = None
    if isinstance(module, ModuleType):
        namespace = _module_dict(module)
        for part in path.split("."):
            found = namespace.get(part)
            # Not isinstance(): that asks the object, and a proxy would answer with code.
            if not derives(type(found), type):
                found = None
                break
            namespace = _class_dict(found)
    if found is not None and bracket:
        found = _parametrized(found, name)
    return found if found is not None else _local_classes.get(name)


def _parametrized(origin: type, name: str) -> type | None:
    """Find ``Box[int]`` among the subclasses of ``Box``, where pydantic puts it."""
    children: list[type] = type.__subclasses__(origin)
    matches = [cls for cls in children if f"{cls.__module__}:{cls.__qualname__}" == name]
    return matches[0] if len(matches) == 1 else None


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
        self.allowed = {f"{cls.__module__}:{cls.__qualname__}": cls for cls in allowed}
        self.allowed_names = frozenset(tuple(name) for name in allowed_names)
        self.upgrades = dict(upgrades)
        self.on_unknown = on_unknown
        self._warned: set[str] = set()
        self._meant: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()

    def widened(self, names: Iterable[tuple[str, ...]]) -> Classes:
        """Make a copy that allows more names."""
        return Classes(
            strict=self.strict,
            allowed=self.allowed.values(),
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
        cls = self._upgrade_to_class(name) or self.allowed.get(name)
        listed = cls is not None
        if cls is None:
            cls = find(name)
        if cls is None:
            raise TypeNotAllowedError(
                f"{name!r} is not in this process: import its module before loading, pass the "
                f"class as allowed_types=[…], or say what took its place with "
                f"upgrades={{{name!r}: NewClass}}"
            )
        if self.strict and not listed and not self._is_listed(cls):
            raise TypeNotAllowedError(
                f"{name!r} is not on the allow-list of strict mode: add "
                f"allowed_types=[{cls.__qualname__}]"
            )
        try:
            codec_for(cls)
        except Refused as refused:
            raise TypeNotAllowedError(f"{name!r} is not built: it {refused.reason}") from None
        return cls

    def _upgrade_to_class(self, name: str) -> type | None:
        upgrade = self.upgrades.get(name)
        if upgrade is None or isinstance(upgrade, type):
            return upgrade
        raise TypeNotAllowedError(
            f"{name!r} is stored as a class, and upgrades= has a function for it, which makes "
            f"values: pass the class that took its place"
        )

    def _upgraded_generic(self, name: str) -> str:
        """Name a generic class, of which a part may have been renamed, as it is called now."""
        origin, _, arguments = name.partition("[")
        if (renamed := self._upgrade_to_class(origin)) is not None:
            origin = f"{_module(renamed)}:{_qualname(renamed)}"
        # Pydantic writes the arguments without their modules.
        names = {
            old.partition(":")[2]: _qualname(new)
            for old, new in self.upgrades.items()
            if isinstance(new, type)
        }
        arguments = _ARGUMENT.sub(lambda found: names.get(found[0], found[0]), arguments)
        return f"{origin}[{arguments}"

    def _is_listed(self, cls: type) -> bool:
        module = _module(cls)
        return (
            is_known(cls)
            or module in _SAFE_MODULES
            or module.startswith(_SAFE_PREFIX)
            or _is_standard(cls)
            or _is_of_numpy_or_pandas(cls)
            or (module, _qualname(cls)) in self.allowed_names
            or ((module, _name(cls)) in self.allowed_names and self._is_meant(cls))
        )

    def _is_meant(self, cls: type) -> bool:
        """Whether a name of the graph's schema, without what the class is nested in, is its own.

        LangGraph says ``(module, "Order")`` of ``Shop.Order`` too. That is the ``Order`` of the
        module if it has one, else a nested one if there are not several.
        """
        if self._meant.get(id(cls)) is not cls:
            name = _name(cls).partition("[")[0]
            if _namesakes(_module(cls), name) - {_qualname(cls).partition("[")[0]}:
                return False
            self._meant[id(cls)] = cls
        return True

    def decode(self, dec: Decoder, name: str, tree: Tree, depth: int) -> Any:
        """Read a tagged object whose tag is not one of ours."""
        upgrade = self.upgrades.get(name)
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


def _is_standard(cls: type) -> bool:
    """Whether it is an exception, an enum or a namedtuple of the standard library."""
    name = f"{_module(cls)}:{_qualname(cls)}"
    return (
        _module(cls).partition(".")[0] in sys.stdlib_module_names
        and any(derives(cls, base) for base in (BaseException, enum.Enum, tuple))
        # Classes that a function makes may claim the module of that function.
        and find(name) is cls
        and name not in _local_classes
    )


def _is_of_numpy_or_pandas(cls: type) -> bool:
    """Whether it is a class of theirs whose values have a short tag."""
    if _module(cls).partition(".")[0] not in ("numpy", "pandas"):
        return False
    try:
        return getattr(codec_for(cls), "has_short_tag", False)
    except Refused:
        return False


def _namesakes(module_name: str, name: str) -> set[str]:
    """The qualified names of all classes of a module that have this name, nested ones too."""
    module = sys.modules.get(module_name)
    todo = [_module_dict(module)] if isinstance(module, ModuleType) else []
    seen: list[type] = []
    while todo:
        for found in list(todo.pop().values()):
            if (
                derives(type(found), type)
                and _module(found) == module_name
                and not any(found is other for other in seen)
            ):
                seen.append(found)
                todo.append(_class_dict(found))
    seen += [cls for cls in list(_local_classes.values()) if _module(cls) == module_name]
    return {_qualname(cls) for cls in seen if _name(cls) == name}


def check_type(value: object, expected: type) -> Any:
    """Hand back ``value`` if it is exactly of a type, as data that was edited may not be.

    Raises:
        DeserializationError: it is of another type.
    """
    if type(value) is not expected:
        raise DeserializationError(
            f"expected {expected.__name__}, the stored data has {type(value).__name__}"
        )
    return value


def check_names(value: object) -> set[str]:
    """Hand back a list of names as a set.

    Raises:
        DeserializationError: it is not a list, or holds something else than plain text.
    """
    return {check_type(name, str) for name in check_type(value, list)}

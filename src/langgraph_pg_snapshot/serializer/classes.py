"""Names of classes, and which named class may be built from stored data.

Nothing here imports a module or runs code of a class: modules and classes are looked at through
their dictionaries, past any ``__getattr__`` that might do so.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from langgraph_pg_snapshot.errors import DeserializationError, TypeNotAllowedError

from .codec import Refused, Tree, codec_for

if TYPE_CHECKING:
    from .decoder import Decoder

logger = logging.getLogger(__name__)

OnUnknownType = Literal["raise", "fields"]

_module_dict: Callable[[object], Mapping[str, Any]] = vars(ModuleType)["__dict__"].__get__
_class_dict: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__

_mro: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__

# Classes that can't be found by their name, as those made in a function: the process that
# stored their values finds them here for as long as they live.
_local_classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()

# What strict mode allows besides the types that have a short tag: LangGraph's and LangChain's
# own containers, and the exceptions of Python and LangGraph.
_SAFE_MODULES = frozenset(
    {
        "langgraph.types",
        "langgraph.errors",
        "langgraph.store.base",
        "langgraph.checkpoint.serde.types",
        "langchain_core.documents.base",
        "langchain_core.prompt_values",
    }
)
_SAFE_PREFIX = "langchain_core.messages."


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
        """Find a class that may be built.

        Raises:
            TypeNotAllowedError: there is none of that name, or it may not be built.
        """
        cls = self.allowed.get(name)
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

    def _is_listed(self, cls: type) -> bool:
        module = cls.__module__
        return (
            module in _SAFE_MODULES
            or module.startswith(_SAFE_PREFIX)
            or (module == "builtins" and derives(cls, BaseException))
            or not self.allowed_names.isdisjoint(_listed_names(cls))
        )

    def decode(self, dec: Decoder, name: str, tree: Tree, depth: int) -> Any:
        """Read a tagged object whose tag is not one of ours."""
        upgrade = self.upgrades.get(name)
        if upgrade is not None and not isinstance(upgrade, type):
            return upgrade(dec.members(tree, depth))
        try:
            cls = upgrade or self.get(name)
        except TypeNotAllowedError as error:
            if self.on_unknown == "raise":
                raise
            if name not in self._warned:
                self._warned.add(name)
                logger.warning("Handing back the fields of a stored object as a dict: %s", error)
            return dec.members(tree, depth)
        return codec_for(cls).decode(dec, tree, depth)


def _listed_names(cls: type) -> Iterator[tuple[str, str]]:
    yield cls.__module__, cls.__name__
    yield cls.__module__, cls.__qualname__


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

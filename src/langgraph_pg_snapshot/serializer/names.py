"""Names of classes: the tag that a class is stored under, and the class that a tag leads to.

Nothing here imports a module or runs code of a class: modules and classes are looked at through
their dictionaries, past any ``__getattr__`` that might do so.

A tag is ``module:Qualified.Name``; that of a generic model names its arguments so, too. A class
that its name does not lead to, as one made inside a function, has ``name#token`` as its tag, and
is found by it in the process that made that, for as long as it lives.
"""

from __future__ import annotations

import secrets
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from langgraph_pg_snapshot._forks import ForkLock

from .codec import Refused, guard

module_dict: Callable[[object], Mapping[str, Any]] = vars(ModuleType)["__dict__"].__get__
class_dict: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__
mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
module_of: Callable[[type], str] = vars(type)["__module__"].__get__
short_name_of: Callable[[type], str] = vars(type)["__name__"].__get__
qualname_of: Callable[[type], str] = vars(type)["__qualname__"].__get__

_TOKEN = "#"  # noqa: S105  # what comes before it
_SIGNS = {id(None): "None", id(type(None)): "None", id(Any): "Any", id(...): "..."}
_LITERALS = (str, int, bytes, bool, type(None))
# The tags of classes that their name does not lead to, and the classes of those tags. (And the
# generic models that were found, so that each is looked for once.)
_tags: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
_classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
_lock = ForkLock()


def derives(cls: type, base: type) -> bool:
    """Whether ``cls`` is or derives from ``base``, asking neither of them, as issubclass() does."""
    return base in mro_of(cls)


def attribute_of(cls: type, name: str) -> Any:
    """Look an attribute up in a class and its bases, past any metaclass; None if there is none."""
    for base in mro_of(cls):
        namespace = class_dict(base)
        if name in namespace:
            return namespace[name]
    return None


def name_of(cls: type) -> str:
    """Name a class as ``module:Qualified.Name``, whether or not that leads to it."""
    return _named(cls, [])


def _named(cls: type, parts: list[Any]) -> str:
    """Name a class; ``parts`` gets what the name of a generic model has to lead to besides.

    Those are classes. Anything else that it may be made of does not follow from its name.
    """
    name = f"{module_of(cls)}:{qualname_of(cls)}"
    arguments = _arguments(cls)
    if not arguments or "[" not in name:
        return name
    return f"{name.partition('[')[0]}[{_listed(arguments, parts)}]"


def _arguments(cls: type) -> tuple[Any, ...]:
    """What a generic model of pydantic was made of."""
    metadata = class_dict(cls).get("__pydantic_generic_metadata__")
    return metadata["args"] if type(metadata) is dict else ()


def _listed(arguments: Iterable[Any], parts: list[Any]) -> str:
    return ", ".join([_argument(argument, parts) for argument in arguments])


def _argument(argument: Any, parts: list[Any]) -> str:
    kind = type(argument)
    if id(argument) in _SIGNS:
        return _SIGNS[id(argument)]
    if derives(kind, type):
        if module_of(argument) == "builtins":
            return qualname_of(argument)
        parts.append(argument)
        return _named(argument, parts)
    name = _hint if module_of(kind) in ("typing", "types") else _other
    return name(argument, parts)


def _hint(argument: Any, parts: list[Any]) -> str:
    """Name what ``typing`` made of classes."""
    origin, arguments = get_origin(argument), get_args(argument)
    if origin is Literal and all(type(value) in _LITERALS for value in arguments):
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin in (Union, UnionType):
        return " | ".join([_argument(each, parts) for each in arguments])
    if derives(type(origin), type):
        return f"{_argument(origin, parts)}[{_listed(arguments, parts)}]"
    return _other(argument, parts)


def _other(argument: Any, parts: list[Any]) -> str:
    parts.append(argument)
    return "?"


def _parts(cls: type) -> list[Any]:
    parts: list[Any] = []
    _named(cls, parts)
    return parts


def _leads(cls: type) -> bool:
    """Whether the name of a generic model leads to it: what it is made of can be found."""
    return bool(_arguments(cls)) and all(
        derives(type(part), type) and _is_at_its_place(part) for part in _parts(cls)
    )


def _is_at_its_place(cls: type) -> bool:
    found = at(_place(cls))
    return found is cls or (found is not None and bool(_arguments(cls)) and derives(cls, found))


def _place(cls: type) -> str:
    return f"{module_of(cls)}:{qualname_of(cls)}".partition("[")[0]


def tag_of(cls: type) -> str:
    """Name a class so that this process finds exactly it, and see that this stays so.

    Raises:
        Refused: its name leads to another class.
    """
    name = name_of(cls)
    place, bracket, _ = name.partition("[")
    found = at(place)
    if found is not None and not (derives(cls, found) if bracket else cls is found):
        raise Refused(
            f"is not the class that {name!r} leads to, which loading would build: if the class "
            f"was defined again, make the value again with the new one, else give this class a "
            f"name of its own"
        )
    stays = [
        _stays(part, _place(part)) for part in (cls, *_parts(cls)) if derives(type(part), type)
    ]
    guard(cls, stays[0] if len(stays) == 1 else lambda: all(each() for each in stays))
    return name if find(name) is cls else _local_tag(cls, name)


def _local_tag(cls: type, name: str) -> str:
    with _lock:
        tag = _tags.get(cls)
        if tag is None or untokened(tag) != name:
            tag = f"{name}{_TOKEN}{secrets.token_hex(4)}"
            _tags[cls] = tag
            _classes[tag] = cls
        return tag


def _stays(cls: type, place: str) -> Callable[[], bool]:
    """Make a quick test of whether nothing changed in the place that a class's name leads to."""
    module_name, _, path = place.partition(":")
    if "." in path and "<locals>" not in path:
        return lambda: at(place) is cls
    modules = sys.modules
    module = modules.get(module_name)
    first = path.partition(".")[0]
    namespace = module_dict(module) if isinstance(module, ModuleType) else {}
    holder = namespace.get(first)
    return lambda: modules.get(module_name) is module and namespace.get(first) is holder


def untokened(tag: str) -> str:
    """Cut off what tells classes of one name apart."""
    return tag.partition(_TOKEN)[0]


def at(place: str) -> type | None:
    """Find the class at ``module:Qualified.Name``, if the process has imported the module."""
    module_name, _, path = place.partition(":")
    module = sys.modules.get(module_name)
    if not isinstance(module, ModuleType):
        return None
    namespace = module_dict(module)
    found: Any = None
    for part in path.split("."):
        found = namespace.get(part)
        # Not isinstance(): that asks the object, and a proxy would answer with code.
        if not derives(type(found), type):
            return None
        namespace = class_dict(found)
    return found  # type: ignore[no-any-return]  # it derives from type


def find(tag: str) -> type | None:
    """Find the class of a tag, without importing or running anything.

    Returns:
        None if this process has no such class, or several that the tag does not tell apart.
    """
    name = untokened(tag)
    if tag != name:
        return _classes.get(tag)
    place, bracket, _ = name.partition("[")
    found = at(place)
    if found is None or not bracket:
        return found
    known = _classes.get(name)
    if known is not None and derives(known, found) and _leads(known):
        return known
    # Pydantic puts Box[int] among the subclasses of Box.
    children: list[type] = type.__subclasses__(found)
    matches = [cls for cls in children if name_of(cls) == name and _leads(cls)]
    if len(matches) != 1:
        return None
    _classes[name] = matches[0]
    return matches[0]


def local_classes() -> list[type]:
    """The classes, stored or loaded by this process, that their name alone does not lead to."""
    return list(_classes.values())

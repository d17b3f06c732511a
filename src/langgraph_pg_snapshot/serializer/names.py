"""Names of classes: the tag that a class is stored under, and the class that a tag leads to.

Nothing here imports a module or runs code of a class: modules and classes are looked at through
their dictionaries, past any ``__getattr__`` that might do so.

A tag is ``module:Qualified.Name``. A class that its name does not lead to, as one made inside a
function, is remembered for as long as it lives. If there are several of one name, the first has
the name as its tag, and the others have ``name#token``: the process that made them can tell them
apart, and another falls back on the name.
"""

from __future__ import annotations

import secrets
import sys
import weakref
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from langgraph_pg_snapshot._forks import ForkLock

from .codec import Refused, guard

module_dict: Callable[[object], Mapping[str, Any]] = vars(ModuleType)["__dict__"].__get__
class_dict: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__
mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
module_of: Callable[[type], str] = vars(type)["__module__"].__get__
short_name_of: Callable[[type], str] = vars(type)["__name__"].__get__
qualname_of: Callable[[type], str] = vars(type)["__qualname__"].__get__

_TOKEN = "#"  # noqa: S105  # what comes before it
# The tags of classes that their name alone does not lead to, and the classes of those tags.
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
    return f"{module_of(cls)}:{qualname_of(cls)}"


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
    guard(cls, _stays(cls, place))
    return name if found is cls else _local_tag(cls, name, found)


def _local_tag(cls: type, name: str, origin: type | None) -> str:
    with _lock:
        tag = _tags.get(cls)
        if tag is None or untokened(tag) != name:
            taken = _classes.get(name)
            if taken is None or (origin is not None and not derives(taken, origin)):
                tag = name
            else:
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
        None if this process has no such class, or several of which none was saved under the tag.
    """
    name = untokened(tag)
    given = None if tag == name else _classes.get(tag)
    if given is not None:
        return given
    place, bracket, _ = name.partition("[")
    found = at(place)
    if found is not None and not bracket:
        return found
    given = _classes.get(tag)
    if given is not None and (found is None or derives(given, found)):
        return given
    # Pydantic puts Box[int] among the subclasses of Box.
    children = local_classes() if found is None else type.__subclasses__(found)
    matches = [cls for cls in children if name_of(cls) == name]
    return matches[0] if len(matches) == 1 else None


def local_classes() -> list[type]:
    """The classes, stored or loaded by this process, that their name alone does not lead to."""
    return list(_classes.values())

"""Pydantic models, rebuilt as copying does it: state in, no constructor, no validator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from .classes import check_names, check_type
from .codec import ENCODERS, Codec, DecodeFunction, EncodeFunction, Refused, Tree, located
from .decoder import SCALARS, Decoder
from .encoder import Encoder, encode_dict, encode_list
from .names import attribute_of, derives, tag_of
from .pydantic_readers import (
    Readers,
    compiled,
    new,
    set_dict,
    set_extra,
    set_fields_set,
    set_private,
)
from .ready import Builder, Ready
from .state import MISSING, Fields, check_rebuildable, default_value, dict_of, slots_of

_FIELDS_SET: Final = "$fields_set"
_EXTRA: Final = "$extra"
_PRIVATE: Final = "$private"
_BESIDE: Final = frozenset({_FIELDS_SET, _EXTRA, _PRIVATE})

# A class has functions for each set of members that trees have. Forged data could have many.
_MAX_FUNCTIONS: Final = 64

# Where a model keeps its state.
_STATE: Final = (
    "__dict__",
    "__pydantic_extra__",
    "__pydantic_fields_set__",
    "__pydantic_private__",
)

_read = object.__getattribute__


class ModelCodec:
    """A pydantic model: its fields as members, and beside them only what does not follow.

    Which fields were set follows from which are stored; ``$fields_set`` is there when it doesn't.

    Args:
        cls: the class of model.
        tag: its name in stored data.
        short: leave out the fields that equal their default. For classes whose defaults don't
            change between releases: what is left out comes back as the default of that day.
    """

    def __init__(self, cls: type[BaseModel], tag: str, *, short: bool = False) -> None:
        check_rebuildable(cls)
        if slots_of(cls, BaseModel):
            raise Refused("is a pydantic model with __slots__ of its own")
        self.cls = cls
        self.tag = tag
        defaults = {
            name: partial(default_value, _plain_default(field), field.default_factory)
            for name, field in cls.model_fields.items()
        }
        self.fields = Fields(cls, tag, defaults)
        self.allows_extra = cls.model_config.get("extra") == "allow"
        self.names = tuple(defaults)
        self.default_values = [default() if short else MISSING for default in defaults.values()]
        self.default_types = [type(value) for value in self.default_values]
        self.template: dict[str, Any] = {}
        self.factories: list[tuple[str, Callable[[], Any]]] = []
        required = []
        for name, value in zip(self.names, self.default_values, strict=True):
            if value is MISSING:
                required.append(name)
            elif isinstance(value, (list, dict, set)):
                self.factories.append((name, type(value)))
            self.template[name] = value
        self.required = frozenset(required)
        self.encode = self._compile_encode()
        self.readers = Readers(cls, self.template, allows_extra=self.allows_extra)
        self.decoders: dict[tuple[str, ...], DecodeFunction] = {}
        self.builders: dict[tuple[str, ...], Builder] = {}

    def _compile_encode(self) -> EncodeFunction:
        """Write ``encode`` out field by field, as a loop would take twice the time.

        The names of fields stand in the source as literals only.
        """
        taken = [f"v{index}" for index in range(len(self.names))]
        # A class can have a __getattribute__, which is passed: that takes longer.
        asked = attribute_of(self.cls, "__getattribute__") is _read
        state, extra, fields_set, private = (
            f"value.{name}" if asked else f"read(value, {name!r})" for name in _STATE
        )
        lines = [
            "def encode(enc, value, depth):",
            f"    state = {state}",
            "    if depth < 1 or tuple(state) != names:",
            "        return odd(enc, value, depth)",
            f"    {', '.join(taken)}, = state.values()" if taken else "    pass",
            "    plain, text = enc.plain, enc.text",
            "    depth -= 1",
            f"    tree = {{'$type': {self.tag!r}}}",
            "    try:",
            "        pass",  # in case there are no fields
        ]
        for name, item, default in zip(self.names, taken, self.default_values, strict=True):
            if default is MISSING:
                condition = "True"
            elif default is None:
                condition = f"{item} is not None"
            elif default:
                condition = f"type({item}) is not {type(default).__name__} or {item} != {default!r}"
            else:
                condition = f"type({item}) is not {type(default).__name__} or {item}"
            lines += [
                f"        if {condition}:",
                f"            cls = type({item})",
                f"            if (cls is text and '\\0' not in {item}) or cls in plain:",
                f"                tree[{name!r}] = {item}",
                "            else:",
                f"                name = {name!r}",
                f"                tree[name] = encoders[cls](enc, {item}, depth)",
            ]
        lines += [
            "    except Exception as error:",
            "        raise located(error, '.' + name) from None",
            f"    extra = {extra}",
            f"    fields_set = {fields_set}",
            "    if (",
            f"        extra or (extra is None) is {self.allows_extra}",
            f"        or {private} is not None",
            "        or len(fields_set) != len(tree) - 1",
            "        or fields_set.difference(tree)",
            "    ):",
            "        return rest(enc, value, tree, depth)",
            "    return tree",
        ]
        namespace: dict[str, Any] = {
            "located": located,
            "encoders": ENCODERS,
            "names": self.names,
            "odd": self._encode_odd,
            "read": _read,
            "rest": self._encode_rest,
        }
        encode: EncodeFunction = compiled(lines, namespace)
        return encode

    def _encode_odd(self, enc: Encoder, value: Any, depth: int) -> Tree:
        """Write a model that lacks fields, or has others, or has them in another order."""
        tree = self.fields.encode(enc, dict_of(value), depth)
        return self._encode_rest(enc, value, tree, depth - 1)

    def _encode_rest(self, enc: Encoder, value: Any, tree: Tree, depth: int) -> Tree:
        state, extra, fields_set, private = (_read(value, name) for name in _STATE)
        expected = {name for name in tree if name[0] != "$"}.union(extra or ())
        if fields_set != expected:
            known = (*state, *extra) if extra else tuple(state)
            tree[_FIELDS_SET] = encode_list(enc, _listed(known, frozenset(fields_set)), 1)
        for name, part in ((_EXTRA, extra), (_PRIVATE, private)):
            if part or (part is None) is (name == _EXTRA and self.allows_extra):
                try:
                    tree[name] = None if part is None else encode_dict(enc, part, depth)
                except Exception as error:  # noqa: BLE001  # raised again, with its place
                    step = "" if name == _EXTRA else ".__pydantic_private__"
                    raise located(error, step) from None
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        """Put the stored state into an instance that no constructor has seen."""
        members = tuple(tree)
        decode = self.decoders.get(members) or self._decoder_for(members)
        return decode(dec, tree, depth)

    def _decoder_for(self, members: tuple[str, ...]) -> DecodeFunction:
        if not self._is_usual(members, self.decoders):
            return self._decode_odd
        return self.decoders.setdefault(members, self.readers.decode(members))

    def _is_usual(self, members: tuple[str, ...], functions: Mapping[tuple[str, ...], Any]) -> bool:
        """Whether a function is written for trees of these members."""
        return (
            len(functions) < _MAX_FUNCTIONS
            and self.required.issubset(members)
            and self.template.keys() >= set(members) - {"$type"}
        )

    def prepare(self, tree: Tree) -> Ready | None:
        """Make a tree ready to be built again and again, if its members are scalars and usual."""
        if not SCALARS.issuperset(map(type, tree.values())):
            return None
        members = tuple(tree)
        build = self.builders.get(members)
        if build is None:
            if not self._is_usual(members, self.builders):
                return None
            build = self.builders.setdefault(members, self.readers.build(members))
        state = {**self.template, **tree}
        del state["$type"]
        return build, state

    def _decode_odd(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        """Read a model that lacks members, or has more beside its fields."""
        state = self.template.copy()
        node = dec.node
        depth -= 1
        beside = odd = False
        for name, item in tree.items():
            if name in state:
                state[name] = item if type(item) in SCALARS else node(item, depth)
            elif name in _BESIDE:
                beside = True
            elif name != "$type":
                odd = True
        if odd or not tree.keys() >= self.required:
            state = self.fields.decode(dec, tree, depth + 1, done=state)
        else:
            for name, factory in self.factories:
                if name not in tree:
                    state[name] = factory()
        if odd or beside:
            return self._decode_rest(dec, tree, state, depth)
        fields_set = set(tree)
        fields_set.discard("$type")
        return self.build(state, fields_set, {} if self.allows_extra else None, None)

    def _decode_rest(self, dec: Decoder, tree: Tree, state: Any, depth: int) -> Any:
        extra: Any = {} if self.allows_extra else None
        if _EXTRA in tree:
            extra = _dict_or_none(dec.node(tree[_EXTRA], depth))
        private = _dict_or_none(dec.node(tree.get(_PRIVATE), depth))
        if _FIELDS_SET in tree:
            fields_set = check_names(dec.node(tree[_FIELDS_SET], depth))
        else:
            fields_set = {name for name in tree if name in self.template}.union(extra or ())
        return self.build(state, fields_set, extra, private)

    def build(self, state: Any, fields_set: set[str], extra: Any, private: Any) -> Any:
        """Make a model of its parts, which it takes as they are."""
        made = new(self.cls)
        set_dict(made, state)
        set_fields_set(made, fields_set)
        set_extra(made, extra)
        set_private(made, private)
        return made


def _plain_default(field: Any) -> Any:
    return MISSING if field.default is PydanticUndefined else field.default


def _dict_or_none(value: Any) -> Any:
    return None if value is None else check_type(value, dict)


@lru_cache(maxsize=1024)
def _listed(known: tuple[str, ...], names: frozenset[str]) -> list[str]:
    """List a set of names in an order that does not depend on hashes."""
    ordered = [name for name in known if name in names]
    return ordered + sorted(names.difference(ordered))


def find_model(cls: type) -> Codec | None:
    """Find the codec of a pydantic model."""
    return ModelCodec(cls, tag_of(cls)) if derives(cls, BaseModel) else None

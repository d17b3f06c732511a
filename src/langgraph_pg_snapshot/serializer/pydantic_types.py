"""Pydantic's own types of value, and the models of its first version."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pydantic
import pydantic_core
from pydantic import networks

from .classes import check_names, check_type
from .codec import Codec, Tree, add_record
from .decoder import Decoder
from .encoder import Encoder
from .names import derives, tag_of
from .objects import ObjectCodec
from .state import MISSING, default_value

_FIELDS_SET = "$fields_set"


def _holder(cls: type, attribute: str, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make a function that builds ``cls``, which wraps one value, around that value."""

    def build(value: Any) -> Any:
        made: Any = object.__new__(cls)
        object.__setattr__(made, attribute, convert(value))
        return made

    return build


for _cls, _kind in ((pydantic.SecretStr, str), (pydantic.SecretBytes, bytes)):
    add_record(
        _cls,
        _cls.__name__,
        lambda value: {"value": value.get_secret_value()},
        _holder(_cls, "_secret_value", partial(check_type, expected=_kind)),
    )

add_record(
    pydantic_core.Url,
    "Url",
    lambda value: {"value": str(value)},
    lambda value: pydantic_core.Url(check_type(value, str)),
)
add_record(
    pydantic_core.MultiHostUrl,
    "MultiHostUrl",
    lambda value: {"value": str(value)},
    lambda value: pydantic_core.MultiHostUrl(check_type(value, str)),
)


# Private to pydantic, and there since 2.10; before, its URLs were the parsed ones themselves.
_URL_BASES: tuple[tuple[Any, Callable[[str], Any]], ...] = (
    (getattr(networks, "_BaseUrl", None), pydantic_core.Url),
    (getattr(networks, "_BaseMultiHostUrl", None), pydantic_core.MultiHostUrl),
)


# Secret is there since pydantic 2.8.
_SECRETS = tuple(
    getattr(pydantic, name)
    for name in ("SecretStr", "SecretBytes", "Secret")
    if hasattr(pydantic, name)
)


class _UrlKind:
    """``AnyUrl`` and its kin: a class around a parsed URL, which knows what to allow."""

    def __init__(self, cls: type, parse: Callable[[str], Any]) -> None:
        self.tag = tag_of(cls)
        self.build = _holder(cls, "_url", parse)

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        return {"$type": self.tag, "value": enc.node(str(value), depth - 1)}

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        return self.build(check_type(dec.node(tree["value"], depth - 1), str))


def find_url(cls: type) -> Codec | None:
    """Find the codec of a pydantic URL class."""
    for base, parse in _URL_BASES:
        if base is not None and derives(cls, base):
            return _UrlKind(cls, parse)
    return None


def find_secret(cls: type) -> Codec | None:
    """Find the codec of a class that derives from pydantic's secrets, or of ``Secret`` itself."""
    if not any(derives(cls, base) for base in _SECRETS):
        return None
    return ObjectCodec(cls, tag_of(cls), {"_secret_value": lambda: MISSING})


class _FirstVersionModel(ObjectCodec):
    """A ``pydantic.v1`` model: an object that also remembers which fields were set."""

    def __init__(self, cls: Any) -> None:
        defaults = {
            name: partial(
                default_value,
                MISSING if field.required else field.default,
                field.default_factory,
            )
            for name, field in cls.__fields__.items()
        }
        super().__init__(cls, tag_of(cls), defaults)
        self.fields_set = self.slots.pop("__fields_set__")

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        tree = super().encode(enc, value, depth)
        fields_set = self.fields_set.__get__(value)
        if fields_set != set(value.__dict__):
            tree[_FIELDS_SET] = enc.node(sorted(fields_set), depth - 1)
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        made = super().decode(dec, tree, depth)
        names = tree.get(_FIELDS_SET)
        state = object.__getattribute__(made, "__dict__")
        self.fields_set.__set__(
            made, set(state) if names is None else check_names(dec.node(names, depth))
        )
        return made


def find_first_version(cls: type) -> Codec | None:
    """Find the codec of a ``pydantic.v1`` model, where such a class can exist."""
    main = sys.modules.get("pydantic.v1.main")
    return _FirstVersionModel(cls) if main and derives(cls, main.BaseModel) else None

"""Every kind of class that has a codec, in the order in which a new class is tried."""

from __future__ import annotations

from . import messages, types_bytes, types_containers, types_std, types_time  # noqa: F401  # put their types in the tables
from .arrays import find_numpy
from .codec import add_finder
from .enums import find_class, find_enum, find_namedtuple
from .exceptions import find_exception
from .frames import find_pandas
from .frames_scalars import find_pandas_scalar
from .objects import find_attrs, find_dataclass
from .pydantic_models import find_model
from .pydantic_types import find_first_version, find_secret, find_url
from .struct_sequences import find_struct_sequence
from .subclasses import find_subclass

# A class can be of several kinds: an exception or an enum may be a dataclass too, and a NumPy
# float is a float. The kind whose instances hold the most comes first.
for _finder in (
    find_class,
    find_enum,
    find_exception,
    find_model,
    find_first_version,
    find_url,
    find_secret,
    find_numpy,
    find_pandas,
    find_pandas_scalar,
    find_dataclass,
    find_attrs,
    find_namedtuple,
    find_struct_sequence,
    find_subclass,
):
    add_finder(_finder)

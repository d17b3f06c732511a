"""Which checkpoint a run builds on because its caller named it, and not because it was the newest.

LangGraph hands the id of the checkpoint that it was given by `get_tuple` or `list` on to the `put`
that builds on it, as it is. So the id itself can say how it was found.
"""

from __future__ import annotations


class AddressedId(str):
    """The id of a checkpoint that was asked for by its id, or found in a listing.

    It is a str in every respect; copies that leave the process are a plain one.
    """

    __slots__ = ()

    def __copy__(self) -> AddressedId:
        return self

    def __deepcopy__(self, _memo: object) -> AddressedId:
        return self

    def __reduce_ex__(self, _protocol: object) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

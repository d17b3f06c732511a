"""Values as the JSON that they are stored as, for who looks at threads without their classes."""

from __future__ import annotations

from typing import Any

import orjson

from langgraph_pg_snapshot.errors import DeserializationError

from .serializer import TAG, SnapshotSerializer


class Opaque(dict[str, str]):
    """Stands for a value that another serializer stored, as ``{"$opaque": type}``.

    The view has the same in its place.
    """

    def __init__(self, kind: str) -> None:
        super().__init__({"$opaque": kind})


class StoredForm(SnapshotSerializer):
    """Loads nothing: gives back the JSON of a value as it stands in the tables.

    So no class of the application's has to be there, and a value that another serializer stored is
    an `Opaque`, not an error. What it is given to store it stores as `SnapshotSerializer` does.
    """

    def decode(self, tree: Any) -> Any:
        """Return the tree itself.

        (A dict whose entries lie apart comes as pairs; it is put together.)
        """
        if isinstance(tree, dict) and tree.keys() == {"$type", "items"} and tree["$type"] == "dict":
            pairs = tree["items"]
            if isinstance(pairs, list) and all(map(_is_entry, pairs)):
                return dict(pairs)
        return tree

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the tree, or an `Opaque`."""
        kind, text = data
        if kind != TAG:
            return Opaque(kind)
        try:
            return self.decode(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise DeserializationError(f"the stored data is not JSON: {error}") from error


def _is_entry(pair: Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2  # noqa: PLR2004 -- key and value
        and isinstance(pair[0], str)
        and not pair[0].startswith("$")
    )

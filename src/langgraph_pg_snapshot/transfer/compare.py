"""Comparing a checkpoint as its source has it with what the target hands out."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_pg_snapshot.transfer.same import difference
from langgraph_pg_snapshot.transfer.threads import Found, Place


class Mismatch(NamedTuple):
    """In what a copy differs: a channel or another part of the checkpoint, and how."""

    part: str
    reason: str


_Differs: TypeAlias = Callable[[Any, Any], "str | None"]
_USUAL = JsonPlusSerializer()
# Savers drop it from metadata: LangGraph does not write it any more.
_DROPPED = "writes"


def mismatches(
    want: Found,
    got: CheckpointTuple | None,
    serde: SerializerProtocol | None,
    removed: Container[Place] = (),
    *,
    was_there: bool = False,
) -> Iterator[Mismatch]:
    """In what a copy differs from its original.

    Args:
        want: The original, as LangGraph is handed it.
        got: The copy; None if it is not there.
        serde: The target's serializer, if it is one that does not bring back all as it was: then
            what it makes of a value is right.
        removed: Checkpoints that one of both has no more: where one is, its child has no parent.
        was_there: The copy was not made just now. It may be the original, and ``want`` its export.
    """
    if got is None:
        yield Mismatch("(checkpoint)", "it is not there")
        return
    parent = (got.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    # "exit" durability puts a checkpoint over itself; here that does not make it its own parent.
    own = want.parent_id if want.parent_id != want.place.checkpoint_id else None
    if parent not in (own, want.parent_id) and not (
        None in (parent, own) and Place(want.place.checkpoint_ns, parent or own or "") in removed
    ):
        yield Mismatch("(parent)", f"{parent!r} instead of {want.parent_id!r}")
    differs = partial(unlike, serde, was_there=was_there)
    copied: dict[str, Any] = dict(got.checkpoint)
    header = {**want.checkpoint, "id": want.place.checkpoint_id, "channel_values": None}
    yield from _of_dicts(header, {**copied, "channel_values": None}, "({})")
    old = {key: value for key, value in want.metadata.items() if key != _DROPPED}
    new = {key: value for key, value in got.metadata.items() if key != _DROPPED}
    yield from _of_dicts(old, new, "(metadata {!r})")
    yield from _of_values(want.checkpoint["channel_values"], copied["channel_values"], differs)
    yield from _of_writes(want, got, differs)


def _of_dicts(want: Mapping[str, Any], got: Mapping[str, Any], part: str) -> Iterator[Mismatch]:
    for key in want.keys() | got.keys():
        found = difference(_as_json(got.get(key)), _as_json(want.get(key)))
        if found is not None:
            yield Mismatch(part.format(key), found.removeprefix(": "))


def _as_json(value: Any) -> Any:
    """What is the same in JSON: savers keep headers and metadata in it, each in its own way."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    return value


def _of_values(
    want: Mapping[str, Any], got: Mapping[str, Any], differs: _Differs
) -> Iterator[Mismatch]:
    for channel in sorted(want.keys() | got.keys()):
        if channel not in got:
            yield Mismatch(channel, "its value is missing")
        elif channel not in want:
            yield Mismatch(channel, "it has a value where there was none")
        elif (found := differs(got[channel], want[channel])) is not None:
            yield Mismatch(channel, found.removeprefix(": "))


def _of_writes(want: Found, got: CheckpointTuple, differs: _Differs) -> Iterator[Mismatch]:
    pending = got.pending_writes or []
    old, new = [w[:2] for w in want.pending_writes], [tuple(w[:2]) for w in pending]
    if old != new:
        yield Mismatch("(pending writes)", f"{len(new)} writes instead of {len(old)}, or others")
        return
    for (_, channel, value), (_, _, copied) in zip(want.pending_writes, pending, strict=True):
        if (found := differs(copied, value)) is not None:
            yield Mismatch(channel, f"a pending write{found}")


def unlike(
    serde: SerializerProtocol | None, got: Any, want: Any, *, was_there: bool = False
) -> str | None:
    """In what a copied value differs from the original; None if it does not (see `mismatches`)."""
    found = difference(got, want)
    if found is not None and serde is not None:
        found = difference(got, serde.loads_typed(serde.dumps_typed(want)))
    if found is not None and was_there and difference(_exported(got), want) is None:
        return None
    return found


def _exported(value: Any) -> Any:
    """What an export makes of a value, where the other saver has the usual serializer."""
    try:
        return _USUAL.loads_typed(_USUAL.dumps_typed(value))
    except Exception:  # noqa: BLE001 -- it was not exported then
        return value

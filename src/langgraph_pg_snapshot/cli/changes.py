"""What changed between two states, channel by channel and element by element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import orjson

from langgraph_pg_snapshot.pictures.readable import bare, elements, entries

Change = dict[str, Any]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    """What happened to each channel that is not the same in both.

    A change has ``change`` ("added", "removed", "changed") and ``before`` and ``after`` as far as
    there are such. Of lists it has ``items`` in their place: changes of elements, each with its
    ``position`` (in the list that has it; of a changed one, the new one). Of dicts and objects it
    has ``entries``: changes by key.
    """
    found: dict[str, Change] = {}
    for channel in sorted({*before, *after}):
        change = _change(before, after, channel)
        if change is not None:
            found[channel] = change
    return found


def _change(before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> Change | None:
    if key not in before:
        return {"change": "added", "after": bare(after[key])}
    if key not in after:
        return {"change": "removed", "before": bare(before[key])}
    old, new = bare(before[key]), bare(after[key])
    if _text(old) == _text(new):
        return None
    old_list, new_list = elements(old), elements(new)
    if old_list is not None and new_list is not None:
        items = list(_list_changes(old_list, new_list))
        if items:
            return {"change": "changed", "items": items}
    old_dict, new_dict = entries(old), entries(new)
    if old_dict is not None and new_dict is not None and old.get("$type") == new.get("$type"):
        found = changes(old_dict, new_dict)
        if found:
            return {"change": "changed", "entries": found}
    return {"change": "changed", "before": old, "after": new}


def _list_changes(old: Sequence[Any], new: Sequence[Any]) -> Iterator[Change]:
    """Elements with an id are the same one by their id, others by their value."""
    before, after = _names(old), _names(new)
    for tag, start, end, new_start, new_end in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            for place, new_place in zip(range(start, end), range(new_start, new_end), strict=True):
                if _text(old[place]) != _text(new[new_place]):
                    yield _changed(new_place, old[place], new[new_place])
            continue
        # Without ids, what stands in the place of another is a changed one.
        common = 0 if _have_ids(old) and _have_ids(new) else min(end - start, new_end - new_start)
        for offset in range(common):
            yield _changed(new_start + offset, old[start + offset], new[new_start + offset])
        for place in range(start + common, end):
            yield {"change": "removed", "position": place, "before": old[place]}
        for place in range(new_start + common, new_end):
            yield {"change": "added", "position": place, "after": new[place]}


def _changed(position: int, before: Any, after: Any) -> Change:
    return {"change": "changed", "position": position, "before": before, "after": after}


def _names(values: Sequence[Any]) -> list[str]:
    return [value["id"] if _have_ids([value]) else _text(value) for value in values]


def _have_ids(values: Sequence[Any]) -> bool:
    return all(isinstance(each, dict) and isinstance(each.get("id"), str) for each in values)


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

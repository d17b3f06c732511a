"""A thread's checkpoints as a tree of lines, the oldest first; forks stand to the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Steps = Mapping[str, str | None]
"""Parents by checkpoint id, in the order of the ids."""


def drawn(parents: Steps) -> Iterator[tuple[str, str]]:
    """Each checkpoint with what is to stand before it.

    The line that leads to the newest checkpoint stays at the left; what was tried beside it hangs
    from where it forked.
    """
    children: dict[str | None, list[str]] = {}
    newest: dict[str, str] = {}
    for each in sorted(parents):
        parent = parents[each]
        children.setdefault(parent if parent in parents else None, []).append(each)
    # Ids of children are larger as a rule; where they are not, a loop must not hang.
    for each in sorted(parents, reverse=True):
        newest.setdefault(each, each)
        above, seen = parents[each], {each}
        while (
            above is not None
            and above in parents
            and above not in seen
            and newest.get(above, "") < newest[each]
        ):
            newest[above] = newest[each]
            seen.add(above)
            above = parents[above]
    roots = children.get(None, [])
    pending = [(root, "") for root in reversed(_main_last(roots, newest))]
    while pending:
        each, prefix = pending.pop()
        below = _main_last(children.get(each, []), newest)
        yield f"{prefix}● ", each
        pending += [
            (child, prefix if child == below[-1] else f"{prefix}│ ") for child in reversed(below)
        ]


def _main_last(ids: Sequence[str], newest: Mapping[str, str]) -> list[str]:
    return sorted(ids, key=lambda each: newest.get(each, each))

"""A thread's checkpoints as a tree, the oldest first; forks stand to the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Parents = Mapping[str, str | None]
"""The checkpoint before each, by id; one that is not among them counts as none."""


def placed(parents: Parents) -> Iterator[tuple[str, int]]:
    """Each checkpoint in the order of its line, with how far to the right it stands.

    The line that leads to the newest checkpoint stays at the left; what was tried beside it hangs
    from where it forked. So a checkpoint is where its parent is, or one to the right of it, and
    nothing lies between the two where the parent is.
    """
    children: dict[str | None, list[str]] = {}
    for each in sorted(parents):
        parent = parents[each]
        children.setdefault(parent if parent in parents else None, []).append(each)
    newest = _newest_below(parents)
    seen: set[str] = set()
    # Those that are their own ancestors hang from no root, and are not to be lost.
    for root in (*_main_last(children.get(None, []), newest), *sorted(parents)):
        pending = [] if root in seen else [(root, 0)]
        while pending:
            each, place = pending.pop()
            seen.add(each)
            yield each, place
            below = _main_last(
                [child for child in children.get(each, []) if child not in seen], newest
            )
            pending += [
                (child, place if child == below[-1] else place + 1) for child in reversed(below)
            ]


def _newest_below(parents: Parents) -> dict[str, str]:
    """The newest of each checkpoint and what came of it."""
    newest: dict[str, str] = {}
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
    return newest


def _main_last(ids: Sequence[str], newest: Mapping[str, str]) -> list[str]:
    return sorted(ids, key=lambda each: newest.get(each, each))

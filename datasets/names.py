"""Names of clips: those of many folders are told apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar


class Named(Protocol):
    """A clip, or a file of clips: a dataclass with a name, and what its errors name."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path | str: ...


Clip = TypeVar("Clip", bound=Named)


def told_apart(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, each under a name of its own; one that is listed more than once is there once.

    Clips of one name are called after the folders that they are in, as few of them as tell them apart:
    ``monday/cam.mp4`` and ``tuesday/cam.mp4`` are ``monday-cam`` and ``tuesday-cam``. Clips of an archive have the
    archive's name before theirs, and files that differ in nothing but their endings have these behind.
    """
    clips = list({(Path(clip.path).absolute(), clip.name): clip for clip in clips}.values())
    ways = [_ways(clip) for clip in clips]
    deep = [0] * len(clips)
    while True:
        groups = defaultdict(list)
        for i, way in enumerate(ways):
            groups[way[deep[i]]].append(i)
        more = [i for group in groups.values() for i in _to_rename(group, deep) if deep[i] + 1 < len(ways[i])]
        if not more:
            names = _numbered([way[depth] for way, depth in zip(ways, deep, strict=True)])
            return [replace(clip, name=name) for clip, name in zip(clips, names, strict=True)]
        files = {clips[i].path for i in more}  # all clips of an archive are called alike
        deep = [min(d + (clip.path in files), len(w) - 1) for d, clip, w in zip(deep, clips, ways, strict=True)]


def _ways(clip: Named) -> list[str]:
    """What a clip may be called, shortest first."""
    path = Path(clip.path).absolute()
    inside = clip.name not in (path.stem, path.name, path.parent.name)  # one clip of many in a file
    own = [path.stem, clip.name] if inside else [clip.name]
    folder = path.parent if inside or clip.name != path.parent.name else path.parent.parent
    parts = [part for part in folder.parts if part != folder.anchor]
    names = [clip.name] if inside else []
    names += ["-".join([*parts[len(parts) - depth :], *own]) for depth in range(len(parts) + 1)]
    return [*names, f"{own[-1]}-{path.suffix[1:]}", f"{names[-1]}-{path.suffix[1:]}"] if path.suffix else names


def _to_rename(group: list[int], deep: Sequence[int]) -> list[int]:
    """Of clips of one name, those to be renamed: all, but for one whose name says fewer of its folders than others'."""
    least = min(deep[i] for i in group)
    plain = [i for i in group if deep[i] == least]
    return group if len(plain) > 1 else [i for i in group if deep[i] > least]


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, of which those that are still the same have a number behind."""
    found: dict[str, None] = {}
    given = set(names)
    for name in names:
        own, number = name, 1
        while own in found or (own != name and own in given):
            number += 1
            own = f"{name}-{number}"
        found[own] = None
    return list(found)

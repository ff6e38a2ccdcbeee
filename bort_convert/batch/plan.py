"""A plan: the checkpoints to convert, each with its target and its options, from files, folders and patterns."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from bort_convert.batch.options import read_options, shown
from bort_convert.batch.plan_file import is_plan, read_rows
from bort_convert.errors import PlanError, printable
from bort_convert.files.remote import beside, place_of, redacted
from bort_convert.files.system_errors import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bort_convert.files.remote import Place, RemotePath

RESERVED: Final = frozenset({"batch.json", "batch.journal"})
"""Names in the root of a batch that are its own."""
_CHECKPOINTS: Final = "*.params"


@dataclass(frozen=True)
class Entry:
    """One conversion.

    Attributes:
        source: the checkpoint, or its URL.
        name: name of the target below the root, with `/` between its parts.
        options: arguments of `convert`, and `trace`, a recorded reference.
        place: place in the plan, such as `plan.csv:3`.
    """

    source: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    @property
    def shown_source(self) -> str:
        """The source without what may be a credential."""
        return redacted(self.source)


def read_plan(
    plan: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    defaults: Mapping[str, object] | None = None,
    traces: str | os.PathLike[str] | None = None,
) -> tuple[Entry, ...]:
    """Read a plan.

    Args:
        plan: one or several of: a plan (.csv, .jsonl, .toml), a folder (every .params file in it, at any depth), a
            pattern such as `models/**/*.params`, a checkpoint; or a URL of any of them. In a plan, relative paths
            start from its folder.
        defaults: options of every checkpoint for which the plan gives none; relative paths start from here.
        traces: folder with recorded references, `NAME.safetensors` for the target NAME, for all that have one there.

    Returns:
        An entry for each checkpoint, in the order of the plan.

    Raises:
        PlanError: the plan cannot be read, or is wrong: all mistakes, each with its place.

    Examples:
        >>> plan = bort_convert.read_plan("fixtures/bort_2_3_24_24-*.params", defaults={"family": "bort", "heads": 3})
        >>> plan[0].name, plan[0].options
        ('bort_2_3_24_24-argaux', {'family': 'bort', 'heads': 3})
    """
    parts = [plan] if isinstance(plan, (str, os.PathLike)) else plan
    mistakes: list[str] = []
    common, wrong = read_options(defaults or {}, Path())
    mistakes += wrong
    entries = [entry for part in parts for entry in _entries(os.fspath(part), common, mistakes)]
    entries = [_with_trace(entry, Path(traces)) for entry in entries] if traces is not None else entries
    mistakes += _name_mistakes(entries)
    if mistakes:
        count = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "a mistake"
        raise PlanError(f"the plan has {count}:", mistakes)
    if not entries:
        raise PlanError("the plan has no checkpoint in it")
    return tuple(entries)


def _entries(part: str, common: Mapping[str, Any], mistakes: list[str]) -> Iterator[Entry]:
    place = place_of(part)
    if is_plan(part):
        rows, wrong = read_rows(place)
        mistakes += wrong
        for line, values in rows:
            yield from _entry_of_row(values, place.parent, common, f"{place}:{line}", mistakes)
        return
    if not isinstance(place, Path):
        yield from _remote_entries(place, common, mistakes)
        return
    if os.path.isdir(part):  # noqa: PTH112 - Path.is_dir raises an error for a long name
        folder = Path(part)
        with reading(part):
            found = sorted(path for path in folder.rglob(_CHECKPOINTS) if path.is_file())
    elif glob.has_magic(part) and not os.path.lexists(part):
        folder = _fixed_part(part)
        with reading(part):
            found = sorted(path for name in glob.glob(part, recursive=True) if (path := Path(name)).is_file())  # noqa: PTH207 - it takes an absolute pattern
    else:
        yield Entry(part, Path(part).stem, common, part)
        return
    if not found:
        mistakes.append(f"{printable(part)}: holds no checkpoint ({_CHECKPOINTS})")
    for path in found:
        yield Entry(str(path), path.relative_to(folder).with_suffix("").as_posix(), common, part)


def _remote_entries(place: RemotePath, common: Mapping[str, Any], mistakes: list[str]) -> Iterator[Entry]:
    """Entries of a folder, a pattern or a checkpoint elsewhere."""
    is_pattern = "*" in place.url or "[" in place.url
    if not is_pattern and (place.suffix == ".params" or not place.is_dir()):
        yield Entry(place.url, place.stem, common, str(place))
        return
    try:
        found = sorted(place.expanded() if is_pattern else place.rglob(_CHECKPOINTS))
    except OSError as error:
        raise PlanError(f"{place}: cannot be listed: {error.strerror or error}") from error
    folder = place
    while "*" in folder.url or "[" in folder.url:
        folder = folder.parent
    if not found:
        mistakes.append(f"{place}: holds no checkpoint ({_CHECKPOINTS})")
    for path in found:
        yield Entry(path.url, str(path.relative_to(folder).with_suffix("")), common, str(place))


def _entry_of_row(
    values: Mapping[str, object], folder: Place, common: Mapping[str, Any], place: str, mistakes: list[str]
) -> Iterator[Entry]:
    own = {name.strip(): value for name, value in values.items()}
    source, name = own.pop("source", None), own.pop("name", None)
    options, wrong = read_options(own, folder)
    mistakes += [f"{place}: {line}" for line in wrong]
    if not isinstance(source, str) or not source.strip():
        mistakes.append(f"{place}: source is {shown(source)}; expected the name of a checkpoint")
    elif name not in (None, "") and not isinstance(name, str):
        mistakes.append(f"{place}: name is {shown(name)}; expected the name of a directory")
    else:
        path = beside(folder, source.strip())
        yield Entry(os.fspath(path), str(name).strip() if name else path.stem, {**common, **options}, place)


def _fixed_part(pattern: str) -> Path:
    """The folders of a pattern before the first one with a wildcard."""
    parts = Path(pattern).parts[:-1]
    count = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:count])


def _with_trace(entry: Entry, folder: Path) -> Entry:
    trace = folder / f"{entry.name}.safetensors"
    if "trace" in entry.options or not trace.is_file():
        return entry
    return Entry(entry.source, entry.name, {**entry.options, "trace": str(trace)}, entry.place)


def _name_mistakes(entries: Iterable[Entry]) -> Iterator[str]:
    taken: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.name.split("/")
        if any(not part or part.startswith(".") or not part.isprintable() or "\\" in part for part in parts):
            expected = "expected one below the root, no part of it with a dot in front"
            yield f"{entry.place}: name is {shown(entry.name)}; {expected}"
        elif parts[0] in RESERVED:
            yield f"{entry.place}: name is {shown(entry.name)}, which the batch itself writes; expected another name"
        elif other := taken.get(entry.name.casefold()):
            yield f"{entry.place}: name is {shown(entry.name)}, as at {other.place}; give each a `name` of its own"
        else:
            taken[entry.name.casefold()] = entry
    for name, entry in taken.items():
        for above in PurePosixPath(name).parents:
            if str(above) in taken:
                yield f"{entry.place}: name is {shown(entry.name)}, inside of the target of {taken[str(above)].place}"

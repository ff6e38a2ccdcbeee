"""Find where in a file the sources of a table stand: the attribute path, or Gluon's prefixes, in front of their names.

A network of the user's own holds the model as an attribute, `self.bert_model`, so that the names of the model begin
with `bert_model.`; in a prefixed name the scopes of such a network precede the block's own prefix, as in
`mynet0_bertmodel1_`. A table stands at a place if every source that it requires does.

Every name is looked at once for all tables together, so that a file of very many names takes time in proportion.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from bort_convert.mapping.source_names import (
    any_of,
    bare_name,
    compiled,
    placeholder_pattern,
    prefixed_pattern,
    structural_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bort_convert.mapping.rows import Rows, SourceTensor

_HEAD: Final = re.compile(r"^(?:\[[^\]]*\]|[~a-z]*#_)")
"""The beginning of a prefixed name in a table: the prefix of the block that holds the parameter."""
_NUMBER: Final = re.compile(r"(?<![^.])(\d+|{\w+})(?![^.])")
"""A part of a structural name that is a number, or a placeholder for one."""
_ANY_BLOCK: Final = "(?P<block>(?:.*_)?)"
_ANY_DENSE: Final = re.compile("dense[0-9#]*_")
"""The end of a prefixed name that a dense layer of any network has."""


@dataclass(frozen=True)
class Place:
    """A place in a file where sources of a table stand.

    Attributes:
        prefix: what precedes the names there: an attribute path with its last dot, or Gluon's prefixes up to the
            block's own; "" at the top of the file.
        names: structural name -> name in the file, of those that a row of the table knows.
        tangled: Gluon's prefixes of several blocks of one kind, of which no name tells which belong together.
    """

    prefix: str
    names: Mapping[str, str]
    tangled: tuple[str, ...] = ()


def find_places(names: Iterable[str], tables: Sequence[Rows]) -> list[list[Place]]:
    """Find the places of each table: all at which nothing that it requires is missing, or else the nearest to that.

    Args:
        names: names in the file.
        tables: rows of each table.

    Returns:
        For each table its places, in the order of the file. A name with `arg:` and one without it do not count, if they
        are the same otherwise.
    """
    written = {name: bare_name(name) for name in names}
    count = Counter(written.values())
    bare = {unmarked: name for name, unmarked in written.items() if count[unmarked] == 1}
    if any("." in name for name in bare):
        places = _structural_places(bare, tables)
        for number, rows in enumerate(tables):
            if (renamed := _with_child(bare, rows)) is not bare:
                places[number] = _structural_places(renamed, [rows])[0]
        return places
    return _prefixed_places(bare, tables)


def least_disagreements(names: Iterable[str], tables: Sequence[Rows]) -> list[int]:
    """Count for each table names of a file that it cannot take, and sources that it requires and the file lacks.

    Both are disagreements at the top of the file; with shapes, layers and groups there may be more.
    """
    bare = {bare_name(name) for name in names}
    has_dots = any("." in name for name in bare)
    known = bare if has_dots else _prefixed_names_of_any(bare, tables)
    counts = Counter(_NUMBER.sub("{}", name) for name in bare)
    least = []
    for rows in tables:
        found = known if has_dots else structural_names(known, rows)[0]
        missing = sum("{" not in name and name not in found for name in _required_names(rows, layers=False))
        forms = {_NUMBER.sub("{}", source.name) for row in rows for source in row.sources}
        taken = sum(counts[form] for form in forms) if has_dots else len(known)
        least.append(len(bare) - taken + missing)
    return least


def _prefixed_names_of_any(names: Iterable[str], tables: Iterable[Rows]) -> set[str]:
    """Those of the names that some table has as a prefixed name."""
    prefixed = {source.prefixed for rows in tables for row in rows for source in row.sources if source.prefixed}
    any_prefixed = any_of(compiled(prefixed_pattern(name)) for name in sorted(prefixed))
    return {name for name in names if any_prefixed.fullmatch(name)}


# Structural names: an attribute path precedes all names of the model


def _structural_places(bare: Mapping[str, str], tables: Sequence[Rows]) -> list[list[Place]]:
    required = [_required_names(rows) for rows in tables]
    wanted = frozenset().union(*required)
    found: dict[str, set[str]] = defaultdict(set)
    for name in bare:
        for path, rest in _cuts(name):
            if rest in wanted:
                found[path].add(rest)
    chosen = [_complete_or_nearest(found, names) for names in required]
    inside: dict[str, dict[str, str]] = {path: {} for paths in chosen for path in paths}
    for name, written in bare.items():
        for path, rest in _cuts(name):
            if path in inside:
                inside[path][rest] = written
    places = []
    for rows, paths in zip(tables, chosen, strict=True):
        known = any_of(placeholder_pattern(source.name) for row in rows for source in row.sources)
        places.append(
            [
                Place(path, {name: written for name, written in inside[path].items() if known.fullmatch(name)})
                for path in paths
            ]
        )
    return places


def _with_child(bare: Mapping[str, str], rows: Rows) -> Mapping[str, str]:
    """The names of a file with a table's own attribute for the model inside, if one model alone has another there."""
    child = next((source.child for row in rows for source in row.sources if source.child), None)
    if child is None:
        return bare
    inside = {name.removeprefix(child) for name in _required_names(rows) if name.startswith(child)}
    found: dict[str, set[str]] = defaultdict(set)
    for name in bare:
        for path, rest in _cuts(name):
            if rest in inside:
                found[path].add(rest)
    paths = [path for path, names in found.items() if path and inside <= names]
    if len(paths) != 1:
        return bare
    (path,) = paths
    own, cut = path[: path.removesuffix(".").rfind(".") + 1] + child, len(path)
    return {own + name[cut:] if name.startswith(path) else name: written for name, written in bare.items()}


def _required_names(rows: Rows, *, layers: bool = True) -> frozenset[str]:
    """Names that every checkpoint of a table has: no tied one, of which a file may lack either, and layer 0 for all.

    Without `layers` the placeholder stays.
    """
    originals = {row.tied_to for row in rows}
    return frozenset(
        re.sub(r"{\w+}", "0", source.name) if layers else source.name
        for row in rows
        if not (row.group or row.tied_to)
        for source in row.sources
        if source.name not in originals
    )


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Cut a name into a path and a rest at each of its dots, and before its first part."""
    yield "", name
    for dot in re.finditer("[.]", name):
        yield name[: dot.end()], name[dot.end() :]


def _complete_or_nearest(found: Mapping[str, set[str]], required: frozenset[str]) -> list[str]:
    """The paths that all required names stand under; the one with the most of them if there is none."""
    complete = [path for path, names in found.items() if required <= names]
    if complete or not found:
        return complete
    nearest = max(found, key=lambda path: len(required & found[path]))
    return [nearest] if required & found[nearest] else []


# Prefixed names: each block has a prefix of its own, and only the scopes around the blocks are shared


def _prefixed_places(bare: Mapping[str, str], tables: Sequence[Rows]) -> list[list[Place]]:
    sources = [[source for row in rows for source in row.sources if source.prefixed] for rows in tables]
    tails = {_head_and_tail(source)[1] for known in sources for source in known}
    patterns = {tail: compiled(_ANY_BLOCK + prefixed_pattern(tail)) for tail in tails}
    any_tail = any_of(patterns.values())
    found: dict[str, list[tuple[str, dict[str, str], str]]] = defaultdict(list)  # tail -> block, numbers, name
    for name, written in bare.items():
        if any_tail.fullmatch(name):
            for tail, pattern in patterns.items():
                if match := pattern.fullmatch(name):
                    numbers = match.groupdict()
                    found[tail].append((numbers.pop("block"), numbers, written))
    places = []
    for rows, known in zip(tables, sources, strict=True):
        required = _required_blocks(rows)
        all_found = bool(required) and all(found.get(tail) for needed in required.values() for tail in needed.values())
        places.append(list(_places_of_blocks(required, _blocks(known, found))) if all_found else [])
    return places


def _required_blocks(rows: Rows) -> dict[str, dict[str, str]]:
    """Names that every file of a table has, layer 0 for all: head of the prefixed name -> structural name -> its tail.

    Empty if one of them has no prefixed name.
    """
    required: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        for source in row.sources if not (row.group or row.tied_to) else ():
            if not source.prefixed:
                return {}
            head, tail = _head_and_tail(source)
            required[head][re.sub(r"{\w+}", "0", source.name)] = tail
    return required


def _head_and_tail(source: SourceTensor) -> tuple[str, str]:
    """Cut the prefixed name of a source behind the prefix of its block."""
    tail = _HEAD.sub("", source.prefixed)
    return source.prefixed.removesuffix(tail), tail


def _blocks(
    sources: Iterable[SourceTensor], found: Mapping[str, list[tuple[str, dict[str, str], str]]]
) -> dict[str, dict[str, dict[str, str]]]:
    """Names by block: head of the names in the table -> prefix of the block -> structural name -> name in the file.

    Of two names in a block that mean the same tensor neither counts.
    """
    blocks: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    twice = set()
    for source in sources:
        head, tail = _head_and_tail(source)
        for block, numbers, written in found.get(tail, ()):
            name = source.name.format(**numbers)
            if blocks[head][block].setdefault(name, written) != written:
                twice.add((head, block, name))
    for head, block, name in twice:
        del blocks[head][block][name]
    return blocks


def _places_of_blocks(
    required: Mapping[str, Mapping[str, str]], blocks: Mapping[str, Mapping[str, Mapping[str, str]]]
) -> Iterator[Place]:
    """Put one block of each kind together: those with the same scopes around them, and those that alone are left."""
    scopes = {
        head: {block: _scope(head, block) for block, names in blocks[head].items() if needed.keys() <= names.keys()}
        for head, needed in required.items()
    }
    for head, needed in required.items():
        if all(map(_ANY_DENSE.match, needed.values())):  # only the block's own prefix tells whose layers they are
            scopes[head] = {block: scope for block, scope in scopes[head].items() if block != scope}
    by_scope: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for head, known in scopes.items():
        for block, scope in known.items():
            by_scope[scope][head].append(block)
    together = [(scope, kinds) for scope, kinds in by_scope.items() if len(kinds) == len(required)]
    used = {block for _, kinds in together for prefixes in kinds.values() for block in prefixes}
    alone = {head: [block for block in known if block not in used] for head, known in scopes.items()}
    if all(len(prefixes) == 1 for prefixes in alone.values()):
        together.append((_common_beginning([block for (block,) in alone.values()]), alone))
    for scope, kinds in together:
        several = sorted(block for prefixes in kinds.values() if len(prefixes) > 1 for block in prefixes)
        names = {name: written for head, (block, *_) in kinds.items() for name, written in blocks[head][block].items()}
        yield Place(scope, names, tangled=tuple(several))


def _scope(head: str, block: str) -> str:
    """Prefix of a block without the part that is its own by the table: the scopes of the network around it."""
    match = re.fullmatch(f"(.*?){prefixed_pattern(head)}", block)
    return match[1] if match else block


def _common_beginning(blocks: Iterable[str]) -> str:
    """The characters that all prefixes of blocks begin with."""
    return "".join(
        character for character, *_ in takewhile(lambda found: len({*found}) == 1, zip(*blocks, strict=False))
    )

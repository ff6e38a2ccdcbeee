"""Find the rows of a backbone among those of a family's forms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bort_convert.mapping.family import Family, Table
    from bort_convert.mapping.rows import Rows


def backbone_rows(family: Family, form: Table, groups: frozenset[str] = frozenset()) -> Rows:
    """Rows of the backbone in a form, by their names from the backbone on.

    Args:
        family: the family of the form.
        form: a form of its checkpoints.
        groups: titles of optional groups to take too, as required ones.
    """
    rows = tuple(
        replace(row, group="")
        for row in form.all_rows
        if row.group in groups or not (row.group or any(not target.startswith(family.base) for target in row.targets))
    )
    path = _path_of(rows, family.tables[0].all_rows)
    return tuple(
        replace(
            row,
            sources=tuple(replace(source, name=source.name.removeprefix(path)) for source in row.sources),
            tied_to=row.tied_to.removeprefix(path),
        )
        for row in rows
        if all(source.name.startswith(path) for source in row.sources)
    )


def _path_of(rows: Rows, bare: Rows) -> str:
    """The attribute path in front of the sources of rows that, without it, have the same targets in another form."""
    known = {row.targets: row.sources[0].name for row in bare if row.sources and row.targets}
    names = ((row.sources[0].name, known[row.targets]) for row in rows if row.sources and row.targets in known)
    return next((name.removesuffix(end) for name, end in names if name.endswith(end)), "")

"""Compare tables with a checkpoint: each with the whole file, or each with a part of it at some place.

A candidate is a table at a place, with the plan that it makes there. The file may hold other tensors than the table
takes; `selection` says what becomes of those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from bort_convert.errors import MappingError, OptionError, VariantError, printable
from bort_convert.mapping.planner import make_plan
from bort_convert.mapping.rows import resolve
from bort_convert.mapping.source_names import any_of, placeholder_pattern, structural_names
from bort_convert.mapping.source_places import find_places, least_disagreements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.family import Family, Table, Variant
    from bort_convert.mapping.given import Given
    from bort_convert.mapping.plan import Plan
    from bort_convert.mapping.rows import Rows
    from bort_convert.mapping.source_places import Place

    Specs = Mapping[str, TensorSpec | None]
    KnownTable = tuple[Family, Table, Rows]


@dataclass(frozen=True)
class Candidate:
    """A table compared with a checkpoint.

    Attributes:
        family: the family of the table.
        table: the table.
        names: structural name -> name in the file.
        plan: the plan, which holds the disagreements.
        prefix: what precedes the names in the file; see `Place`.
        beside: number of tensors of the file that are not taken, where these are no disagreements.
    """

    family: Family
    table: Table
    names: Mapping[str, str]
    plan: Plan
    prefix: str = ""
    beside: int = 0

    @property
    def fits(self) -> bool:
        """True if there is no disagreement."""
        return not self.plan.disagreements

    @property
    def variant(self) -> Variant | None:
        """The published size that has the sizes of the checkpoint, if any."""
        return next((known for known in self.family.variants if known.dims.items() <= self.plan.dims.items()), None)

    @property
    def published(self) -> Variant | None:
        """The same, if it was published with a vocabulary of this size; else somebody else trained the checkpoint."""
        return self.variant if self.variant and not self.variant.differences(self.plan.dims) else None

    @property
    def distance(self) -> int:
        """Number of disagreements, and of tensors beside."""
        return len(self.plan.disagreements) + self.beside

    @cached_property
    def taken(self) -> frozenset[str]:
        """Names in the file of the tensors that the plan takes, aliases among them."""
        sources = {name for step in self.plan.steps for name in step.sources}
        sources |= {alias for alias, _ in self.plan.aliases}
        return frozenset(self.names[name] for name in sources if name in self.names)

    @property
    def required(self) -> frozenset[str]:
        """Those of the taken names that belong to no optional group."""
        optional = any_of(
            placeholder_pattern(source.name) for row in self.table.rows if row.group for source in row.sources
        )
        return self.taken - {written for name, written in self.names.items() if optional.fullmatch(name)}


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


def known_tables(families: Sequence[Family], given: Given) -> list[KnownTable]:
    """Every table of the families with its rows.

    A family that lacks a given hyperparameter, or needs a token id that the vocabulary has not, counts only if all do.

    Raises:
        OptionError: no family has the given hyperparameters and needs no others.
    """
    tables: list[KnownTable] = []
    errors: list[OptionError] = []
    for family in families:
        try:
            known = given.of(family)
        except OptionError as error:
            errors.append(error)
            continue
        if lost := family.lost_hyperparameter(known):
            ids = dict(given.special_token_ids or {})
            errors.append(
                OptionError("special_token_ids", ids, f"{family.title} needs {lost}, a row of the vocabulary")
            )
            continue
        tables += [(family, table, resolve(table.rows, known)) for table in family.tables]
    if not tables:
        raise errors[0]
    return tables


def compare_with_file(specs: Specs, tables: Sequence[KnownTable]) -> list[Candidate]:
    """Compare tables with the whole file: every one that may fit, and of the others those that may be the closest.

    A tensor that a table does not take is a disagreement. In a file of very many names nearly every one is, with nearly
    every table; so a table that has more disagreements for sure than another one has in all is not compared.
    """
    least = least_disagreements(specs, [rows for _, _, rows in tables])
    candidates: dict[int, Candidate] = {}
    nearest = len(specs) + sum(len(rows) for _, _, rows in tables)
    for number in sorted(range(len(tables)), key=least.__getitem__):
        if least[number] >= max(nearest, 1):
            break
        candidates[number] = _compare_with_file(specs, *tables[number])
        nearest = min(nearest, candidates[number].distance)
    return [candidate for _, candidate in sorted(candidates.items())]


def _compare_with_file(specs: Specs, family: Family, table: Table, rows: Rows) -> Candidate:
    names, clashes = structural_names(specs, rows)
    plan = make_plan(rows, {structural: specs[name] for structural, name in names.items()})
    plan = _with_problems_of_table(table, replace(plan, disagreements=(*clashes, *plan.disagreements)))
    return Candidate(family, table, names, plan)


def compare_at_places(specs: Specs, tables: Sequence[KnownTable]) -> list[Candidate]:
    """Compare each table with the tensors at each of its places; other tensors are no disagreement."""
    places = find_places(specs, [rows for _, _, rows in tables])
    return [
        _compare_at(specs, family, table, rows, place)
        for (family, table, rows), found in zip(tables, places, strict=True)
        for place in found
    ]


def largest_parts(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """Group candidates that fit by the tensors that they take; drop those that take a part of another's."""
    owners: dict[str, frozenset[str]] = {}
    parts: dict[frozenset[str], list[Candidate]] = {}
    taking = (candidate for candidate in candidates if candidate.taken)
    for candidate in sorted(taking, key=lambda candidate: -len(candidate.taken)):
        if not candidate.taken < owners.get(min(candidate.taken), frozenset()):
            parts.setdefault(candidate.taken, []).append(candidate)
            for name in candidate.taken:
                owners.setdefault(name, candidate.taken)
    return list(parts.values())


def published_first(fitting: list[AnyCandidate]) -> list[AnyCandidate]:
    """The candidates of a published size; all of them where none has one."""
    return [candidate for candidate in fitting if candidate.variant] or fitting


def closest_of(candidates: Iterable[Candidate]) -> Candidate:
    """The candidate with the fewest disagreements."""
    return min(candidates, key=lambda candidate: candidate.distance)


def no_table_fits(candidates: Iterable[Candidate], what: str) -> MappingError:
    """The error for a file or directory that no table fits, with the disagreements of the closest one."""
    closest = closest_of(candidates)
    count = len(closest.plan.disagreements)
    place = f" under `{printable(closest.prefix)}`" if closest.prefix else ""
    beside = f" and {closest.beside:,} other tensors" if closest.beside else ""
    return MappingError(
        f"no family fits this {what}; the closest is {closest.family.name} ({closest.table.title}){place}, with "
        f"{count:,} disagreement{'s' * (count != 1)}{beside}:",
        closest.plan.disagreements,
    )


def several_families(what: str, names: Iterable[str], missing: Iterable[str] = ()) -> VariantError:
    """The error for tensors that fit tables of several families.

    Args:
        what: subject and verb of the message, such as "the directory fits".
        names: names of the families, any number of times.
        missing: further arguments that have to be given, any number of times.
    """
    families, arguments = tuple(dict.fromkeys(names)), tuple(dict.fromkeys(missing))
    also = "".join(f", and `{argument}=N`" for argument in arguments)
    return VariantError(
        f"{what} more than one family: {', '.join(families)}. Pass `family=NAME` with one of them{also}",
        missing=("family", *arguments),
        candidates=families,
    )


def _compare_at(specs: Specs, family: Family, table: Table, rows: Rows, place: Place) -> Candidate:
    """Compare a table with the tensors at a place, without the optional groups that disagree there."""
    here = {name: specs[written] for name, written in place.names.items()}
    plan = _plan_of(table, rows, here)
    if plan.disagreements:
        groups = dict.fromkeys(row.group for row in rows if row.group)
        chosen = tuple(row for row in rows if not row.group)
        smaller = _plan_of(table, chosen, here)
        for group in groups:
            more = tuple(row for row in rows if row in chosen or row.group == group)
            larger = _plan_of(table, more, here)
            chosen, smaller = (chosen, smaller) if larger.disagreements else (more, larger)
        plan = plan if smaller.disagreements else smaller
    if place.tangled:
        blocks = ", ".join(f"`{printable(block)}`" for block in place.tangled)
        problem = (
            f"{blocks}: no name tells which of these blocks belong together. Leave out those that do not, with "
            "`ignore=...`"
        )
        return Candidate(family, table, place.names, replace(plan, disagreements=(problem,)), place.prefix)
    candidate = Candidate(family, table, place.names, plan, place.prefix)
    return replace(candidate, beside=len(specs) - (len(candidate.taken) if candidate.fits else len(here)))


def _plan_of(table: Table, rows: Rows, specs: Specs) -> Plan:
    """Compare rows of a table with those of the tensors that they know."""
    known = any_of(placeholder_pattern(source.name) for row in rows for source in row.sources)
    return _with_problems_of_table(
        table, make_plan(rows, {name: spec for name, spec in specs.items() if known.fullmatch(name)})
    )


def _with_problems_of_table(table: Table, plan: Plan) -> Plan:
    problems = plan.disagreements or (
        *table.class_problem(plan.groups),
        *table.size_problems(plan.dims, plan.groups),
    )
    return replace(plan, disagreements=problems)

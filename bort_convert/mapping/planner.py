"""Make a plan: compare a table with the names, dtypes and shapes of a checkpoint.

No value is read. The first tensor that shows an axis binds its size, every tensor is taken by one row, and every
disagreement is collected, so that one message names them all.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from bort_convert.dtypes import FLOATS, TensorSpec
from bort_convert.errors import printable
from bort_convert.mapping.axes import parse_axis, shape_of
from bort_convert.mapping.plan import Plan, Step
from bort_convert.mapping.rows import LAST
from bort_convert.mapping.source_names import numbers_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.mapping.rows import Row, Rows, SourceTensor

    Specs = Mapping[str, TensorSpec | None]


def make_plan(rows: Rows, specs: Specs) -> Plan:
    """Compare a table with a checkpoint; the table fits if the plan has no `disagreements`.

    Args:
        rows: the table.
        specs: structural name -> name in the file, dtype and shape; None for a record without a value.
    """
    return _Planner(rows, specs).plan()


def describe(spec: TensorSpec | None) -> str:
    """A tensor in a message: `float32 (768, 1024)`."""
    return f"{spec.dtype} {spec.shape}" if spec else "a record without a value"


class _Planner:
    """The comparison of one table with one checkpoint.

    Attributes:
        specs: see `make_plan`.
        disagreements: a line for everything that does not fit so far.
        untaken: structural names that no row has taken so far.
        sizes: size of each axis so far, and the tensor that bound it.
        aliases: pairs (name, original) so far.
        numbers: numbers in place of each placeholder, as `{"layer": [0, 1, 2, 3]}`.
        groups: titles of the optional groups that the checkpoint has.
        rows: rows of the table that count, one layer after the other.
        present_name: original -> the first of its aliases in the file, where the file lacks the original.
    """

    def __init__(self, rows: Rows, specs: Specs) -> None:
        self.specs = specs
        self.disagreements: list[str] = []
        self.untaken = set(specs)
        self.sizes: dict[str, tuple[int, str]] = {}
        self.aliases: list[tuple[str, str]] = []
        self.numbers = self._find_numbers(rows)
        expanded = list(self._expand(rows))
        self.groups = frozenset(row.group for row in expanded if row.group and self._has_any_source(row))
        self.rows = [row for row in expanded if not row.group or row.group in self.groups]
        self.present_name: dict[str, str] = {}
        for row in self.rows:
            if row.tied_to and row.tied_to not in specs and row.sources[0].name in specs:
                self.present_name.setdefault(row.tied_to, row.sources[0].name)

    def plan(self) -> Plan:
        """Take the sources of every row; make the steps if nothing disagrees."""
        taken = [(row, self._take(row)) for row in self.rows]
        dims = {name: size for name, (size, _) in self.sizes.items()}
        dims |= {f"{name}s": len(numbers) for name, numbers in self.numbers.items() if not name.startswith(LAST)}
        floats = (spec.dtype for _, specs in taken for spec in specs if spec.dtype in FLOATS)
        default_dtype = next(floats, "float32")
        steps = [] if self.disagreements else [self._step(row, specs, dims, default_dtype) for row, specs in taken]
        self.disagreements += [
            f"{printable(spec.name if spec else name)}: found {describe(spec)}, no row of the table takes it"
            for name, spec in self.specs.items()
            if name in self.untaken
        ]
        return Plan(tuple(filter(None, steps)), tuple(self.aliases), dims, self.groups, tuple(self.disagreements))

    # The table, one row for each layer

    def _find_numbers(self, rows: Rows) -> dict[str, list[int]]:
        """Find the numbers in place of each placeholder; none at all, and gaps, are disagreements."""
        templates = dict.fromkeys(source.name for row in rows for source in row.sources if "{" in source.name)
        found = {placeholder: sorted(numbers) for placeholder, numbers in numbers_in(self.specs, templates).items()}
        for placeholder, numbers in found.items():
            if placeholder.startswith(LAST):  # one of those that the placeholder without it stands for
                continue
            if not numbers:
                self.disagreements.append(f"{placeholder}s: found none; expected names such as {min(templates)}")
            elif max(numbers) >= len(numbers):
                shown = ", ".join(str(number) for number in numbers[:20])
                self.disagreements.append(
                    f"{placeholder}s: found the numbers {shown}; expected 0 to {len(numbers) - 1}, no gap"
                )
        for placeholder in [name for name in found if name.startswith(LAST)]:
            counted = placeholder.removeprefix(LAST)
            found[counted], found[placeholder] = found[counted][:-1], found[counted][-1:]
        return found

    def _expand(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Replace placeholders by numbers: all rows of a layer, then those of the next one."""
        for placeholder, group in groupby(rows, self._placeholder_of):
            block = tuple(group)
            if not placeholder:
                yield from block
                continue
            for number in self.numbers[placeholder]:
                yield from self._expand(row.numbered(placeholder, number) for row in block)

    def _placeholder_of(self, row: Row) -> str:
        """The first placeholder in the names of a row; "" without one."""
        return next((name for name in row.placeholders if name in self.numbers), "")

    def _has_any_source(self, row: Row) -> bool:
        return any(source.name in self.specs for source in row.sources)

    # The sources of a row

    def _take(self, row: Row) -> list[TensorSpec]:
        """Take the sources of a row and check them; missing ones are disagreements."""
        if row.tied_to:
            self._take_alias(row.sources[0].name, row.tied_to)
            return []
        specs = []
        for source in row.sources:
            name = self.present_name.get(source.name, source.name)
            self.untaken.discard(name)
            if spec := self.specs.get(name):
                self._check(spec, name, source.axes.split())
                specs.append(replace(spec, name=name))
            else:
                found = "a record without a value" if name in self.specs else "nothing"
                self._report_missing(source, row.group, found)
        return specs

    def _take_alias(self, name: str, original_name: str) -> None:
        original_name = self.present_name.get(original_name, original_name)
        alias, original = self.specs.get(name), self.specs.get(original_name)
        if alias and original and name != original_name:
            self.untaken.discard(name)
            self.aliases.append((name, original_name))
            if (alias.dtype, alias.shape) != (original.dtype, original.shape):
                expected = f"{describe(original)}, as {original_name}, which it is tied to"
                self.disagreements.append(f"{self._shown(name)}: found {describe(alias)}, expected {expected}")

    def _report_missing(self, source: SourceTensor, group: str, found: str) -> None:
        try:
            expected = str(shape_of(source.axes, {name: size for name, (size, _) in self.sizes.items()}))
        except KeyError:  # no tensor has bound the axis
            expected = f"({', '.join(source.axes.split())})"
        part = f" (the file has other parts of the {group})" if group else ""
        self.disagreements.append(f"{source.name}: found {found}, expected shape {expected}{part}")

    def _check(self, spec: TensorSpec, name: str, axes: list[str]) -> None:
        """Check dtype and shape of a tensor, and bind its axes."""
        shown = self._shown(name)
        if spec.dtype not in FLOATS:
            self.disagreements.append(f"{shown}: found {describe(spec)}, expected a floating-point dtype")
        if len(axes) != len(spec.shape):
            expected = f"{len(axes)} axes ({', '.join(axes)})"
            self.disagreements.append(f"{shown}: found shape {spec.shape}, expected {expected}")
            return
        problems = [self._bind(axis, size, name) for axis, size in zip(axes, spec.shape, strict=True)]
        if any(problems):
            self.disagreements.append(f"{shown}: found shape {spec.shape}; {'; '.join(filter(None, problems))}")

    def _bind(self, text: str, size: int, name: str) -> str:
        """Bind an axis of the tensor `name` to its size; return the disagreement, "" if there is none."""
        axis = parse_axis(text)
        if not axis.name:
            return "" if size == axis.offset else f"{size} where {axis.offset} is expected"
        times = self.sizes[axis.times][0] if axis.times in self.sizes else 1
        factor = axis.factor * times
        if not factor or size < axis.offset or (size - axis.offset) % factor:
            plus = f" plus {axis.offset}" if axis.offset else ""
            return f"axis '{text}' is {size}, expected a multiple of {factor}{plus}"
        bound, by = self.sizes.setdefault(axis.name, ((size - axis.offset) // factor, name))
        expected = axis.size({axis.name: bound, axis.times: times})
        if size == expected:
            return ""
        return f"axis '{text}' is {size}, expected {expected} ({axis.name}={bound} from {by})"

    def _shown(self, name: str) -> str:
        """A structural name for a message, with the name in the file where that differs."""
        spec = self.specs[name]
        return f"{name} ({printable(spec.name)} in the file)" if spec and spec.name != name else name

    # The steps

    def _step(self, row: Row, specs: list[TensorSpec], dims: Mapping[str, int], default_dtype: str) -> Step | None:
        """Fill the sizes into a row; None for an alias, or if the operation cannot take the sources."""
        if row.tied_to:
            return None
        dtype = specs[0].dtype if specs else default_dtype
        op = row.op.bind(dims, dtype)
        try:
            shapes = op.target_shapes(*(spec.shape for spec in specs))
        except ValueError as error:
            self.disagreements.append(f"{', '.join(self._shown(spec.name) for spec in specs)}: {error}")
            return None
        if len({spec.dtype for spec in specs}) > 1:
            self.disagreements.append(f"{', '.join(spec.name for spec in specs)}: expected one dtype for all of them")
        targets = tuple(TensorSpec(name, dtype, shape) for name, shape in zip(row.targets, shapes, strict=True))
        return Step(tuple(spec.name for spec in specs), targets, op, row.why)

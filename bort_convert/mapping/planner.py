"""Fitting a table to a file's header: axes bound, every tensor claimed once, every disagreement collected.

Not one tensor is read. The axes that get bound are the model's sizes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from bort_convert.dtypes import FLOATS, TensorSpec
from bort_convert.errors import printable
from bort_convert.mapping.axes import sizes, split_axis
from bort_convert.mapping.plan import Plan, Step
from bort_convert.mapping.rows import SourceTensor
from bort_convert.mapping.source_names import numbers_under

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bort_convert.mapping.rows import Row, Rows


def make_plan(rows: Rows, header: Mapping[str, TensorSpec | None]) -> Plan:
    """Fit a table to a header: a plan, whose `disagreements` say whether it fits.

    Args:
        rows: the table.
        header: structural name -> the name in the file, dtype and shape; None for a record without a value.
    """
    return _Fitting(rows, header).plan()


class _Fitting:
    """The state of one fit: what is claimed and bound so far, and what does not fit."""

    def __init__(self, rows: Rows, header: Mapping[str, TensorSpec | None]) -> None:
        self.header = header
        self.bound: dict[str, tuple[int, str]] = {}
        self.disagreements: list[str] = []
        self.unclaimed = set(header)
        self.aliases: list[tuple[str, str]] = []
        self.numbers = self._numbers(rows)
        expanded = list(self._expand(rows))
        self.groups = frozenset(row.group for row in expanded if row.group and self._is_present(row))
        self.rows = [row for row in expanded if not row.group or row.group in self.groups]
        self.stand_in = {
            row.tied_to: row.sources[0].name
            for row in self.rows
            if row.tied_to and row.tied_to not in header and row.sources[0].name in header
        }

    def plan(self) -> Plan:
        claims = [(row, self._claim(row)) for row in self.rows]
        dims = {name: size for name, (size, _) in self.bound.items()}
        dims |= {f"{key}s": len(numbers) for key, numbers in self.numbers.items()}
        floats = (spec.dtype for _, specs in claims for spec in specs if spec.dtype in FLOATS)
        dtype = next(floats, "float32")
        steps = [] if self.disagreements else [self._step(row, specs, dims, dtype) for row, specs in claims]
        self.disagreements += [
            f"{printable(spec.name if spec else name)}: found {describe(spec)}, no row of the table takes it"
            for name, spec in self.header.items()
            if name in self.unclaimed
        ]
        return Plan(
            tuple(step for step in steps if step), tuple(self.aliases), dims, self.groups, tuple(self.disagreements)
        )

    def _numbers(self, rows: Rows) -> dict[str, list[int]]:
        """The numbers that stand under each placeholder, as `{"layer": [0, 1, 2, 3]}`; gaps are disagreements."""
        templates = {slot.name for row in rows for slot in row.sources if "{" in slot.name}
        found = numbers_under(templates, self.header)
        for key, numbers in found.items():
            if not numbers:
                self.disagreements.append(f"{key}s: found none; expected names such as {min(templates)}")
            elif max(numbers) >= len(numbers):
                shown = ", ".join(str(number) for number in sorted(numbers)[:20])
                self.disagreements.append(
                    f"{key}s: found the numbers {shown}; expected 0 to {len(numbers) - 1}, no gap"
                )
        return {key: sorted(numbers) for key, numbers in found.items()}

    def _expand(self, rows: Rows) -> Iterator[Row]:
        """The rows with numbers under their placeholders: all rows of a layer, then those of the next."""
        for key, group in groupby(rows, self._placeholder):
            if not key:
                yield from group
                continue
            block = tuple(group)
            for number in self.numbers[key]:
                for row in block:
                    sources = tuple(
                        SourceTensor(slot.name.format(**{key: number}), slot.dims, slot.prefixed)
                        for slot in row.sources
                    )
                    targets = tuple(target.format(**{key: number}) for target in row.targets)
                    yield replace(row, sources=sources, targets=targets)

    def _placeholder(self, row: Row) -> str:
        """The placeholder that a row holds, "" if none."""
        text = "".join((*(slot.name for slot in row.sources), *row.targets))
        return next((key for key in self.numbers if f"{{{key}}}" in text), "")

    def _is_present(self, row: Row) -> bool:
        return any(slot.name in self.header for slot in row.sources)

    def _claim(self, row: Row) -> list[TensorSpec]:
        """The row's sources, each checked against its axes; those that are not there become disagreements."""
        if row.tied_to:
            return self._claim_twin(row)
        specs = []
        for slot in row.sources:
            name = self.stand_in.get(slot.name, slot.name)
            spec = self.header.get(name)
            self.unclaimed.discard(name)
            if spec is None:
                self._report_missing(slot, row.group, name in self.header)
            else:
                self._check(spec, name, slot.dims.split())
                specs.append(TensorSpec(name, spec.dtype, spec.shape))
        return specs

    def _claim_twin(self, row: Row) -> list[TensorSpec]:
        name = row.sources[0].name
        alias, original = self.header.get(name), self.header.get(row.tied_to)
        if alias and original:
            self.unclaimed.discard(name)
            self.aliases.append((name, row.tied_to))
            if (alias.dtype, alias.shape) != (original.dtype, original.shape):
                expected = f"{describe(original)}, as {row.tied_to}, which it is tied to"
                self.disagreements.append(f"{self._shown(name)}: found {describe(alias)}, expected {expected}")
        return []

    def _report_missing(self, slot: SourceTensor, group: str, empty: bool) -> None:  # noqa: FBT001 - private
        try:
            expected = str(sizes(slot.dims, {name: size for name, (size, _) in self.bound.items()}))
        except KeyError:
            expected = f"({', '.join(slot.dims.split())})"
        part = f" (the file has other parts of the {group})" if group else ""
        found = "a record without a value" if empty else "nothing"
        self.disagreements.append(f"{slot.name}: found {found}, expected shape {expected}{part}")

    def _check(self, spec: TensorSpec, name: str, axes: list[str]) -> None:
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

    def _bind(self, axis: str, size: int, name: str) -> str:
        """Bind an axis to a size, or say what speaks against it."""
        factor, key, more = split_axis(axis)
        if not key:
            return "" if size == more else f"{size} where {more} is expected"
        if size < more or (size - more) % factor:
            plus = f" plus {more}" if more else ""
            return f"axis '{axis}' is {size}, expected a multiple of {factor}{plus}"
        expected, by = self.bound.setdefault(key, ((size - more) // factor, name))
        if size == factor * expected + more:
            return ""
        return f"axis '{axis}' is {size}, expected {factor * expected + more} ({key}={expected} from {by})"

    def _shown(self, name: str) -> str:
        """A structural name, and the name in the file where that differs."""
        spec = self.header[name]
        return f"{name} ({printable(spec.name)} in the file)" if spec and spec.name != name else name

    def _step(self, row: Row, specs: list[TensorSpec], dims: Mapping[str, int], dtype: str) -> Step | None:
        if row.tied_to:
            return None
        dtype = specs[0].dtype if specs else dtype
        op = row.op.bind(dims, dtype)
        try:
            shapes = op.infer(*(spec.shape for spec in specs))
        except ValueError as error:
            self.disagreements.append(f"{', '.join(self._shown(spec.name) for spec in specs)}: {error}")
            return None
        if len({spec.dtype for spec in specs}) > 1:
            self.disagreements.append(f"{', '.join(spec.name for spec in specs)}: expected one dtype for all of them")
        targets = tuple(TensorSpec(name, dtype, shape) for name, shape in zip(row.targets, shapes, strict=True))
        return Step(tuple(spec.name for spec in specs), targets, op, row.why)


def describe(spec: TensorSpec | None) -> str:
    """A tensor in a message: `float32 (768, 1024)`."""
    return f"{spec.dtype} {spec.shape}" if spec else "a record without a value"

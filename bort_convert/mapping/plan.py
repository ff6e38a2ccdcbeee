"""A plan: what becomes of every tensor of a file, known before one of them is read.

Every source is taken exactly once and every target made exactly once; the plan runs forwards over the values, and
backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bort_convert.dtypes import Array, TensorSpec
    from bort_convert.mapping.ops import Op


@dataclass(frozen=True)
class Step:
    """One row, with every name and every size in place.

    Attributes:
        sources: structural names of the tensors that it takes.
        targets: the tensors that it makes.
    """

    sources: tuple[str, ...]
    targets: tuple[TensorSpec, ...]
    op: Op
    why: str = ""

    @property
    def copied(self) -> bool:
        """Whether the target's bytes are the source's, as they stand."""
        return self.op.copies

    @property
    def zero(self) -> bool:
        """Whether the target is zero in every byte, whatever its dtype."""
        return self.op.zero


@dataclass(frozen=True)
class Plan:
    """What becomes of a checkpoint's tensors under one table.

    Attributes:
        steps: in the table's order.
        aliases: pairs (name, original) of tensors that must be equal and are written once.
        dims: sizes of the axes, and the number of layers.
        groups: titles of the optional groups that the checkpoint has.
        disagreements: everything that does not fit; the steps mean nothing unless this is empty.
    """

    steps: tuple[Step, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    dims: Mapping[str, int] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    disagreements: tuple[str, ...] = ()

    def without_prefix(self, prefix: str) -> Plan:
        """The same plan, with a prefix taken off every target that has it."""
        steps = (
            replace(step, targets=tuple(replace(spec, name=spec.name.removeprefix(prefix)) for spec in step.targets))
            for step in self.steps
        )
        return replace(self, steps=tuple(steps))

    def bind(self, sizes: Mapping[str, int]) -> Plan:
        """The same plan, its operations told sizes that no axis has."""
        return replace(self, steps=tuple(replace(step, op=step.op.bind(sizes)) for step in self.steps))

    def with_dtype(self, dtype: str) -> Plan:
        """The same plan, with every target in this dtype."""
        steps = (
            replace(step, targets=tuple(replace(spec, dtype=dtype) for spec in step.targets)) for step in self.steps
        )
        return replace(self, steps=tuple(steps))

    def forward(self, source: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Every target with its values, one step at a time; `source` is by structural name."""
        for step in self.steps:
            values = step.op.forward(*(source[name] for name in step.sources))
            yield from zip((spec.name for spec in step.targets), values, strict=True)

    def revert(self, target: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Every source with its values, by structural name, aliases after their originals.

        Raises:
            MappingError: a step has no way back, or the values are not what it can have made.
        """
        aliases = {original: name for name, original in self.aliases}
        for step in self.steps:
            names = ", ".join(spec.name for spec in step.targets)
            try:
                values = step.op.inverse(*(target[spec.name] for spec in step.targets))
            except MappingError as error:
                raise MappingError(f"{names}: {error}") from error
            for name, array in zip(step.sources, values, strict=True):
                yield name, array
                if name in aliases:
                    yield aliases[name], array

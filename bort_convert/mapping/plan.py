"""The plan of a conversion: every tensor's way from the checkpoint to the target model, before a value is read.

Each source is taken exactly once and each target is made exactly once, so that a plan also runs backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bort_convert.errors import MappingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bort_convert.dtypes import Array, TensorSpec
    from bort_convert.mapping.ops import Op


@dataclass(frozen=True)
class Step:
    """One row of the table, with the layer's number and all sizes filled in.

    Attributes:
        sources: structural names of the tensors that the step takes.
        targets: the tensors that the step makes.
        op: the operation between them.
        why: the reason to initialise a target or to leave a source out.
    """

    sources: tuple[str, ...]
    targets: tuple[TensorSpec, ...]
    op: Op
    why: str = ""

    @property
    def copied(self) -> bool:
        """True if there is one target, which has the bytes of the source."""
        return self.op.copies and len(self.targets) == 1

    @property
    def zero(self) -> bool:
        """True if every byte of the target is zero, in any dtype."""
        return self.op.zero


@dataclass(frozen=True)
class Plan:
    """The steps that convert a checkpoint by one table.

    Attributes:
        steps: in the order of the table, one layer after the other.
        aliases: pairs (name, original) of tied tensors, which must be equal and are written once.
        dims: sizes by the names of axes, and the number of layers.
        groups: titles of the optional groups that the checkpoint has.
        disagreements: a line for everything that does not fit; the steps mean nothing unless this is empty.
    """

    steps: tuple[Step, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    dims: Mapping[str, int] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    disagreements: tuple[str, ...] = ()

    def without_prefix(self, prefix: str) -> Plan:
        """The same plan with `prefix` removed from the names of targets."""
        return self._with_targets(lambda spec: replace(spec, name=spec.name.removeprefix(prefix)))

    def beside(self, how: str) -> tuple[str, ...]:
        """Structural names of the sources that are no part of the model, and are "kept" or "ignored"."""
        return tuple(name for step in self.steps if step.op.beside == how for name in step.sources)

    def of_model(self) -> Plan:
        """The same plan without the sources that are no part of the model."""
        return replace(self, steps=tuple(step for step in self.steps if not step.op.beside))

    def with_dtype(self, dtype: str) -> Plan:
        """The same plan with every target in `dtype`."""
        return self._with_targets(lambda spec: replace(spec, dtype=dtype))

    def lenient(self) -> Plan:
        """The same plan; on the way back its operations accept any value that no token reads."""
        return replace(self, steps=tuple(replace(step, op=step.op.lenient()) for step in self.steps))

    def bind(self, dims: Mapping[str, int]) -> Plan:
        """The same plan with sizes that no axis shows, such as `attention_heads`, bound in its operations."""
        return replace(self, steps=tuple(replace(step, op=step.op.bind(dims)) for step in self.steps))

    def forward(self, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Make every target, one step after the other.

        Args:
            arrays: structural name -> values.

        Yields:
            Name and values of each target.
        """
        for step in self.steps:
            values = step.op.forward(*(arrays[name] for name in step.sources))
            yield from zip((spec.name for spec in step.targets), values, strict=True)

    def revert(self, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Restore every source, one step after the other.

        Args:
            arrays: name of the target -> values.

        Yields:
            Structural name and values of each source; an alias follows its original.

        Raises:
            MappingError: a step is lossy, or cannot have made these values.
        """
        aliases = self._aliases_of()
        for step in self.steps:
            names = ", ".join([spec.name for spec in step.targets] or step.sources)
            try:
                values = step.op.inverse(*(arrays[spec.name] for spec in step.targets))
            except MappingError as error:
                raise MappingError(f"{names}: {error}") from error
            for name, array in zip(step.sources, values, strict=True):
                yield name, array
                yield from ((alias, array) for alias in aliases.get(name, ()))

    def pullback(self, gradients: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """Run the plan backwards on gradients: those of every source that a target depends on.

        Args:
            gradients: name of the target -> its gradient.

        Yields:
            Structural name and gradient of each source. An alias follows its original and has the same gradient, the
            sum over both uses, because the target model ties the two.
        """
        aliases = self._aliases_of()
        for step in self.steps:
            if not step.targets:
                continue
            found = step.op.pullback(*(gradients[spec.name] for spec in step.targets))
            for name, array in zip(step.sources, found, strict=True):
                yield name, array
                yield from ((alias, array) for alias in aliases.get(name, ()))

    def _aliases_of(self) -> dict[str, list[str]]:
        """Original -> its aliases."""
        aliases: dict[str, list[str]] = {}
        for name, original in self.aliases:
            aliases.setdefault(original, []).append(name)
        return aliases

    def _with_targets(self, change: Callable[[TensorSpec], TensorSpec]) -> Plan:
        steps = (replace(step, targets=tuple(change(spec) for spec in step.targets)) for step in self.steps)
        return replace(self, steps=tuple(steps))

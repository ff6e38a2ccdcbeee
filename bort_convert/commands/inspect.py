"""What is inside a file, from its headers alone: arrays, family, and what a conversion would write."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import prod
from typing import TYPE_CHECKING

from bort_convert.errors import ConvertError, MappingError, VariantError
from bort_convert.model_dir.config import config_of
from bort_convert.models.registry import fit_source
from bort_convert.params import MAX_ARRAYS, TensorInfo, open_params
from bort_convert.weights.statistics import statistics_of_arrays

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from bort_convert.mapping.fit import Fit
    from bort_convert.weights.statistics import Statistics


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found.

    Attributes:
        kind: "list" (MXNet's own format), "zip" or "npy" (MXNet 2).
        note: where the arrays were found, if not at the top of the file.
        size: of the file, in bytes.
        arrays: in file order.
        fit: what a conversion would do; None where no table fits or something has to be given.
        values: name -> what an array's values are like; empty where nobody asked.
        misfit: the error that a conversion would end in: the closest table and all disagreements, or the option that is
            missing.
    """

    path: str
    kind: str
    note: str
    size: int
    arrays: tuple[TensorInfo, ...]
    fit: Fit | None
    misfit: ConvertError | None
    values: Mapping[str, Statistics] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Numbers in all arrays; a tied tensor counts once where the family is known."""
        aliases = {self.fit.names[name] for name, _ in self.fit.plan.aliases} if self.fit else set()
        return sum(prod(info.shape) for info in self.arrays if info.dtype is not None and info.name not in aliases)

    def to_dict(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "path": self.path,
            "kind": self.kind,
            "note": self.note,
            "size": self.size,
            "parameters": self.parameters,
            "arrays": [
                {
                    "name": info.name,
                    "shape": info.shape,
                    "dtype": info.dtype,
                    "storage": info.storage,
                    "offset": info.offset,
                    **({"values": asdict(self.values[info.name])} if info.name in self.values else {}),
                }
                for info in self.arrays
            ],
            "fit": _fit_dict(self.fit) if self.fit else None,
            "misfit": str(self.misfit) if self.misfit else None,
        }


def inspect(
    source: str | os.PathLike[str],
    *,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    gluonnlp_version: str | None = None,
    values: bool = False,
    max_arrays: int = MAX_ARRAYS,
) -> Inspection:
    """Look at any `.params` file; nothing is written, and no values are read unless they are asked for.

    Args:
        source: a `.params` file, or an archive that holds one.
        family: try this family only.
        variant: insist on this published size.
        heads: attention heads, for a size that was never published.
        gluonnlp_version: the release of gluonnlp that trained it; see `convert`.
        values: read every value, and say what they are like.
        max_arrays: see `open_params`.

    Raises:
        FormatError: the file cannot be read.
    """
    with open_params(source, max_arrays=max_arrays, mapped=False) as params:
        fit: Fit | None = None
        misfit: ConvertError | None = None
        try:
            fit = fit_source(
                params.specs, family=family, variant=variant, heads=heads, gluonnlp_version=gluonnlp_version
            )
        except (MappingError, VariantError) as error:
            misfit = error
        arrays = tuple(params.header.values())
        known = statistics_of_arrays(params) if values else {}
        return Inspection(str(source), params.kind, params.note, params.size, arrays, fit, misfit, known)


def _fit_dict(fit: Fit) -> dict[str, object]:
    return {
        "family": fit.family.name,
        "table": fit.table.title,
        "variant": fit.variant,
        "architecture": fit.architecture,
        "dims": dict(fit.plan.dims),
        "hyperparameters": dict(fit.hyperparameters),
        "config": config_of(fit),
        "tied": {fit.names[name]: fit.names[original] for name, original in fit.plan.aliases},
        "steps": [
            {
                "sources": [fit.names[name] for name in step.sources],
                "op": step.op.name,
                "targets": [{"name": spec.name, "dtype": spec.dtype, "shape": spec.shape} for spec in step.targets],
                "why": step.why,
            }
            for step in fit.plan.steps
        ],
    }

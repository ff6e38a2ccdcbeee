"""Tables of a checkpoint's arrays, of the steps of its conversion, and of all model families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bort_convert.cli.text import auto_class, pairs
from bort_convert.errors import printable
from bort_convert.plain_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bort_convert.commands.inspect import Inspection
    from bort_convert.mapping.family import Family
    from bort_convert.mapping.fit import Fit
    from bort_convert.plain_table import TextBlocks
    from bort_convert.weights.statistics import Statistics

FORMATS = {"list": "MXNet list file", "zip": "MXNet 2 archive", "npy": "single array of MXNet 2"}


def inspection_text(inspection: Inspection) -> TextBlocks:
    """The arrays of a file, or the steps of its conversion where it fits a model."""
    count = len(inspection.arrays)
    arrays = f"{count:,} array{'s' * (count != 1)}, {inspection.parameters:,} parameters"
    blocks: list[str | TextTable] = [
        f"{inspection.path}: {FORMATS[inspection.kind]}, {_bytes(inspection.size)}, {arrays}",
        *filter(None, [inspection.note]),
    ]
    values: list[str | TextTable] = ["", _value_table(inspection.values)] if inspection.values else []
    if inspection.fit:
        return [*blocks, *_fit_lines(inspection.fit), "", _step_table(inspection.fit), *values]
    rows = [(printable(info.name), _shape(info.shape), _stored(info.dtype, info.storage)) for info in inspection.arrays]
    return [*blocks, "", TextTable(("NAME", "SHAPE", "DTYPE"), rows), *values, "", f"{inspection.misfit}"]


def families_text(families: Collection[Family]) -> TextBlocks:
    """Each form of a checkpoint with its target class, and each published size."""
    forms = [
        (family.name, table.title, ", ".join(groups) or "-", name)
        for family in families
        for table in family.tables
        for name, *groups in table.architectures
    ]
    sizes = [
        (family.name, variant.name, pairs({**variant.dims, **variant.hyperparameters}))
        for family in families
        for variant in family.variants
    ]
    return [
        TextTable(("FAMILY", "CHECKPOINT", "WITH", "BECOMES"), forms),
        "",
        TextTable(("FAMILY", "PUBLISHED SIZE", "SIZES AND HYPERPARAMETERS"), sizes),
    ]


def families_dict(families: Collection[Family]) -> dict[str, object]:
    """The same for JSON."""
    listed = [
        {
            "name": family.name,
            "title": family.title,
            "forms": [
                {"checkpoint": table.title, "with": groups, "becomes": name, "loaded_by": auto_class(name)}
                for table in family.tables
                for name, *groups in table.architectures
            ],
            "variants": [
                {"name": v.name, "dims": v.dims, "hyperparameters": {**family.hyperparameters, **v.hyperparameters}}
                for v in family.variants
            ],
        }
        for family in families
    ]
    return {"families": listed}


def _fit_lines(fit: Fit) -> list[str]:
    variant = fit.variant or "a size that was not published"
    return [
        f"{fit.family.title} ({fit.table.title}, {variant}) -> {fit.architecture}",
        f"  sizes: {pairs(fit.plan.dims)}",
        f"  hyperparameters: {pairs(fit.hyperparameters)}",
    ]


def _step_table(fit: Fit) -> TextTable:
    rows = []
    for step in fit.plan.steps:
        names = ", ".join(printable(fit.names[name]) for name in step.sources) or "-"
        targets = ", ".join(spec.name for spec in step.targets) or "left out"
        shape = " and ".join(_shape(spec.shape) for spec in step.targets)
        dtype = step.targets[0].dtype if step.targets else ""
        operation = step.op.describe()
        rows.append((names, shape, dtype, targets, f"{operation}: {step.why}" if step.why else operation))
    for name, original in fit.plan.aliases:
        rows.append((printable(fit.names[name]), "", "", f"tied to {printable(fit.names[original])}", "written once"))
    return TextTable(("CHECKPOINT", "SHAPE", "DTYPE", "BECOMES", "HOW"), rows)


def _value_table(survey: Mapping[str, Statistics]) -> TextTable:
    rows = []
    for name, values in survey.items():
        numbers = (
            "-" if number is None else f"{number:.6g}" for number in (values.minimum, values.maximum, values.mean)
        )
        first = "" if values.first is None else f"first at {values.first}"
        rows.append((printable(name), *numbers, f"{values.nans:,}", f"{values.infinities:,}", first))
    return TextTable(("NAME", "MIN", "MAX", "MEAN", "NAN", "INF", ""), rows)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "scalar"


def _stored(dtype: str | None, storage: str) -> str:
    if dtype is None:
        return "none: a record without a value"
    return dtype if storage == "dense" else f"{dtype}, {storage}"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size:,} bytes"  # noqa: PLR2004 - a megabyte

"""Tables of a checkpoint's arrays, of the steps of its conversion, and of all model families."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bort_convert.cli.text import pairs, shown
from bort_convert.errors import printable
from bort_convert.mapping.selection import shown_names
from bort_convert.model_dir.manifest import IGNORED
from bort_convert.model_dir.remarks import (
    absent_special_tokens,
    assumed_hyperparameters,
    auto_class,
    size_name,
    told_hyperparameters,
)
from bort_convert.plain_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bort_convert.commands.inspect import Inspection
    from bort_convert.mapping.family import Family
    from bort_convert.mapping.fit import Fit
    from bort_convert.plain_table import TextBlocks
    from bort_convert.weights.statistics import Statistics
    from bort_convert.zoo import ZooEntry

FORMATS = {"list": "MXNet list file", "zip": "MXNet 2 archive", "npy": "single array of MXNet 2"}


def inspection_text(inspection: Inspection, *, summary: bool = False) -> TextBlocks:
    """The model that a file fits, or the reason why it fits none; then its arrays or the steps of its conversion.

    Args:
        inspection: of the file.
        summary: leave out the tables.
    """
    count = len(inspection.arrays)
    arrays = f"{count:,} array{'s' * (count != 1)}, {inspection.parameters:,} parameters"
    lines: list[str | TextTable] = [
        f"{shown(inspection.path)}: {FORMATS[inspection.kind]}, {_bytes(inspection.size)}, {arrays}",
        *filter(None, [inspection.note]),
        *published_lines(inspection.published),
        *(_fit_lines(inspection.fit) if inspection.fit else [f"{inspection.misfit}"]),
        *_draft_lines(inspection),
    ]
    if summary:
        return lines
    table = _step_table(inspection.fit) if inspection.fit else _array_table(inspection)
    values: list[str | TextTable] = ["", _value_table(inspection.values)] if inspection.values else []
    return [*lines, "", table, *values]


def published_lines(published: ZooEntry | None) -> list[str]:
    """The published file that a file is, with the text that its model reads; no line for another file."""
    if published is None:
        return []
    line = f"this is {published.name}, by its SHA-1: a file that GluonNLP {published.gluonnlp} published"
    vocabulary = published.vocabulary
    if vocabulary is None:
        return [line]
    reads = "lower-cased text" if vocabulary.lower_case else "text with its capital letters"
    return [line, f"  vocabulary: {vocabulary.file}, {vocabulary.tokenizer}, {reads}"]


def inspection_dict(inspection: Inspection, *, summary: bool = False) -> dict[str, object]:
    """The same for JSON; a summary has no arrays and no steps."""
    document = inspection.to_dict()
    if summary:
        del document["arrays"]
        if isinstance(fit := document["fit"], dict):
            del fit["steps"]
    return document


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
    size = size_name(fit.family.name, fit.variant, fit.plan.dims)
    remarks = [
        *told_hyperparameters("that was given", fit.told),
        *assumed_hyperparameters(fit.family, fit.architecture, fit.hyperparameters, fit.assumed),
        *absent_special_tokens(fit.family, fit.hyperparameters),
    ]
    return [
        f"{fit.family.title} ({fit.table.title}, {size}) -> {fit.architecture}",
        *([f"  stands under {printable(fit.prefix)}"] if fit.prefix else []),
        f"  sizes: {pairs(fit.plan.dims)}",
        f"  hyperparameters: {pairs(fit.hyperparameters)}",
        *(f"  {line}" for line in remarks),
        *(f"  {printable(name)}: {IGNORED}'{printable(pattern)}'" for name, pattern in fit.ignored.items()),
        *([f"  {len(fit.extra):,} other tensors: {shown_names(fit.extra)}"] if fit.extra else []),
    ]


def _draft_lines(inspection: Inspection) -> list[str]:
    """The table that was drafted, and the command that takes it."""
    if not inspection.draft:
        return []
    source, table = (shown(shlex.quote(path)) for path in (inspection.path, inspection.draft))
    return [f"{shown(inspection.draft)}: a draft of a table. Edit it, then: bort-convert {source} OUT --table {table}"]


def _array_table(inspection: Inspection) -> TextTable:
    rows = [(printable(info.name), _shape(info.shape), _stored(info.dtype, info.storage)) for info in inspection.arrays]
    return TextTable(("NAME", "SHAPE", "DTYPE"), rows)


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

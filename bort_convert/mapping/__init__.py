"""Map tensors of a checkpoint to tensors of a transformers model, by tables and from names, dtypes and shapes alone.

The author of a model family needs the names below: the types `Family`, `Table`, `Variant`, `ConfigKey` and
`ModuleLayout`, and the words that make the rows of a table (see `bort_convert.mapping.rows`). `docs/adding-a-model.md`
shows them at work.

The way of a checkpoint through this package:

1. `source_names` maps the names in the file to structural names;
2. `planner` compares a table with them and makes a `plan`;
3. `fit` takes the table that has no disagreement, and completes the hyperparameters.

For the way back, `target_names` and `fit_directory` do the same for a directory of transformers.
"""

from bort_convert.dtypes import Hyperparameter
from bort_convert.mapping.family import ConfigKey, Family, ModuleLayout, Table, Variant
from bort_convert.mapping.rows import (
    Row,
    Rows,
    SourceTensor,
    constant,
    conv1d,
    drop,
    extra,
    fill,
    frequencies,
    ignore,
    linear,
    merge,
    norm,
    onto,
    optional,
    pad,
    rename,
    scramble,
    split,
    tied,
    transpose,
    under,
    unfold,
    unless,
    when,
)

__all__ = [
    "ConfigKey", "Family", "Hyperparameter", "ModuleLayout", "Row", "Rows", "SourceTensor", "Table", "Variant",
    "constant", "conv1d", "drop", "extra", "fill", "frequencies", "ignore", "linear", "merge", "norm", "onto",
    "optional", "pad", "rename", "scramble", "split", "tied", "transpose", "under", "unfold", "unless", "when",
]  # fmt: skip

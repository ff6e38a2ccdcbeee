"""Load a converted directory as a transformers model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bort_convert.files.fetched import on_this_machine
from bort_convert.model_dir.manifest import FILE_NAME
from bort_convert.model_dir.read import read_model_dir

if TYPE_CHECKING:
    import os


@on_this_machine(target=FILE_NAME)
def load_pretrained(target: str | os.PathLike[str], **kwargs: Any) -> Any:  # noqa: ANN401 - transformers has no types
    """Load the transformers model of a converted directory, of the class that its config.json names.

    Modules get the original's hyperparameters that the config has no key for: the LayerNorm epsilon and activation of
    a language model's head, and the LayerNorm epsilon of the embeddings. A `BertModel` has a pooler only if the
    checkpoint had one.

    Args:
        target: a directory that `convert` wrote, or its URL.
        **kwargs: arguments for `from_pretrained`.

    Raises:
        BackendError: torch or transformers is missing.
        FormatError: the directory cannot be read.
        ParityError: the weights are not the model's: missing, unexpected or of another shape.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> model = bort_convert.load_pretrained("out")
        >>> model.cls.predictions.transform.LayerNorm.eps  # that of the original; a stock class has 1e-05
        1e-12
    """
    from bort_convert.verification.torch_run import load_pretrained as load  # noqa: PLC0415 - imports torch

    return load(read_model_dir(target), **kwargs)

"""The way back into Python: a converted directory as a transformers model, with what its config cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bort_convert.model_dir.read import read_model_dir

if TYPE_CHECKING:
    import os


def load_pretrained(target: str | os.PathLike[str], **kwargs: Any) -> Any:  # noqa: ANN401 - transformers has no types
    """The transformers model of a converted directory, of the class that its config.json names.

    The masked-language-model head gets the LayerNorm epsilon and the activation, and the embeddings the epsilon, that
    the original has of its own and `BertConfig` has no place for; a `BertModel` comes with a pooler only if the
    checkpoint had one.

    Args:
        target: what `convert` wrote.
        **kwargs: passed on to `from_pretrained`.

    Raises:
        BackendError: torch or transformers is missing.
        FormatError: the directory cannot be read.
        ParityError: the weights are not those of the model: missing, unexpected or of another shape.
    """
    from bort_convert.verification.torch_run import load_pretrained as load  # noqa: PLC0415 - torch, when it is needed

    return load(read_model_dir(target), **kwargs)

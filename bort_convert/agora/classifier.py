"""Put a fresh classification head on a transformers encoder, give it texts, and save it with its tokenizer.

The head is alexa/bort's: token 0, dropout, dense layer as wide as the encoder, tanh, dropout, dense layer; weights
from Uniform(0.5), biases zero. The stock classification model of BERT (with the pooler as its first layer) and of
RoBERTa has that form, so that transformers loads what is saved here; other types get the head of their stock class.

Source: alexa/bort 05adebf, bort/bort.py, BortClassifier.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch
import transformers

from bort_convert.errors import OptionError
from bort_convert.verification.torch_run import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bort_convert.agora.values import Text

    Encoded = list[dict[str, list[int]]]

DROPOUT: Final = 0.1
HEAD_RANGE: Final = 0.5
"""Bound of the weights of a fresh head: Uniform(0.5) of MXNet."""


class Classifier:
    """A classification model and its tokenizer.

    Args:
        model: of transformers.
        tokenizer: of transformers.
        length: tokens at which a text is cut, if the model does not cut it earlier.
    """

    def __init__(self, model: Any, tokenizer: Any, length: int) -> None:  # noqa: ANN401 - transformers has no types
        self.model = model
        self.tokenizer = tokenizer
        self.length = min(length, longest(model.config, tokenizer))

    def encode(self, texts: Sequence[Text]) -> Encoded:
        """Token ids of each text, with special tokens, cut where it is too long; what the model takes beside them."""
        first, second = columns(texts)
        rows = self.tokenizer(first, second, truncation=True, max_length=self.length)
        return [{name: rows[name][number] for name in rows} for number in range(len(first))]

    def logits(self, rows: Encoded) -> torch.Tensor:
        """Logits (texts, labels) of encoded texts, as one batch."""
        batch = self.tokenizer.pad(rows, return_tensors="pt").to(self.model.device)
        found: torch.Tensor = self.model(**batch).logits
        return found

    def probabilities(self, rows: Encoded, batch: int) -> torch.Tensor:
        """Probabilities (texts, labels) on the CPU, without dropout; the model is in evaluation mode afterwards."""
        self.model.eval()
        with torch.no_grad():
            parts = [self.logits(rows[start : start + batch]) for start in range(0, len(rows), batch)]
        return torch.cat(parts).float().softmax(-1).cpu()

    def save(self, folder: str) -> None:
        """Write a directory that `AutoModelForSequenceClassification` and a pipeline load."""
        with quiet():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def fresh_classifier(candidate: str, labels: Sequence[str], length: int) -> Classifier:
    """Load a directory as a classifier whose head is new; torch's random numbers decide on it.

    Raises:
        OptionError: transformers cannot load the directory, its type has no classification model, or it has no
            tokenizer.
    """
    names = dict(enumerate(labels))
    settings = {"num_labels": len(labels), "id2label": names, "label2id": {name: key for key, name in names.items()}}
    classifier, missing = _loaded(candidate, "candidate", length, **settings)
    model = classifier.model
    model.config.problem_type = "single_label_classification"
    for name, values in model.named_parameters():
        if name in missing or not name.startswith(f"{model.base_model_prefix}."):
            _initialise(name, values)
    return classifier


def trained_classifier(directory: str, length: int, option: str = "model") -> Classifier:
    """Load a directory that holds a trained classifier.

    Raises:
        OptionError: transformers cannot load it, or tensors are missing; the message calls it by `option`.
    """
    classifier, missing = _loaded(directory, option, length)
    if missing:
        raise OptionError(option, directory, f"has no trained classification head: {', '.join(sorted(missing))}")
    return classifier


def freeze(model: Any, parts: Sequence[str]) -> None:  # noqa: ANN401 - transformers has no types
    """Leave parts of a model as they are: "embeddings" are its word embeddings.

    Raises:
        OptionError: there is no such part.
    """
    for part in parts:
        if part != "embeddings":
            raise OptionError("freeze", part, 'no such part; expected "embeddings"')
        model.get_input_embeddings().weight.requires_grad_(requires_grad=False)


def check_device(device: str) -> None:
    """Refuse a device that torch does not have here.

    Raises:
        OptionError: there is none of this name.
    """
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).split("\n", 1)[0].split(". ", 1)[0][:200]
        way_on = "Install a build of torch that can, or choose `device='cpu'`"
        raise OptionError("device", device, f"torch cannot use it: {reason}. {way_on}") from error


def truncated_rows(candidate: str, texts: Sequence[Text], length: int) -> list[int]:
    """Numbers, from 0, of the texts that have more tokens than the length, or than the model's positions.

    Raises:
        OptionError: the directory has no config or tokenizer that transformers loads.
    """
    tokenizer = load_tokenizer(candidate, "candidate")
    try:
        config = transformers.AutoConfig.from_pretrained(candidate, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unloadable("candidate", candidate, error) from error
    limit = min(length, longest(config, tokenizer))
    with quiet():  # it warns of long texts
        rows = tokenizer(*columns(texts))["input_ids"] if texts else []
    return [number for number, row in enumerate(rows) if len(row) > limit]


@contextmanager
def settled(seed: int = 0, device: str = "cpu") -> Iterator[None]:
    """Random numbers from a seed and one thread on the CPU, and both as they were afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if device == "cpu":
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def columns(texts: Sequence[Text]) -> tuple[list[str], list[str] | None]:
    """The texts, or the first and the second texts of pairs, as a tokenizer takes them."""
    pairs = [text for text in texts if not isinstance(text, str)]
    if not pairs:
        return [text for text in texts if isinstance(text, str)], None
    return [first for first, _ in pairs], [second for _, second in pairs]


def longest(config: Any, tokenizer: Any) -> int:  # noqa: ANN401 - transformers has no types
    """Tokens that a model can take; RoBERTa's first positions are those of padding."""
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(min(positions - offset, tokenizer.model_max_length))


def load_tokenizer(directory: str, option: str) -> Any:  # noqa: ANN401 - transformers has no types
    """Load the tokenizer of a directory; one that has no padding pads with the end of a text.

    Raises:
        OptionError: there is none that transformers loads.
    """
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(os.fspath(directory), local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise _unloadable(option, directory, error, "the tokenizer of ") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _loaded(directory: str, option: str, length: int, **settings: object) -> tuple[Classifier, set[str]]:
    """A classifier, and the names of tensors that the directory does not have."""
    tokenizer = load_tokenizer(directory, option)
    try:
        with quiet():
            model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
                os.fspath(directory),
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=bool(settings),
                **settings,
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise _unloadable(option, directory, error) from error
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    if (pooler := getattr(getattr(model, "bert", None), "pooler", None)) is not None:
        pooler.dense.register_forward_pre_hook(_drop)
    return Classifier(model, tokenizer, length), set(info["missing_keys"])


def _drop(dense: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """The first dropout of Bort's head, which BERT's pooler lacks; it does nothing outside of training."""
    return (torch.nn.functional.dropout(inputs[0], DROPOUT, dense.training),)


def _initialise(name: str, values: torch.Tensor) -> None:
    if name.endswith("bias"):
        torch.nn.init.zeros_(values)
    else:
        torch.nn.init.uniform_(values, -HEAD_RANGE, HEAD_RANGE)


def _unloadable(option: str, directory: str, error: Exception, what: str = "") -> OptionError:
    reason = str(error).strip().split("\n", 1)[0][:200]
    return OptionError(option, directory, f"transformers cannot load {what}it: {reason}")

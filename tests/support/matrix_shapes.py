"""Sizes and forms of the networks in the matrix, and the batches that both frameworks are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Outputs = dict[str, Array]

BERT_FORMS = (
    "pretraining",
    "masked_lm",
    "next_sentence",
    "pooler",
    "encoder",
    "classifier",
    "classifier_without_dropout",
    "regression",
    "regression_without_dropout",
    "question_answering",
    "tagger",
    "no_next_sentence",
    "intent_and_slots",
)
BORT_FORMS = ("masked_lm", "encoder", "classifier", "classifier_without_dropout", "regression")
FORMS = {
    "bert": BERT_FORMS,
    "ernie": BERT_FORMS,
    "bort": BORT_FORMS,
    "roberta": BORT_FORMS,
    "distilbert": ("encoder",),
    "gpt2": ("language_model",),
    "xlnet": ("language_model", "encoder", "language_model_without_mask", "encoder_without_mask"),
}
"""Forms of each family: what stands behind the encoder. An XLNet without a mask has no `mask_embed`."""
PUBLISHED_PADDING = {"bert": 0, "ernie": 0, "distilbert": 0, "bort": 1, "roberta": 1, "gpt2": 0, "xlnet": 5}
"""Id of the padding token in each family's published vocabulary; GPT-2 has none and never reads what stands behind."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a network, and what no parameter shows.

    Attributes:
        family: as `--family` has it.
        form: one of FORMS.
        layers: number of layers.
        heads: attention heads.
        hidden: width of the hidden states.
        intermediate: width inside the feed-forward layers; GPT-2 has four times `hidden`.
        vocab: rows of the word embedding.
        positions: rows of the position embedding, or the longest input of an XLNet.
        types: number of token types, 0 where the family has none.
        labels: outputs of a classifier.
        activation: "gelu" (exact), "gelu_new" (by tanh) or "relu".
        epsilon: of the LayerNorms.
        clamp: XLNet's limit of the distance between two tokens, 0 for none.
    """

    family: str
    form: str
    layers: int
    heads: int
    hidden: int
    intermediate: int
    vocab: int
    positions: int
    types: int
    labels: int
    activation: str
    epsilon: float
    clamp: int = 0


@dataclass(frozen=True)
class Batch:
    """Ids and token types, (batch, length), and valid lengths, (batch,)."""

    ids: Array
    types: Array
    lengths: Array

    @property
    def valid(self) -> Array:
        """(batch, length), True where a token stands and False where padding does."""
        return np.arange(self.ids.shape[1]) < self.lengths[:, None]

    def arrays(self, prefix: str) -> dict[str, Array]:
        """The arrays by name, for an .npz."""
        return {f"{prefix}/ids": self.ids, f"{prefix}/types": self.types, f"{prefix}/lengths": self.lengths}

    @classmethod
    def load(cls, arrays: dict[str, Array], prefix: str) -> Batch:
        """The batch that `arrays` gave."""
        return cls(*(arrays[f"{prefix}/{name}"] for name in ("ids", "types", "lengths")))


def random_batch(rng: np.random.Generator, shape: Shape, padding: int) -> Batch:
    """Rows of the full length, of half of it, of one token and of one less: any id but the padding id, in any place.

    The first row begins with the lowest ids, where special tokens stand.
    """
    longest = shape.positions
    lengths = np.array([longest, max(1, longest // 2), 1, max(1, longest - 1)])
    ids = rng.integers(0, shape.vocab, (len(lengths), longest))
    lowest = np.arange(min(6, longest, shape.vocab))
    ids[0, : len(lowest)] = lowest
    ids[ids == padding] = (padding + 1) % shape.vocab
    types = rng.integers(0, max(shape.types, 1), ids.shape)
    batch = Batch(ids, types, lengths)
    ids[~batch.valid] = padding
    types[~batch.valid] = 0
    return batch

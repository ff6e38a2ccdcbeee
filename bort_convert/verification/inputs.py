"""Default inputs of both frameworks: a padded batch that reaches every position and both ends of the vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from bort_convert.errors import InputError, OptionError
from bort_convert.verification.trace import is_valid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bort_convert.dtypes import Array
    from bort_convert.mapping.fit import Fit

SPECIAL_IDS: Final = (0, 1, 2, 3)
"""`<s>`, `<pad>`, `</s>` and `<unk>`; `<mask>` is the last row of the vocabulary."""
PAD_ID: Final = 1
BATCH: Final = 4
MASKED: Final = 4
LANGUAGE_MODELS: Final = ("MaskedLM", "PreTraining", "LMHeadModel", "ConditionalGeneration")
LENGTH: Final = 64
"""Tokens of the longest row of a model without a table of positions."""
RELATIVE_LENGTH: Final = 144
"""The same of an encoder and a decoder, beyond the distance of 128 from which on T5 has one bucket for all."""


def inputs_for(
    fit: Fit, *, seed: int = 0, batch: int = BATCH, masked: int = MASKED, sentences: Sequence[Sequence[int]] = ()
) -> dict[str, Array]:
    """Make inputs for the model of a checkpoint; see `default_inputs`."""
    masked_or_none = masked if fit.architecture.endswith(LANGUAGE_MODELS) else None
    layout = fit.family.layout
    inputs = default_inputs(
        fit.plan.dims,
        seed=seed,
        batch=batch,
        masked=masked_or_none,
        sentences=sentences,
        decoder=layout.decoder is not None,
    )
    if layout.reads_padding:
        inputs["input_ids"][~is_valid(inputs)] = fit.hyperparameters.get("pad_token_id", PAD_ID)
    return inputs


def default_inputs(
    dims: Mapping[str, int],
    *,
    seed: int = 0,
    batch: int = BATCH,
    masked: int | None = MASKED,
    sentences: Sequence[Sequence[int]] = (),
    decoder: bool = False,
) -> dict[str, Array]:
    """Make a batch of mixed lengths: row 0 has every position, row 1 one token, each other row any number.

    Row 0 holds the special ids and both ends of the vocabulary; all other ids are random.

    Args:
        dims: `vocab_size`; `max_positions` where the model has a table of them; `type_vocab_size` where it has types.
        seed: of everything random.
        batch: rows to make, at least 1.
        masked: positions of each row that the language-model head reads; None without such a head.
        sentences: rows to add after the others, as ids.
        decoder: make rows for a decoder too, of other lengths. `masked_positions` are then those of its rows.

    Returns:
        int64 arrays: input_ids (rows, length), valid_length (rows,), with types token_types (rows, length), and unless
        `masked` is None masked_positions (rows, masked). `length` is the model's number of positions, or `LENGTH`.
        For a decoder decoder_input_ids and decoder_valid_length too.

    Raises:
        OptionError: `batch` or `masked` is less than 1.
        InputError: a sentence does not fit the model.
    """
    for option, count in (("batch", batch), ("masked", 1 if masked is None else masked)):
        if count < 1:
            raise OptionError(option, count, "expected at least 1")
    positions = dims.get("max_positions", RELATIVE_LENGTH if decoder else LENGTH)
    rng = np.random.default_rng(seed)
    ids, lengths = _rows(rng, dims["vocab_size"], positions, batch, sentences)
    inputs = {"input_ids": ids, "valid_length": lengths}
    read = lengths
    if decoder:
        # In a table of positions each is reached. Else sources are longer, so that none is taken for a target.
        shorter = positions if "max_positions" in dims else positions - 3
        targets, read = _rows(rng, dims["vocab_size"], shorter, batch, sentences)
        order = [*range(batch)[::-1], *range(batch, len(targets))]  # so that the longest meets a short one
        inputs |= {"decoder_input_ids": targets[order], "decoder_valid_length": (read := read[order])}
    if masked is not None:
        inputs["masked_positions"] = _masked_positions(rng, read, masked)
    if "type_vocab_size" in dims:
        inputs["token_types"] = rng.integers(0, dims["type_vocab_size"], size=ids.shape)
        inputs["token_types"][batch:] = 0
    validate_inputs(ids, lengths, dims["vocab_size"], positions)
    return inputs


def _rows(
    rng: np.random.Generator, vocab_size: int, positions: int, batch: int, sentences: Sequence[Sequence[int]]
) -> tuple[Array, Array]:
    """Random rows and the sentences, padded, (rows, positions), and their lengths, (rows,)."""
    lengths = np.concatenate([[positions, 1], rng.integers(1, positions + 1, size=max(batch - 2, 0))])[:batch]
    lengths = np.concatenate([lengths, [len(sentence) for sentence in sentences]]).astype(np.int64)
    ids = np.full((len(lengths), positions), min(PAD_ID, vocab_size - 1), np.int64)
    for row, length in enumerate(lengths[:batch]):
        ids[row, :length] = rng.integers(0, vocab_size, size=length)
    corners = [number for number in (*SPECIAL_IDS, vocab_size - 1) if number < vocab_size][:positions]
    ids[0, rng.choice(positions, len(corners), replace=False)] = corners
    for row, sentence in enumerate(sentences, batch):
        if len(sentence) > positions:
            raise InputError(f"sentence {row - batch} has {len(sentence)} tokens, the model has {positions} positions")
        ids[row, : len(sentence)] = sentence
    return ids, lengths


def validate_inputs(ids: Array, valid_length: Array, vocab_size: int, positions: int) -> None:
    """Refuse ids and lengths for which the model has no rows.

    Args:
        ids: (batch, length), integers.
        valid_length: (batch,), integers.
        vocab_size: rows of the word embedding.
        positions: rows of the position embedding.

    Raises:
        InputError: the message has the value, its position, and the range that was expected.
    """
    if ids.shape[1] > positions:
        raise InputError(f"input_ids are {ids.shape[1]} tokens long, the model has {positions} positions")
    for row, column in np.argwhere((ids < 0) | (ids >= vocab_size))[:1]:
        raise InputError(
            f"input_ids hold {ids[row, column]} at (batch {row}, token {column}), expected 0 to {vocab_size - 1}: the "
            "vocabulary has no such row, and MXNet would read another in silence"
        )
    for (row,) in np.argwhere((valid_length < 1) | (valid_length > ids.shape[1]))[:1]:
        raise InputError(
            f"valid_length holds {valid_length[row]} at batch {row}, expected 1 to {ids.shape[1]}, the tokens of a row"
        )


def _masked_positions(rng: np.random.Generator, lengths: Array, masked: int) -> Array:
    """Choose valid positions of each row, (rows, masked): the first, the last, and others at random."""
    chosen = rng.integers(0, lengths[:, None], size=(len(lengths), masked))
    chosen[:, 0] = 0
    if masked > 1:
        chosen[:, 1] = lengths - 1
    return np.sort(chosen, axis=1).astype(np.int64)

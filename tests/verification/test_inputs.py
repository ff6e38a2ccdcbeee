from __future__ import annotations

import numpy as np
import pytest

from bort_convert.errors import ConvertError, InputError, OptionError
from bort_convert.verification.inputs import LENGTH, default_inputs, validate_inputs

DIMS = {"vocab_size": 50, "max_positions": 16}


@pytest.mark.parametrize("seed", range(20))
def test_the_default_batch_reaches_every_corner(seed: int) -> None:
    inputs = default_inputs(DIMS, seed=seed, batch=5)
    ids, lengths, masked = (inputs[name] for name in ("input_ids", "valid_length", "masked_positions"))
    assert ids.shape == (5, 16)
    assert lengths[:2].tolist() == [16, 1]
    assert all(1 <= length <= 16 for length in lengths)
    assert {0, 1, 2, 3, 49} <= set(ids[0].tolist())
    assert masked.shape == (5, 4)
    assert (masked < lengths[:, None]).all()
    assert (masked[:, 0] == 0).all()
    assert (masked[:, -1] == lengths - 1).all()
    assert all((row[length:] == 1).all() for row, length in zip(ids, lengths, strict=True))
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}


def test_one_seed_gives_one_batch() -> None:
    one, same, other = (default_inputs(DIMS, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["input_ids"], other["input_ids"])


def test_small_models_and_small_batches_work() -> None:
    inputs = default_inputs({"vocab_size": 1, "max_positions": 1}, batch=1, masked=1)
    assert inputs["input_ids"].tolist() == [[0]]
    assert "masked_positions" not in default_inputs(DIMS, masked=None)
    assert default_inputs(DIMS, batch=1)["valid_length"].tolist() == [16]


def test_without_a_table_of_positions_rows_have_the_default_length() -> None:
    inputs = default_inputs({"vocab_size": 50}, batch=2)
    assert inputs["input_ids"].shape == (2, LENGTH)
    assert inputs["valid_length"].tolist() == [LENGTH, 1]


def test_sentences_follow_the_default_rows() -> None:
    inputs = default_inputs(DIMS, batch=2, sentences=[[0, 5, 6, 2], [0, 2]])
    assert inputs["valid_length"].tolist() == [16, 1, 4, 2]
    assert inputs["input_ids"][2].tolist() == [0, 5, 6, 2] + [1] * 12
    assert inputs["masked_positions"].shape == (4, 4)


def test_token_types_are_added_where_a_model_has_them_and_nothing_else_changes() -> None:
    typed = default_inputs(DIMS | {"type_vocab_size": 2}, batch=2, sentences=[[0, 5, 6, 2]])
    types = typed.pop("token_types")
    assert types.shape == typed["input_ids"].shape
    assert (set(types[0].tolist()), set(types[2].tolist()), types.dtype) == ({0, 1}, {0}, np.dtype(np.int64))
    plain = default_inputs(DIMS, batch=2, sentences=[[0, 5, 6, 2]])
    assert all(np.array_equal(typed[name], plain[name]) for name in plain)


def test_a_sentence_that_is_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="sentence 1 has 17 tokens, the model has 16 positions"):
        default_inputs(DIMS, sentences=[[0], [0] * 17])


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(
        ConvertError, match=r"input_ids hold 50 at \(batch 4, token 1\), expected 0 to 49: the vocabulary"
    ):
        default_inputs(DIMS, sentences=[[0, 50]])
    with pytest.raises(InputError, match=r"input_ids hold -1 at \(batch 0, token 2\)"):
        validate_inputs(np.array([[0, 1, -1]]), np.array([3]), 50, 16)


def test_a_length_outside_the_rows_is_refused() -> None:
    ids = np.zeros((2, 3), np.int64)
    for length in (0, 4, -1):
        with pytest.raises(InputError, match=f"valid_length holds {length} at batch 1, expected 1 to 3"):
            validate_inputs(ids, np.array([1, length]), 50, 16)
    with pytest.raises(InputError, match="input_ids are 3 tokens long, the model has 2 positions"):
        validate_inputs(ids, np.array([1, 1]), 50, 2)


def test_an_empty_sentence_and_an_empty_batch_are_refused() -> None:
    with pytest.raises(InputError, match="valid_length holds 0 at batch 4"):
        default_inputs(DIMS, masked=None, sentences=[[]])
    for option in ("batch", "masked"):
        with pytest.raises(OptionError, match=f"`{option}=0`: expected at least 1"):
            default_inputs(DIMS, **{option: 0})

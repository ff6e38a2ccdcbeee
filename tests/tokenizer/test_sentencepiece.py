"""SentencePiece models: reading, written files, refusals. Frameworks read the files in test_sentencepiece_live.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sentencepiece_files import (
    BYTE,
    CONTROL,
    NAME,
    NORMAL,
    SPECIAL,
    UNUSED,
    USER_DEFINED,
    WORDS,
    block,
    integer,
    model,
    piece,
)

import bort_convert
from bort_convert.errors import ConvertError, FormatError, VariantError
from bort_convert.tokenizer import FILES, ModelLimits, TokenizerOptions, find_tokenizer, protobuf
from bort_convert.tokenizer.sentencepiece_model import Piece, is_model, read_model
from bort_convert.tokenizer.sources import TokenizerFile, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

SIZE = len(SPECIAL) + len(WORDS)
TRIE = struct.pack("<I", 8) + bytes(8) + b"a\0"
NFKC = block(1, b"nmt_nfkc")


def make(path: Path, size: int = SIZE, types: int = 2, **options: Any) -> Tokenizer:  # noqa: ANN401 - TokenizerOptions
    tokenizer = find_tokenizer("WordPiece", TokenizerOptions(vocab=path, **options), ModelLimits(size, 12, types))
    assert tokenizer is not None
    return tokenizer


def write(folder: Path, data: bytes) -> Path:
    (folder / "x.spiece").write_bytes(data)
    return folder / "x.spiece"


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


# Reading


def test_a_model_is_read_field_by_field(tmp_path: Path) -> None:
    data = (
        b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02"  # a piece: text, score, type
        b"\x0a\x0a\x0a\x03\xe2\x96\x81\x15\x00\x00\x20\xc0"
        b"\x12\x07\x18\x01\x82\x03\x02PP"  # trainer_spec: unigram, the padding piece
        b"\x1a\x1f\x0a\x08nmt_nfkc\x12\x0f\x08\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08a\x00b\x18\x01\x20\x01"
        b"\x22\x03\x0a\x01x"  # self_test_data: a message that is not read
    )
    read = read_model(read_file(write(tmp_path, data)))
    assert read.pieces == (Piece("<unk>", 0.0, 2), Piece("▁", -2.5, 1))
    assert (read.padding, read.normalizer) == ("PP", "nmt_nfkc")
    assert read.table == b"\x08\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08a\x00b"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (model(), True),
        (model(normalizer=NFKC), True),
        (piece("<unk>", 0.0, 2)[:10], True),
        (b"", False),
        (b"\n", False),
        (b"\n\n", False),
        (b"\n\x07\n\n" + b"[PAD]\n" * 9, False),
        (b"[PAD]\n[UNK]\n", False),
        (b'{"idx_to_token": []}', False),
        (b"version https://git-lfs.github.com/spec/v1\n", False),
    ],
)
def test_a_model_is_recognised_by_its_beginning(tmp_path: Path, data: bytes, *, expected: bool) -> None:
    assert is_model(TokenizerFile(tmp_path, data)) is expected


# Written files


def test_the_files_are_those_of_a_fast_tokenizer(tmp_path: Path) -> None:
    path = write(tmp_path, model())
    tokenizer = make(path)
    assert tokenizer.files.keys() <= FILES
    assert set(tokenizer.files) == {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    assert tokenizer.sources == {"x.spiece": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert tokenizer.notes == (
        "tokenizer: text keeps its capital letters and accents; '▁The' in x.spiece has a capital letter",
    )
    content = json_of(tokenizer)
    assert content["model"] == {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [[text, score] for text, score, _ in (*SPECIAL, *WORDS)],
        "byte_fallback": False,
    }
    added = [(token["id"], token["content"]) for token in content["added_tokens"]]
    assert added == [(number, text) for number, (text, _, _) in enumerate(SPECIAL)]
    assert json_of(tokenizer, "tokenizer_config.json")["model_input_names"][1] == "token_type_ids"
    assert "token_type_ids" not in tokenizer.files["tokenizer.json"]
    assert "token_type_ids" not in make(path, types=1).files["tokenizer_config.json"]
    template = content["post_processor"]["pair"]
    assert [next(iter(part.values()))["type_id"] for part in template] == [0, 0, 0, 1, 1]


def test_the_table_of_the_model_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, model(normalizer=NFKC + block(2, TRIE)))
    for lower in (False, True):
        steps = json_of(make(path, lower_case=lower))["normalizer"]["normalizers"]
        (table,) = (step["precompiled_charsmap"] for step in steps if step["type"] == "Precompiled")
        assert base64.b64decode(table) == TRIE
        assert steps[0]["lowercase"] is lower
    plain = json_of(make(write(tmp_path, model()), lower_case=True))["normalizer"]["normalizers"]
    assert not {"NFC", "Precompiled"} & {step["type"] for step in plain}


@pytest.mark.parametrize("type_", [CONTROL, NORMAL])
def test_the_padding_piece_is_the_models_own_if_it_is_a_control_piece(tmp_path: Path, type_: int) -> None:
    pieces = (*SPECIAL, ("<pad>", 0.0, type_), *WORDS)
    tokenizer = make(write(tmp_path, model(pieces)), SIZE + 1)
    expected = "<pad>" if type_ == CONTROL else "[PAD]"
    assert json_of(tokenizer, "special_tokens_map.json")["pad_token"] == expected


def test_text_is_lower_cased_for_pieces_without_capital_letters(tmp_path: Path) -> None:
    tokenizer = make(write(tmp_path, model((*SPECIAL, ("▁the", -1.0, NORMAL)))), 6)
    assert json_of(tokenizer)["normalizer"]["normalizers"][0]["lowercase"]
    assert tokenizer.notes[0].endswith("no word in x.spiece has a capital letter")


def test_a_model_that_folds_capital_letters_does_not_tell(tmp_path: Path) -> None:
    path = write(tmp_path, model(normalizer=block(1, b"nmt_nfkc_cf") + block(2, TRIE)))
    message = r"folds capital letters \(nmt_nfkc_cf\), so .* Pass `lower_case=True` or `lower_case=False`"
    with pytest.raises(VariantError, match=message) as error:
        make(path)
    assert error.value.missing == ("lower_case",)
    assert make(path, lower_case=False)


def test_a_tokenizer_is_replaced_whole_by_one_of_another_kind(fixtures: Path, tmp_path: Path) -> None:
    words = [(f"w{chr(97 + number % 26)}{number}", -3.0, NORMAL) for number in range(40 - SIZE)]
    path, out = write(tmp_path, model((*SPECIAL, *WORDS, *words))), tmp_path / "out"
    written = bort_convert.convert(fixtures / "bert_2_2_8_8.params", out, family="bert", heads=2, vocab=path)
    assert list(written.tokenizer) == ["x.spiece"]
    first = {file.name: file.read_bytes() for file in out.iterdir()}
    bort_convert.add_tokenizer(out, vocab=fixtures / "tiny_bert.vocab")
    assert (out / "vocab.txt").exists()
    assert bort_convert.check(out)
    again = bort_convert.add_tokenizer(out, vocab=path)
    assert "vocab.txt" not in again.files
    assert {file.name: file.read_bytes() for file in out.iterdir()} == first
    assert bort_convert.check(out)


# Refusals


def spec(normalizer: bytes = b"", trainer: bytes = b"") -> bytes:
    return model(trainer=trainer, normalizer=NAME + normalizer)


def with_piece(text: str = "▁a", score: float = -1.0, type_: int = NORMAL) -> bytes:
    return model((*SPECIAL, *WORDS, (text, score, type_)))


FAULTS = {
    "model_type of trainer_spec is 2, expected 1 (a unigram model)": spec(trainer=integer(3, 2)),
    "treat_whitespace_as_suffix of trainer_spec is 1, expected 0": spec(trainer=integer(24, 1)),
    "byte_fallback of trainer_spec is 1, expected 0": spec(trainer=integer(35, 1)),
    "add_dummy_prefix of normalizer_spec is 0, expected 1": spec(integer(3, 0)),
    "remove_extra_whitespaces of normalizer_spec is 0, expected 1": spec(integer(4, 0)),
    "escape_whitespaces of normalizer_spec is 0, expected 1": spec(integer(5, 0)),
    "name of normalizer_spec is '', expected one of identity, nfkc, nmt_nfkc, nfkc_cf": model(normalizer=b""),
    "name of normalizer_spec is 'user\\x1b', expected one of": model(normalizer=block(1, b"user\x1b")),
    "normalizer_spec: a table of 14 bytes, expected none for identity": spec(block(2, TRIE)),
    "normalizer_spec: a table of 0 bytes, expected one for nmt_nfkc": model(normalizer=NFKC),
    "normalizer_spec: a trie of 8 bytes in a table of 12. Damaged?": model(normalizer=NFKC + block(2, TRIE[:-2])),
    "normalizer_spec: a trie of 0 bytes in a table of 4": model(normalizer=NFKC + block(2, bytes(4))),
    "normalizer_spec: a trie of 7 bytes in a table": model(normalizer=NFKC + block(2, b"\x07" + TRIE[1:])),
    "normalizer_spec: the texts of the table are not UTF-8": model(normalizer=NFKC + block(2, TRIE + b"\xff")),
    "0 of 8 pieces are the unknown one, expected 1": model((*SPECIAL[1:], *WORDS)),
    "2 of 10 pieces are the unknown one, expected 1": with_piece("[OTHER]", type_=2),
    "piece 9 is empty": with_piece(""),
    "piece 9, '▁a', has the score nan, expected a number": with_piece(score=float("nan")),
    "piece 9, '▁a', has the score -inf, expected a number": with_piece(score=float("-inf")),
    "piece 9, '<0x41>', is a byte, expected a normal, unknown, control": with_piece("<0x41>", type_=BYTE),
    "piece 9, '▁a', is unused, expected": with_piece(type_=UNUSED),
    "piece 9, '▁a', is of type 77, expected": with_piece(type_=77),
    "piece 9, 'a.\\x1b', is of type 7, expected": with_piece("a.\x1b", type_=7),
    "piece 9, 'cls', is no ordinary piece, and a word could contain it; expected one with a punct": with_piece(
        "cls", type_=CONTROL
    ),
    "piece 9, '#', is no ordinary piece": with_piece("#", type_=USER_DEFINED),
    "token 9 is 'the', the same as token 7": with_piece("the"),
    "mask_token is '[MASK]', expected one of the tokens": model((*SPECIAL[:4], *WORDS)),
    "padding_token is '[PAD]', expected one of the tokens": model((SPECIAL[0], *SPECIAL[2:], *WORDS)),
    # Damaged messages, and messages of another type.
    "model: byte 144 begins a field 0 of wire type 0, which no message has": model() + b"\0",
    "model: byte 144 begins a field 4 of wire type 3": model() + b"\x23",
    "model: the number at byte 144 has no end. Truncated": model() + b"\x80",
    "model: the number at byte 145 has no end": model() + b"\x20" + b"\xff" * 10 + b"\x01",
    "model: field 5 has 99 bytes, and 1 are left. Truncated": model() + b"\x2a\x63x",
    "model: field 5 has 2 bytes, and 1 are left": model() + b"\x2a\x02x",
    "model: field 5 has 8 bytes, and 1 are left": model() + b"\x29x",
    "model: field 5 has 4 bytes, and 1 are left": model() + b"\x2dx",
    "model: field 5 has 1,180,591,620,717,411,303,423 bytes": model() + b"\x2a" + b"\xff" * 9 + b"\x7f",
    "model: field 2 occurs 2 times, expected once": model() + block(2, b""),
    "model: field 1 is a number, expected text or a message": model() + integer(1, 1),
    "model: field 3 is a number, expected text or a message": model()[:-12] + integer(3, 1),
    "piece 9: field 1 is b'\\xff', expected UTF-8 text": model() + block(1, block(1, b"\xff")),
    "piece 9: field 2 is 8 bytes, expected 4 bytes": model() + block(1, b"\x11" + bytes(8)),
    "piece 9: field 3 is 4 bytes, expected a number": model() + block(1, b"\x1d" + bytes(4)),
    "piece 9: byte 0 begins a field 0": model() + block(1, b"\0"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_faulty_model_is_refused(tmp_path: Path, message: str) -> None:
    path = write(tmp_path, FAULTS[message])
    with pytest.raises(FormatError) as error:
        make(path, len(re.findall(rb"\x15", FAULTS[message])))
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_model_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="9 tokens, expected 8,002, the rows of the word embedding"):
        make(write(tmp_path, model()), 8002)


def test_a_message_of_too_many_fields_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "MAX_FIELDS", 10)
    with pytest.raises(FormatError, match="model: more than 10 fields"):
        make(write(tmp_path, model()))


def test_a_model_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = model()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            make(write(tmp_path, data[:length]), lower_case=False)


@given(position=st.integers(0, len(model()) - 1), bits=st.integers(1, 255), more=st.binary(max_size=8))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_model_is_refused_or_gives_valid_json(tmp_path: Path, position: int, bits: int, more: bytes) -> None:
    data = bytearray(model())
    data[position] ^= bits
    data[position:position] = more
    try:
        tokenizer = make(write(tmp_path, bytes(data)), lower_case=False)
    except ConvertError:
        return
    assert json_of(tokenizer)["model"]["type"] == "Unigram"
    assert all(text.encode("utf-8") for text in tokenizer.files.values())

"""SentencePiece models that read whole texts: written files, refusals. Frameworks read the files in the live tests."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from sentencepiece_files import BYTE, CONTROL, NAME, NORMAL, UNKNOWN, USER_DEFINED, block, integer, model

import bort_convert
from bort_convert.errors import FormatError, OptionError
from bort_convert.models.registry import families
from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer
from bort_convert.tokenizer.character_rules import apply_rules, regex_class, rules_of
from bort_convert.tokenizer.protobuf import parse
from bort_convert.tokenizer.sources import TokenizerFile

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

UNK = ("<unk>", 0.0, UNKNOWN)
WORDS = (("▁", -2.0, NORMAL), ("a", -2.5, NORMAL), ("b", -3.0, NORMAL), ("▁a", -3.5, NORMAL), ("ab", -4.5, NORMAL))
ENDS = (("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<pad>", 0.0, CONTROL))
KOGPT2 = (*ENDS, UNK, *WORDS)
XLNET = (UNK, *ENDS[:2], ("<cls>", 0.0, CONTROL), ("<sep>", 0.0, CONTROL), ENDS[2], ("<mask>", 0.0, CONTROL), *WORDS)
BPE = integer(3, 2)
MARK = ("<usr>", 0.0, USER_DEFINED)


def make(folder: Path, data: bytes, size: int, kind: str = "GPT-2", **options: Any) -> Tokenizer:  # noqa: ANN401
    (folder / "x.spiece").write_bytes(data)
    tokenizer = find_tokenizer(kind, TokenizerOptions(vocab=folder / "x.spiece", **options), ModelLimits(size, 24))
    assert tokenizer is not None
    return tokenizer


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


def table(rules: dict[str, str]) -> bytes:
    """The table of rules of single bytes and of two: a double array with room for each byte, and the replacements."""
    texts, starts = b"", {}
    for to in rules.values():
        starts.setdefault(to, len(texts))
        texts += to.encode() + b"\0"
    units = [0] * 256 * (2 + len("".join(rules)))
    units[0] = 256 << 10  # the children of the root stand from 256 on
    free = 512
    for key in sorted(rules, key=len):
        number = 256
        for place, byte in enumerate(key.encode()):
            node = number ^ byte
            if not units[node]:
                units[node] = byte | (node ^ free) << 10
                free += 256
            number = node ^ (units[node] >> 10)
            if place == len(key) - 1:
                units[node] |= 1 << 8
                units[number] = starts[rules[key]] | 1 << 31
    data = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(data)) + data + texts


def with_rules(rules: dict[str, str], pieces: tuple[tuple[str, float, int], ...] = KOGPT2) -> bytes:
    return model(pieces, normalizer=block(1, b"user_defined") + block(2, table(rules)))


# Files


def test_a_gpt2_has_no_special_tokens_around_a_text_and_the_models_own(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, model(KOGPT2), len(KOGPT2))
    assert set(tokenizer.files) == {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    assert tokenizer.special_token_ids == {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "unk_token_id": 3}
    content = json_of(tokenizer)
    assert content["post_processor"] is None
    assert [token["content"] for token in content["added_tokens"]] == ["<s>", "</s>", "<pad>", "<unk>"]
    assert json_of(tokenizer, "tokenizer_config.json")["model_max_length"] == 24
    vocab: dict[str, float] = dict(content["model"]["vocab"])
    assert [*vocab] == [text for text, _, _ in KOGPT2]
    assert vocab["▁a"] == -3.5
    assert max(vocab["<s>"], vocab["<unk>"]) < -4.5 * 3, "no text has them"


def test_a_model_without_ends_and_padding_names_none(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, model((UNK, *WORDS)), 6)
    assert json_of(tokenizer, "special_tokens_map.json") == {"unk_token": "<unk>"}


def test_a_bpe_model_becomes_merges_in_the_order_of_the_scores(tmp_path: Path) -> None:
    pieces = (*KOGPT2, ("▁ab", -5.0, NORMAL))
    content = json_of(make(tmp_path, model(pieces, trainer=BPE), len(pieces)))["model"]
    assert content["merges"] == ["▁ a", "a b", "▁a b", "▁ ab"]
    assert (content["unk_token"], content["fuse_unk"], content["byte_fallback"]) == ("<unk>", True, False)
    assert not content["ignore_merges"]


def test_a_users_piece_of_a_bpe_model_is_cut_out_and_of_a_unigram_model_found(tmp_path: Path) -> None:
    pieces = (*KOGPT2, MARK)
    content = json_of(make(tmp_path, model(pieces, trainer=BPE), len(pieces)))
    assert content["model"]["ignore_merges"]
    assert content["pre_tokenizer"]["pretokenizers"][0]["pattern"] == {"Regex": "<usr>"}
    vocab = dict(json_of(make(tmp_path, model(pieces), len(pieces)))["model"]["vocab"])
    assert vocab["<usr>"] == pytest.approx(5 * -2.0 - 0.1)


def test_xlnet_has_its_special_tokens_behind_a_text_and_pads_in_front(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, model(XLNET), len(XLNET), "XLNet")
    config = json_of(tokenizer, "tokenizer_config.json")
    assert config["padding_side"] == "left"
    assert config["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    pair = json_of(tokenizer)["post_processor"]["pair"]
    names = [next(iter(part.values()))["id"] for part in pair]
    assert names == ["A", "<sep>", "B", "<sep>", "<cls>"]
    assert [next(iter(part.values()))["type_id"] for part in pair] == [0, 0, 1, 1, 2]
    assert tokenizer.special_token_ids["pad_token_id"] == 5
    assert tokenizer.notes == ()
    assert any(
        step["type"] == "Lowercase"
        for step in json_of(make(tmp_path, model(XLNET), len(XLNET), "XLNet", lower_case=True))["normalizer"][
            "normalizers"
        ]
    )


def test_a_piece_of_a_number_and_a_comma_is_never_found_by_xlnet_and_a_note_says_so(tmp_path: Path) -> None:
    pieces = (*XLNET, ("1,", -1.0, NORMAL), ("1", -5.0, NORMAL), (",", -5.0, NORMAL))
    tokenizer = make(tmp_path, model(pieces), len(pieces), "XLNet")
    assert tokenizer.notes == (
        "tokenizer: 1 pieces end in a digit and a comma; GluonNLP cuts them, and here none is used",
    )
    assert dict(json_of(tokenizer)["model"]["vocab"])["1,"] < -20


def test_an_xlnet_and_a_gpt2_get_their_special_token_ids_from_the_model(fixtures: Path, tmp_path: Path) -> None:
    for source, rows, pieces in (("xlnet_2_2_8_8", 40, XLNET), ("gpt2_2_3_48_12", 40, KOGPT2)):
        family = source.partition("_")[0]
        more = [(chr(0x4E00 + number), -9.0, NORMAL) for number in range(rows - len(pieces))]
        vocab = tmp_path / f"{family}.model"
        vocab.write_bytes(model((*pieces, *more)))
        heads = 3 if family == "gpt2" else None
        bort_convert.convert(fixtures / f"{source}.params", tmp_path / family, vocab=vocab, heads=heads)
        config = json.loads((tmp_path / family / "config.json").read_text("utf-8"))
        numbers = {text: number for number, (text, _, _) in enumerate(pieces)}
        assert (config["bos_token_id"], config["eos_token_id"]) == (numbers["<s>"], numbers["</s>"])
        assert config["pad_token_id"] == numbers["<pad>"]
        assert bort_convert.check(tmp_path / family)


def test_the_families_have_their_kinds() -> None:
    assert (families()["gpt2"].tokenizer, families()["xlnet"].tokenizer) == ("GPT-2", "XLNet")


# Rules


def test_rules_are_read_from_the_table_and_the_longest_is_applied() -> None:
    rules = {"A": "a", "AB": "x", "C": "", "~": "ab"}
    assert rules_of(table(rules)) == rules
    assert apply_rules(rules, "AABC~D") == "axabD"


def test_a_class_of_characters_is_written_in_ranges() -> None:
    assert regex_class("abcz") == r"\x{61}-\x{63}\x{7A}"


def test_rules_of_one_character_need_no_composition(tmp_path: Path) -> None:
    steps = json_of(make(tmp_path, with_rules({"A": "a"}), len(KOGPT2)))["normalizer"]["normalizers"]
    kinds = [step["type"] for step in steps]
    assert "Precompiled" in kinds
    assert "NFC" not in kinds


# Refusals

NOT_BYTES = ("<0x41>", 0.0, BYTE)
FAULTS = {
    "model_type of trainer_spec is 3, expected 1 or 2 (a unigram or a BPE model)": model(KOGPT2, integer(3, 3)),
    "escape_whitespaces of normalizer_spec is 0, expected 1": model(KOGPT2, normalizer=NAME + integer(5, 0)),
    "treat_whitespace_as_suffix of trainer_spec is 1, expected 0": model(KOGPT2, integer(24, 1)),
    "denormalizer_spec has rules, expected none": model(KOGPT2) + block(5, block(2, b"x")),
    "1 of the 256 bytes have a piece, from <0x00> to <0xFF>; expected all": model((*KOGPT2, NOT_BYTES), integer(35, 1)),
    "piece 9, '<0x41>', is a byte, expected": model((*KOGPT2, NOT_BYTES)),
    "the piece 'zz' holds 'z', which has no piece": model((*KOGPT2, ("zz", -9.0, NORMAL)), BPE),
    "the pieces 'ab' and 'ba' have one score, -4.5": model((*KOGPT2, ("ba", -4.5, NORMAL)), BPE),
    "the piece 'a b' holds ' '": model((*KOGPT2, ("a b", -9.0, NORMAL)), BPE),
    "'bb▁', is never reached by the merges": model((*KOGPT2, MARK, ("bb▁", -9.0, NORMAL)), BPE),
    "replaces 'AB' by 'x', expected 'aB'": with_rules({"A": "a", "AB": "x"}),
    "'B' begins one rule of normalizer_spec and continues another": with_rules({"AB": "AB", "BC": "BC"}),
    "the piece '<usr>' is the user's, and the rules of normalizer_spec make '<xsr>'": with_rules(
        {"u": "x"}, (*KOGPT2, MARK)
    ),
    "normalizer_spec: the table is damaged: a replacement has no end": with_rules({"A": "a"})[:-1] + b"b",
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_model_that_tokenizer_json_cannot_say_is_refused(tmp_path: Path, message: str) -> None:
    data = FAULTS[message]
    with pytest.raises(FormatError) as error:
        make(tmp_path, data, len(parse(TokenizerFile(tmp_path, data), "model", data).fields[1]))
    assert message in str(error.value)


@pytest.mark.parametrize(("kind", "pieces"), [("GPT-2", KOGPT2), ("XLNet", XLNET)])
def test_a_model_of_another_size_is_refused_with_both_sizes(
    tmp_path: Path, kind: str, pieces: tuple[tuple[str, float, int], ...]
) -> None:
    with pytest.raises(FormatError, match=f"{len(pieces)} tokens, expected 50,000, the rows of the word embedding"):
        make(tmp_path, model(pieces), 50_000, kind)


def test_a_model_of_another_family_lacks_xlnets_special_tokens(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cls_token is '<cls>', expected one of the tokens"):
        make(tmp_path, model(KOGPT2), len(KOGPT2), "XLNet")


def test_a_vocabulary_without_the_model_is_refused_for_an_xlnet(tmp_path: Path) -> None:
    (tmp_path / "x.vocab").write_text('{"idx_to_token": []}', "utf-8")
    with pytest.raises(FormatError, match=r"x\.vocab: expected a SentencePiece model, a \.spiece or \.model file"):
        find_tokenizer("XLNet", TokenizerOptions(vocab=tmp_path / "x.vocab"), ModelLimits(9, None))


@pytest.mark.parametrize("options", [{"bpe_ranks": "x"}, {"roberta_pairs": True}, {"tokenizer": "x"}])
def test_an_option_for_another_kind_is_refused_for_an_xlnet(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"a SentencePiece tokenizer, which takes no such option\. Leave it out"):
        make(tmp_path, model(XLNET), len(XLNET), "XLNet", **options)


def test_xlnets_published_model_is_looked_for_in_the_model_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    reasons: list[str] = []
    assert find_tokenizer("XLNet", TokenizerOptions(), ModelLimits(32000, None), absent=reasons.append) is None
    assert str(tmp_path / "models" / "xlnet_126gb-871f0b3c.spiece") in reasons[0]

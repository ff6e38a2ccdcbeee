"""Files of BERT's tokenizer, lower-casing, and refusals. Frameworks read the files in test_wordpiece_live.py."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from bort_convert.errors import FormatError, OptionError, VariantError
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, KINDS, ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

NAMES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED = "tokenizer: text keeps its capital letters and accents; "
LOWER_CASED = "tokenizer: text is lower-cased and loses its accents; "


@pytest.fixture
def vocab(fixtures: Path) -> Path:
    return fixtures / "tiny_bert.vocab"


@pytest.fixture
def cased(fixtures: Path) -> Path:
    return fixtures / "tiny_bert_cased.vocab"


def make(size: int, types: int = 2, **options: Any) -> Tokenizer:  # noqa: ANN401 - fields of TokenizerOptions
    tokenizer = find_tokenizer("WordPiece", TokenizerOptions(**options), ModelLimits(size, 12, types))
    assert tokenizer is not None
    return tokenizer


def make_of(folder: Path, *words: str, **options: Any) -> Tokenizer:  # noqa: ANN401
    """Make a tokenizer of the special tokens and these words."""
    (folder / "x.txt").write_text("".join(f"{token}\n" for token in (*SPECIAL, *words)), "utf-8")
    return make(len(SPECIAL) + len(words), vocab=folder / "x.txt", **options)


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


def write(folder: Path, **contents: object) -> Path:
    """Make a folder with JSON files, by their names without the ending."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


# Written files


def test_the_files_are_those_of_a_fast_tokenizer(vocab: Path) -> None:
    tokenizer = make(40, vocab=vocab)
    assert set(tokenizer.files) == NAMES <= FILES
    assert tokenizer.sources == {vocab.name: hashlib.sha256(vocab.read_bytes()).hexdigest()}
    tokens = json.loads(vocab.read_text("utf-8"))["idx_to_token"]
    assert tokenizer.files["vocab.txt"] == "".join(f"{token}\n" for token in tokens)
    assert json_of(tokenizer)["model"] == {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 200,
        "vocab": {token: number for number, token in enumerate(tokens)},
    }


@pytest.mark.parametrize(("name", "size", "lower"), [("tiny_bert", 40, True), ("tiny_bert_cased", 20, False)])
def test_text_is_normalized_as_in_bert(fixtures: Path, name: str, size: int, *, lower: bool) -> None:
    content = json_of(make(size, vocab=fixtures / f"{name}.vocab"))
    assert content["normalizer"] == {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": lower,
    }
    assert content["pre_tokenizer"] == {"type": "BertPreTokenizer"}
    assert content["decoder"]["type"] == "WordPiece"
    assert content["truncation"] is content["padding"] is None


@pytest.mark.parametrize("types", [1, 2])
def test_the_second_text_has_token_type_1_if_the_model_has_two(vocab: Path, types: int) -> None:
    tokenizer = make(40, types, vocab=vocab)
    template = json_of(tokenizer)["post_processor"]
    cls, sep, last_sep = (
        {"SpecialToken": {"id": token, "type_id": number}}
        for token, number in (("[CLS]", 0), ("[SEP]", 0), ("[SEP]", types - 1))
    )
    first, second = ({"Sequence": {"id": name, "type_id": number}} for name, number in (("A", 0), ("B", types - 1)))
    assert (template["single"], template["pair"]) == ([cls, first, sep], [cls, first, sep, second, last_sep])
    assert {token: entry["ids"] for token, entry in template["special_tokens"].items()} == {"[CLS]": [2], "[SEP]": [3]}
    names = json_of(tokenizer, "tokenizer_config.json")["model_input_names"]
    assert names == ["input_ids", *["token_type_ids"] * (types - 1), "attention_mask"]


def test_special_tokens_come_from_the_roles(vocab: Path) -> None:
    tokenizer = make(40, vocab=vocab)
    added = json_of(tokenizer)["added_tokens"]
    assert [(token["id"], token["content"]) for token in added] == list(enumerate(SPECIAL))
    assert all(token["special"] and not (token["normalized"] or token["lstrip"] or token["rstrip"]) for token in added)
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    assert json_of(tokenizer, "special_tokens_map.json") == roles
    assert json_of(tokenizer, "tokenizer_config.json") == roles | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 12,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        "do_lower_case": True,
    }


def test_a_text_file_gives_the_same_files_as_the_json_whatever_its_line_ends(vocab: Path, tmp_path: Path) -> None:
    original = make(40, vocab=vocab)
    for end in ("\n", "\r\n"):
        text = original.files["vocab.txt"].replace("\n", end)
        for content in (text, text.removesuffix(end)):
            (tmp_path / "vocab.txt").write_bytes(content.encode())
            again = make(40, vocab=str(tmp_path / "vocab.txt"))
            assert again.files == original.files
            assert set(again.sources) == {"vocab.txt"}


def test_the_json_of_old_releases_has_its_roles_at_the_top(vocab: Path, tmp_path: Path) -> None:
    content = json.loads(vocab.read_text("utf-8"))
    content |= content.pop("identifiers_to_tokens")
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    assert content["bos_token"] is None
    assert make(40, vocab=tmp_path / "x").files == make(40, vocab=vocab).files
    # A null at the top does not count, even beside the same role in its new place.
    content["identifiers_to_tokens"] = {"mask_token": content["mask_token"]}
    content["mask_token"] = None
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    assert make(40, vocab=tmp_path / "x").files == make(40, vocab=vocab).files


@pytest.mark.parametrize("token", ["</s>", "SEP"])
def test_a_vocabulary_may_have_other_special_tokens_which_tell_nothing_of_casing(
    vocab: Path, tmp_path: Path, token: str
) -> None:
    (tmp_path / "x").write_text(vocab.read_text("utf-8").replace("[SEP]", token), "utf-8")
    tokenizer = make(40, vocab=tmp_path / "x")
    assert json_of(tokenizer, "special_tokens_map.json")["sep_token"] == token
    assert json_of(tokenizer)["post_processor"]["special_tokens"][token]["ids"] == [3]
    assert json_of(tokenizer)["normalizer"]["lowercase"]


# Lower-casing


@pytest.mark.parametrize(
    ("words", "lower", "reason"),
    [
        (["the", "##s"], True, "no word in x.txt has a capital letter"),
        (["the", "The", "A"], False, "'The' in x.txt has a capital letter"),
        (["the", "##S"], False, "'##S' in x.txt has a capital letter"),
        (["the", "ǅ"], False, "'ǅ' in x.txt has a capital letter"),
        # Tokens that no text becomes do not count: brackets are words of their own.
        (["the", "[EOS]", "[unused1]", "A-B"], True, "no word in x.txt has a capital letter"),
        # Characters without a lower-case form are no capitals.
        (["日本", "\U0001d400", "the"], True, "no word in x.txt has a capital letter"),
    ],
)
def test_the_tokens_tell_whether_text_is_lower_cased(
    tmp_path: Path, words: list[str], reason: str, *, lower: bool
) -> None:
    tokenizer = make_of(tmp_path, *words)
    assert json_of(tokenizer)["normalizer"]["lowercase"] is lower
    assert json_of(tokenizer, "tokenizer_config.json")["do_lower_case"] is lower
    assert tokenizer.notes == ((LOWER_CASED if lower else CASED) + reason,)


@pytest.mark.parametrize("lower", [True, False])
def test_a_request_overrides_files_and_tokens(vocab: Path, cased: Path, tmp_path: Path, *, lower: bool) -> None:
    write(tmp_path / "a", tokenizer=json_of(make(40, vocab=vocab)), tokenizer_config={"do_lower_case": not lower})
    for size, options in ((40, {"vocab": vocab}), (20, {"vocab": cased}), (40, {"tokenizer": tmp_path / "a"})):
        tokenizer = make(size, lower_case=lower, **options)
        assert json_of(tokenizer)["normalizer"]["lowercase"] is lower
        assert tokenizer.notes == ((LOWER_CASED if lower else CASED) + "as requested",)


def test_words_without_a_capital_form_do_not_tell(tmp_path: Path) -> None:
    message = r"x\.txt: no word in it .* lower-cased\. Pass `lower_case=True` or `lower_case=False`"
    with pytest.raises(VariantError, match=message) as error:
        make_of(tmp_path, "日", "##本", "7", "[a]")
    assert error.value.missing == ("lower_case",)
    assert not json_of(make_of(tmp_path, "日", "##本", lower_case=False))["normalizer"]["lowercase"]


def test_lower_case_without_a_vocabulary_is_an_option_error() -> None:
    with pytest.raises(OptionError, match=r"`lower_case=False`: .* Pass `vocab` or `tokenizer` too"):
        find_tokenizer("WordPiece", TokenizerOptions(lower_case=False), ModelLimits(40, 12))


# BERT tokenizers of transformers


def test_a_tokenizer_made_of_our_files_has_the_same_files(vocab: Path, tmp_path: Path) -> None:
    original = make(40, vocab=vocab)
    for names in (NAMES, {"tokenizer.json"}, {"vocab.txt"}, {"vocab.txt", "tokenizer_config.json"}):
        folder = tmp_path / "-".join(sorted(names))
        folder.mkdir()
        for name in names:
            (folder / name).write_text(original.files[name], "utf-8")
        again = make(40, tokenizer=folder)
        assert again.files == original.files
        whole = {"tokenizer.json"} & names or {"vocab.txt"}
        assert set(again.sources) == whole | ({"tokenizer_config.json"} & names)


@pytest.mark.parametrize("config", [False, True])
def test_a_statement_in_a_file_overrides_the_tokens(cased: Path, tmp_path: Path, *, config: bool) -> None:
    original = make(20, vocab=cased, lower_case=True)
    folder = write(tmp_path / "a", **({"tokenizer_config": {"do_lower_case": True}} if config else {}))
    name = "vocab.txt" if config else "tokenizer.json"
    (folder / name).write_text(original.files[name], "utf-8")
    again = make(20, tokenizer=folder)
    assert again.files == original.files
    assert again.notes == (f"{LOWER_CASED}by {'tokenizer_config' if config else 'tokenizer'}.json",)


def test_files_that_disagree_about_lower_casing_are_refused(vocab: Path, tmp_path: Path) -> None:
    write(tmp_path / "a", tokenizer=json_of(make(40, vocab=vocab)), tokenizer_config={"do_lower_case": False})
    message = r"tokenizer.json and tokenizer_config.json disagree .* Pass `lower_case=True` or"
    with pytest.raises(VariantError, match=message) as error:
        make(40, tokenizer=tmp_path / "a")
    assert error.value.missing == ("lower_case",)


def set_to(*keys: str, value: object) -> Callable[[Any], None]:
    def edit(content: Any) -> None:  # noqa: ANN401
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return edit


TOKENIZER_FAULTS = {
    "model.type is 'BPE', expected 'WordPiece': a WordPiece as GluonNLP's BERT has it": set_to(
        "model", "type", value="BPE"
    ),
    "model.continuing_subword_prefix is '@@', expected '##'": set_to("model", "continuing_subword_prefix", value="@@"),
    "pre_tokenizer.type is None, expected 'BertPreTokenizer'": set_to("pre_tokenizer", value=None),
    "normalizer.type is 'NFC', expected 'BertNormalizer'": set_to("normalizer", "type", value="NFC"),
    "normalizer.clean_text is False, expected True": set_to("normalizer", "clean_text", value=False),
    "normalizer.handle_chinese_chars is False, expected True": set_to(
        "normalizer", "handle_chinese_chars", value=False
    ),
    "normalizer.strip_accents is False, expected True": set_to("normalizer", "strip_accents", value=False),
    "expected model.vocab and added_tokens": set_to("model", "vocab", value=None),
    "'the' has the id 3, expected every number below 40 once": set_to("model", "vocab", "the", value=3),
}


@pytest.mark.parametrize("message", TOKENIZER_FAULTS)
def test_a_tokenizer_json_of_another_kind_is_refused(vocab: Path, tmp_path: Path, message: str) -> None:
    content = json_of(make(40, vocab=vocab))
    TOKENIZER_FAULTS[message](content)
    with pytest.raises(FormatError) as error:
        make(40, tokenizer=write(tmp_path / "a", tokenizer=content))
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "a" / "tokenizer.json"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tokenize_chinese_chars": False}, "tokenize_chinese_chars is False, expected True"),
        ({"do_lower_case": True, "strip_accents": False}, "strip_accents is False, expected True"),
        ({"do_lower_case": False, "strip_accents": True}, "strip_accents is True, expected False"),
    ],
)
def test_a_config_that_gluonnlp_cannot_follow_is_refused(
    vocab: Path, tmp_path: Path, config: dict[str, bool], message: str
) -> None:
    folder = write(tmp_path / "a", tokenizer_config=config)
    (folder / "vocab.txt").write_text(make(40, vocab=vocab).files["vocab.txt"], "utf-8")
    with pytest.raises(FormatError) as error:
        make(40, tokenizer=folder)
    assert message in str(error.value)


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"neither tokenizer.json nor vocab.txt, expected a BERT tokenizer"):
        make(40, tokenizer=write(tmp_path / "a", vocab={}))


# Refusals


def lines(*tokens: str) -> bytes:
    return "".join(f"{token}\n" for token in tokens).encode()


FAULTS = {
    "mask_token is '[MASK]', expected one of the tokens": lines(*SPECIAL[:4], "the"),
    "token 5 is 'the', the same as token 4": lines(*SPECIAL[:4], "the", "the"),
    "token 5 is '', the same as token 4": lines(*SPECIAL[:4], "", ""),
    "padding_token is '[PAD]', expected one of the tokens": b"",
    "byte 0 is 0xff, expected UTF-8 text": b"\xff",
    "expected JSON: Unterminated string": b'{"idx_to_token": ["[PAD]", "[U',
    "no idx_to_token, expected the JSON of a GluonNLP vocabulary": b'{"a": 1}',
    "cls_token is None, expected one of the tokens": json.dumps(
        {
            "idx_to_token": ["a", "b"],
            "unknown_token": "a",
            "identifiers_to_tokens": dict.fromkeys(("padding_token", "sep_token", "mask_token"), "b"),
        }
    ).encode(),
    "2 tokens begin with '▁' and none with '##': a SentencePiece vocabulary": lines(*SPECIAL, "▁the", "▁a", "s"),
    "8 tokens, expected 9, the rows of the word embedding. Is it another": lines(*SPECIAL, "a", "b", "c"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_faulty_vocabulary_is_refused(tmp_path: Path, message: str) -> None:
    (tmp_path / "x").write_bytes(FAULTS[message])
    size = len(FAULTS[message].splitlines()) + ("expected 9" in message)
    with pytest.raises(FormatError) as error:
        make(size, vocab=tmp_path / "x")
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "x"))


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_token_with_a_line_end_is_refused(vocab: Path, tmp_path: Path, end: str) -> None:
    content = json.loads(vocab.read_text("utf-8").replace('"rabbit"', json.dumps(f"rab{end}bit")))
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    with pytest.raises(FormatError, match=r"token 8 is 'rab\\[nr]bit', and vocab\.txt has one token a line"):
        make(40, vocab=tmp_path / "x")


def test_a_tokenizer_beside_a_vocabulary_is_an_option_error(vocab: Path) -> None:
    with pytest.raises(OptionError, match=r"`tokenizer='x'`: stands for a vocabulary\. Pass it, or `vocab`"):
        make(40, vocab=vocab, tokenizer="x")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("WordPiece", {"bpe_ranks": "x"}, "`bpe_ranks='x'`: this model has a WordPiece tokenizer"),
        ("WordPiece", {"roberta_pairs": True}, "`roberta_pairs=True`: this model has a WordPiece tokenizer"),
        ("Bort", {"lower_case": False}, "`lower_case=False`: this model has a byte-level BPE tokenizer"),
        ("RoBERTa", {"lower_case": True}, "`lower_case=True`: this model has a byte-level BPE tokenizer"),
    ],
)
def test_an_option_for_another_kind_of_tokenizer_is_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"{message}, which takes no such option. Leave it out"):
        find_tokenizer(kind, TokenizerOptions(**options), ModelLimits(40, 12))


def test_without_files_there_is_no_tokenizer() -> None:
    reasons: list[str] = []
    assert find_tokenizer("WordPiece", TokenizerOptions(), ModelLimits(40, 12), absent=reasons.append) is None
    assert reasons == ["pass `vocab` or `tokenizer`"]


def test_every_family_names_a_known_kind_of_tokenizer() -> None:
    kinds = {family.tokenizer for family in families().values() if family.tokenizer}
    assert kinds <= set(KINDS)
    assert {name: kind.file_options for name, kind in KINDS.items()} == {
        "Bort": ("vocab", "bpe_ranks"),
        "RoBERTa": ("vocab", "bpe_ranks"),
        "GPT-2": ("vocab", "bpe_ranks"),
        "WordPiece": ("vocab",),
        "WordPiece-1.0": ("vocab",),
        "XLNet": ("vocab",),
        "ALBERT": ("vocab",),
        "XLM-R": ("vocab",),
        "T5": ("vocab",),
    }


def test_options_in_two_forms_are_joined_and_a_repeated_one_is_refused() -> None:
    options = TokenizerOptions(vocab="a", lower_case=True)
    assert options.joined(TokenizerOptions()) == options
    assert options.joined(TokenizerOptions(bpe_ranks="b")) == TokenizerOptions("a", "b", lower_case=True)
    for repeated in (TokenizerOptions(vocab="c"), TokenizerOptions(vocab="a"), TokenizerOptions(lower_case=False)):
        with pytest.raises(OptionError, match=r"`tokenizer_options` specifies it too\. Pass one of the two"):
            options.joined(repeated)

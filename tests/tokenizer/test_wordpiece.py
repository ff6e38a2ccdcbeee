"""What is written for a BERT, and what is refused. What frameworks make of it: test_wordpiece_live.py."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from bort_convert.errors import FormatError, VariantError
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, KINDS, ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

NAMES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KEPT = "tokenizer: capital letters and accents are kept; "
LOWERED = "tokenizer: letters are lower-cased and lose their accents; "


@pytest.fixture
def vocab(fixtures: Path) -> Path:
    return fixtures / "tiny_bert.vocab"


@pytest.fixture
def cased(fixtures: Path) -> Path:
    return fixtures / "tiny_bert_cased.vocab"


def made(size: int, types: int = 2, **given: Any) -> Tokenizer:  # noqa: ANN401 - as TokenizerOptions takes them
    found = find_tokenizer("WordPiece", TokenizerOptions(**given), ModelLimits(size, 12, types))
    assert found is not None
    return found


def of(folder: Path, *words: str, **given: Any) -> Tokenizer:  # noqa: ANN401
    """A tokenizer of these words, behind the special tokens."""
    (folder / "x.txt").write_text("".join(f"{token}\n" for token in (*SPECIAL, *words)), "utf-8")
    return made(len(SPECIAL) + len(words), vocab=folder / "x.txt", **given)


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


def write(folder: Path, **contents: object) -> Path:
    """A folder with JSON files, by their names without the ending."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


# What is written


def test_the_files_are_those_of_a_fast_tokenizer(vocab: Path) -> None:
    tokenizer = made(40, vocab=vocab)
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
def test_text_is_read_as_bert_reads_it(fixtures: Path, name: str, size: int, *, lower: bool) -> None:
    content = json_of(made(size, vocab=fixtures / f"{name}.vocab"))
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
def test_the_second_text_has_another_type_where_the_model_has_two(vocab: Path, types: int) -> None:
    tokenizer = made(40, types, vocab=vocab)
    template = json_of(tokenizer)["post_processor"]
    begin, end, last = (
        {"SpecialToken": {"id": token, "type_id": number}}
        for token, number in (("[CLS]", 0), ("[SEP]", 0), ("[SEP]", types - 1))
    )
    one, other = ({"Sequence": {"id": text, "type_id": number}} for text, number in (("A", 0), ("B", types - 1)))
    assert (template["single"], template["pair"]) == ([begin, one, end], [begin, one, end, other, last])
    assert {token: entry["ids"] for token, entry in template["special_tokens"].items()} == {"[CLS]": [2], "[SEP]": [3]}
    names = json_of(tokenizer, "tokenizer_config.json")["model_input_names"]
    assert names == ["input_ids", *["token_type_ids"] * (types - 1), "attention_mask"]


def test_special_tokens_come_from_the_roles(vocab: Path) -> None:
    tokenizer = made(40, vocab=vocab)
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


def test_a_text_file_gives_what_the_json_does_whatever_its_ends_of_line(vocab: Path, tmp_path: Path) -> None:
    original = made(40, vocab=vocab)
    for end in ("\n", "\r\n"):
        text = original.files["vocab.txt"].replace("\n", end)
        for content in (text, text.removesuffix(end)):
            (tmp_path / "vocab.txt").write_bytes(content.encode())
            again = made(40, vocab=str(tmp_path / "vocab.txt"))
            assert again.files == original.files
            assert set(again.sources) == {"vocab.txt"}


def test_the_json_of_old_releases_has_its_roles_on_top(vocab: Path, tmp_path: Path) -> None:
    content = json.loads(vocab.read_text("utf-8"))
    content |= content.pop("identifiers_to_tokens")
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    assert content["bos_token"] is None
    assert made(40, vocab=tmp_path / "x").files == made(40, vocab=vocab).files
    # Null there is nothing, also where the role stands in its new place.
    content["identifiers_to_tokens"] = {"mask_token": content["mask_token"]}
    content["mask_token"] = None
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    assert made(40, vocab=tmp_path / "x").files == made(40, vocab=vocab).files


@pytest.mark.parametrize("token", ["</s>", "SEP"])
def test_a_vocabulary_may_have_special_tokens_of_its_own_which_prove_nothing(
    vocab: Path, tmp_path: Path, token: str
) -> None:
    (tmp_path / "x").write_text(vocab.read_text("utf-8").replace("[SEP]", token), "utf-8")
    tokenizer = made(40, vocab=tmp_path / "x")
    assert json_of(tokenizer, "special_tokens_map.json")["sep_token"] == token
    assert json_of(tokenizer)["post_processor"]["special_tokens"][token]["ids"] == [3]
    assert json_of(tokenizer)["normalizer"]["lowercase"]


# Capital letters


@pytest.mark.parametrize(
    ("words", "lower", "why"),
    [
        (["the", "##s"], True, "no word in x.txt has a capital letter"),
        (["the", "The", "A"], False, "'The' in x.txt has a capital letter"),
        (["the", "##S"], False, "'##S' in x.txt has a capital letter"),
        (["the", "ǅ"], False, "'ǅ' in x.txt has a capital letter"),
        # What no text becomes proves nothing: brackets are words of their own.
        (["the", "[EOS]", "[unused1]", "A-B"], True, "no word in x.txt has a capital letter"),
        # Letters without a small form are no capitals.
        (["日本", "\U0001d400", "the"], True, "no word in x.txt has a capital letter"),
    ],
)
def test_the_tokens_prove_whether_letters_are_lower_cased(
    tmp_path: Path, words: list[str], why: str, *, lower: bool
) -> None:
    tokenizer = of(tmp_path, *words)
    assert json_of(tokenizer)["normalizer"]["lowercase"] is lower
    assert json_of(tokenizer, "tokenizer_config.json")["do_lower_case"] is lower
    assert tokenizer.notes == ((LOWERED if lower else KEPT) + why,)


@pytest.mark.parametrize("lower", [True, False])
def test_what_the_user_says_goes_before_all_else(vocab: Path, cased: Path, tmp_path: Path, *, lower: bool) -> None:
    write(tmp_path / "a", tokenizer=json_of(made(40, vocab=vocab)), tokenizer_config={"do_lower_case": not lower})
    for size, given in ((40, {"vocab": vocab}), (20, {"vocab": cased}), (40, {"tokenizer": tmp_path / "a"})):
        tokenizer = made(size, lower_case=lower, **given)
        assert json_of(tokenizer)["normalizer"]["lowercase"] is lower
        assert tokenizer.notes == ((LOWERED if lower else KEPT) + "as you said",)


def test_words_that_have_no_capital_form_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(VariantError, match=r"x\.txt: no word in it .* cannot be told\. Pass --lower-case or --cased"):
        of(tmp_path, "日", "##本", "7", "[a]")
    assert not json_of(of(tmp_path, "日", "##本", lower_case=False))["normalizer"]["lowercase"]


def test_capital_letters_without_a_vocabulary_are_a_mistake() -> None:
    with pytest.raises(VariantError, match="--lower-case and --cased say how a vocabulary is used: pass --vocab or"):
        find_tokenizer("WordPiece", TokenizerOptions(lower_case=False), ModelLimits(40, 12))


# A BERT tokenizer of transformers


def test_a_directory_gives_the_same_files_once_more(vocab: Path, tmp_path: Path) -> None:
    original = made(40, vocab=vocab)
    for names in (NAMES, {"tokenizer.json"}, {"vocab.txt"}, {"vocab.txt", "tokenizer_config.json"}):
        folder = tmp_path / "-".join(sorted(names))
        folder.mkdir()
        for name in names:
            (folder / name).write_text(original.files[name], "utf-8")
        again = made(40, tokenizer=folder)
        assert again.files == original.files
        whole = {"tokenizer.json"} & names or {"vocab.txt"}
        assert set(again.sources) == whole | ({"tokenizer_config.json"} & names)


@pytest.mark.parametrize("config", [False, True])
def test_what_a_directory_says_of_letters_goes_before_what_its_tokens_prove(
    cased: Path, tmp_path: Path, *, config: bool
) -> None:
    original = made(20, vocab=cased, lower_case=True)
    folder = write(tmp_path / "a", **({"tokenizer_config": {"do_lower_case": True}} if config else {}))
    name = "vocab.txt" if config else "tokenizer.json"
    (folder / name).write_text(original.files[name], "utf-8")
    again = made(20, tokenizer=folder)
    assert again.files == original.files
    assert again.notes == (f"{LOWERED}by {'tokenizer_config' if config else 'tokenizer'}.json",)


def test_files_that_disagree_about_letters_are_a_question(vocab: Path, tmp_path: Path) -> None:
    write(tmp_path / "a", tokenizer=json_of(made(40, vocab=vocab)), tokenizer_config={"do_lower_case": False})
    with pytest.raises(
        VariantError, match=r"tokenizer.json and tokenizer_config.json disagree .* Pass --lower-case or"
    ):
        made(40, tokenizer=tmp_path / "a")


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
    content = json_of(made(40, vocab=vocab))
    TOKENIZER_FAULTS[message](content)
    with pytest.raises(FormatError) as error:
        made(40, tokenizer=write(tmp_path / "a", tokenizer=content))
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
    (folder / "vocab.txt").write_text(made(40, vocab=vocab).files["vocab.txt"], "utf-8")
    with pytest.raises(FormatError) as error:
        made(40, tokenizer=folder)
    assert message in str(error.value)


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"neither tokenizer.json nor vocab.txt, expected a BERT tokenizer"):
        made(40, tokenizer=write(tmp_path / "a", vocab={}))


# What is refused


def lines(*tokens: str) -> bytes:
    return "".join(f"{token}\n" for token in tokens).encode()


FAULTS = {
    "mask_token is '[MASK]', expected one of the tokens": lines(*SPECIAL[:4], "the"),
    "token 5 is 'the', which token 4 is already": lines(*SPECIAL[:4], "the", "the"),
    "token 5 is '', which token 4 is already": lines(*SPECIAL[:4], "", ""),
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
        made(size, vocab=tmp_path / "x")
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "x"))


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_token_with_an_end_of_line_is_refused(vocab: Path, tmp_path: Path, end: str) -> None:
    content = json.loads(vocab.read_text("utf-8").replace('"rabbit"', json.dumps(f"rab{end}bit")))
    (tmp_path / "x").write_text(json.dumps(content), "utf-8")
    with pytest.raises(FormatError, match=r"token 8 is 'rab\\[nr]bit', and vocab\.txt has a line for each"):
        made(40, vocab=tmp_path / "x")


def test_a_vocabulary_and_a_tokenizer_at_once_are_a_contradiction(vocab: Path) -> None:
    with pytest.raises(VariantError, match="--tokenizer stands for a vocabulary: pass it, or --vocab"):
        made(40, vocab=vocab, tokenizer="x")


@pytest.mark.parametrize(
    ("kind", "given", "option"),
    [
        ("WordPiece", {"bpe_ranks": "x"}, "--bpe-ranks says nothing of a WordPiece tokenizer"),
        ("WordPiece", {"roberta_pairs": True}, "--roberta-pairs says nothing of a WordPiece tokenizer"),
        ("Bort", {"lower_case": False}, "--cased says nothing of a byte-level BPE tokenizer"),
        ("RoBERTa", {"lower_case": True}, "--lower-case says nothing of a byte-level BPE tokenizer"),
    ],
)
def test_what_is_for_another_kind_is_refused(kind: str, given: dict[str, Any], option: str) -> None:
    with pytest.raises(VariantError, match=option):
        find_tokenizer(kind, TokenizerOptions(**given), ModelLimits(40, 12))


def test_nothing_given_is_no_tokenizer() -> None:
    reasons: list[str] = []
    assert find_tokenizer("WordPiece", TokenizerOptions(), ModelLimits(40, 12), absent=reasons.append) is None
    assert reasons == ["pass --vocab or --tokenizer"]


def test_every_family_has_a_kind_that_there_is() -> None:
    kinds = {family.tokenizer for family in families().values() if family.tokenizer}
    assert kinds <= set(KINDS)
    assert {kind: KINDS[kind].files for kind in KINDS} == {
        "Bort": "--vocab FILE --bpe-ranks FILE",
        "RoBERTa": "--vocab FILE --bpe-ranks FILE",
        "GPT-2": "--vocab FILE --bpe-ranks FILE",
        "WordPiece": "--vocab FILE",
    }

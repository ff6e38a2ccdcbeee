"""Compare BERT's tokenizer in transformers, loaded from our files, with GluonNLP's."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from gluon_client import Gluon
from hypothesis import HealthCheck, given, settings
from texts import BERT_SPECIAL as SPECIAL
from texts import BERT_TEXTS, CHANGED, CLS, GAP, MASK, PAD, SEP, UNK

from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

LENGTH = 24


class Sides:
    """GluonNLP's tokenizer, and transformers' in the folder with our files, both made from one vocabulary."""

    def __init__(self, gluon: Gluon, vocabulary: Path, folder: Path, *, lower: bool) -> None:
        self.gluon, self.vocabulary, self.folder, self.lower = gluon, vocabulary, folder, lower
        gluon.defaults = {"vocab": str(vocabulary), "lower": lower}
        self.limits = ModelLimits(len(json.loads(vocabulary.read_text("utf-8"))["idx_to_token"]), LENGTH, token_types=2)
        self.transformers = self.load(folder)
        self.number = {token: self.transformers.convert_tokens_to_ids(token) for token in SPECIAL}

    def load(self, folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
        from transformers import AutoTokenizer  # noqa: PLC0415

        tokenizer = find_tokenizer("WordPiece", TokenizerOptions(vocab=self.vocabulary), self.limits)
        assert tokenizer is not None
        for name, text in {**tokenizer.files, "config.json": '{"model_type": "bert"}'}.items():
            (folder / name).write_text(text, "utf-8")
        return AutoTokenizer.from_pretrained(folder)

    def ids(self, text: str) -> list[int]:
        """Encode a text by transformers, special tokens in it as ordinary text."""
        return self.transformers(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]  # type: ignore[no-any-return]

    def words(self, text: str) -> list[str]:
        """Split a text into words by transformers, before they are cut into tokens."""
        backend = self.transformers.backend_tokenizer
        normal = backend.normalizer.normalize_str(text)
        return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]


def capitalized(tokens: list[str]) -> list[str]:
    """Make a cased vocabulary of these tokens, their words with capital letters, and characters with accents."""
    words = {
        token.removeprefix("##") for token in tokens if token not in SPECIAL and token.removeprefix("##").isalpha()
    }
    more = [*sorted(word.capitalize() for word in words), *sorted(word.upper() for word in words), *"éÉüÜñäÄß"]
    return [*dict.fromkeys([*tokens, *more, *(f"##{word}" for word in more if len(word) == 1)])]


FORMS = ["tiny", "tiny-cased", "real", "real-cased"]


@pytest.fixture(scope="module")
def gluon() -> Iterator[Gluon]:
    client = Gluon("gluon_wordpiece.py")
    assert client.first.startswith("0.8.")
    yield client
    client.close()


@pytest.fixture(scope="module", params=FORMS)
def sides(request: pytest.FixtureRequest, gluon: Gluon, tmp_path_factory: pytest.TempPathFactory) -> Sides:
    form, cased = request.param, request.param.endswith("cased")
    folder = tmp_path_factory.mktemp(form)
    if form.startswith("tiny"):
        path = request.getfixturevalue("fixtures") / f"tiny_bert{'_cased' * cased}.vocab"
    else:
        tokens = (request.getfixturevalue("real_weights") / "vocab.txt").read_text("utf-8").rstrip("\n").split("\n")
        assert len(tokens) == 30522
        path = folder / "gluon.vocab"
        gluon.ask(tokens=capitalized(tokens) if cased else tokens, target=str(path))
    return Sides(gluon, path, folder, lower=not cased)


real = pytest.mark.parametrize("sides", ["real", "real-cased"], indirect=True)
tiny = pytest.mark.parametrize("sides", ["tiny", "tiny-cased"], indirect=True)
uncased = pytest.mark.parametrize("sides", ["real"], indirect=True)


@given(text=BERT_TEXTS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_gluonnlps_ids(sides: Sides, text: str) -> None:
    expected = sides.gluon.ids(text)
    assert sides.ids(text) == expected
    if not any(token in text for token in SPECIAL):
        assert sides.transformers(text)["input_ids"] == [sides.number[CLS], *expected, sides.number[SEP]]


@real
@pytest.mark.shared
def test_every_text_of_the_corpus_has_gluonnlps_ids(sides: Sides, shared: Path) -> None:
    texts = [
        line
        for path in sorted((shared / "data" / "text").glob("*.txt"))
        for line in path.read_text("utf-8").split("\n")
    ]
    recorded = json.loads((shared / "data" / "roberta-bpe" / "expected_encodings.json").read_text("utf-8"))
    texts += [entry["text"] for entry in recorded]
    assert len(texts) > 5000
    encoded = sides.transformers(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    for text, ids in zip(texts, encoded, strict=True):
        assert ids == sides.gluon.ids(text), text


@uncased
def test_the_packages_own_tokenizer_gives_the_same_ids(sides: Sides, real_weights: Path) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415

    theirs = AutoTokenizer.from_pretrained(real_weights)
    for text in ("The White RABBIT looked at his watch.", "Café, naïve: 3½ [MASK]!", "日本の東京 don't", "", "x" * 100):
        assert sides.transformers(text)["input_ids"] == theirs(text)["input_ids"], text
        pair = sides.transformers(text, "and more"), theirs(text, "and more")
        assert dict(pair[0]) == dict(pair[1])


# Pairs, padding, truncation


def test_an_empty_text_is_the_two_special_tokens(sides: Sides) -> None:
    assert sides.gluon.ids("") == []
    assert sides.transformers("")["input_ids"] == [sides.number[CLS], sides.number[SEP]]


@pytest.mark.parametrize("texts", [["the old man"], ["the old man", "and the sea, the sea"]], ids=["one", "pair"])
def test_texts_have_gluonnlps_layout(sides: Sides, texts: list[str]) -> None:
    ids, types = sides.gluon.ask(texts=texts, length=LENGTH)
    encoded = sides.transformers(*texts)
    assert (encoded["input_ids"], encoded["token_type_ids"]) == (ids, types)
    assert set(types) == {0, len(texts) - 1}
    assert set(encoded) == {"input_ids", "token_type_ids", "attention_mask"}


@pytest.mark.parametrize("length", [3, 8, LENGTH])
def test_a_text_is_cut_as_by_gluonnlp(sides: Sides, length: int) -> None:
    text = "a A a . , " * LENGTH
    ids, types = sides.gluon.ask(texts=[text], length=length)
    encoded = sides.transformers(text, truncation=True, max_length=length)
    assert (encoded["input_ids"], encoded["token_type_ids"]) == (ids, types)
    assert sides.transformers.model_max_length == LENGTH
    assert len(sides.transformers(text, truncation=True)["input_ids"]) == LENGTH


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [("a , a , a , a ,", ". , . , . , . ,", 11), ("a ,", ". , . , . , . ,", 10), ("a , a , a , a ,", ".", 8)],
    ids=["both", "the second", "the first"],
)
def test_a_pair_is_cut_as_by_gluonnlp(sides: Sides, first: str, second: str, length: int) -> None:
    ids, types = sides.gluon.ask(texts=[first, second], length=length)
    encoded = sides.transformers(first, second, truncation=True, max_length=length)
    assert (encoded["input_ids"], encoded["token_type_ids"]) == (ids, types)
    assert len(ids) == length


def test_a_batch_is_padded_on_the_right_and_changes_nothing_later(sides: Sides) -> None:
    texts = ["a a a", "a", ""]
    plain = [sides.transformers(text)["input_ids"] for text in texts]
    batch = sides.transformers(texts, padding=True)
    longest = len(plain[0])
    assert batch["input_ids"] == [ids + [sides.number[PAD]] * (longest - len(ids)) for ids in plain]
    assert batch["attention_mask"] == [[1] * len(ids) + [0] * (longest - len(ids)) for ids in plain]
    assert [sides.transformers(text)["input_ids"] for text in texts] == plain


# Differences from GluonNLP, intended or made by the tokenizers library


@tiny
def test_characters_are_read_alike_except_those_newer_than_the_librarys_tables(sides: Sides) -> None:
    kinds = {chr(code): unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    characters = [char for char, kind in kinds.items() if kind not in {"Cs", "Cn", "Co"} and char != "|"]
    assert len(characters) > 140_000
    differing = set()
    for start in range(0, len(characters), 5000):
        part = characters[start : start + 5000]
        text = " | ".join(f"A{character}B" for character in part)
        theirs, ours = (" ".join(words).split(" | ") for words in (sides.gluon.ask(words=text), sides.words(text)))
        differing |= {char for char, expected, words in zip(part, theirs, ours, strict=True) if words != expected}
    gap = {chr(code) for code in GAP}
    assert gap <= differing
    newer = differing - gap
    assert 0 < len(newer) < 1500
    # Marks, punctuation and invisible characters; letters, digits and spaces are read alike.
    assert {kinds[character][0] for character in newer} <= {"M", "P", "C", "S"}
    assert {char for char in newer if unicodedata.ucd_3_2_0.category(char) != "Cn"} <= {*CHANGED}


@real
def test_an_unassigned_code_point_is_dropped_by_gluonnlp_alone(sides: Sides) -> None:
    assert sides.gluon.ask(words="a\u0378b") == ["ab"]
    assert sides.words("a\u0378b") == ["a\u0378b"]


@uncased
def test_a_capital_sigma_at_the_end_of_a_word_does_not_become_a_final_sigma(sides: Sides) -> None:
    word = "ΝΟΜΟΣ"
    assert sides.gluon.ask(words=word) == ["νομος"] == [word.lower()]
    assert sides.words(word) == ["νομοσ"]
    assert sides.ids(word) != sides.gluon.ids(word)
    assert sides.ids(word.lower()) == sides.gluon.ids(word), "lower-cased before, the word has the same ids"


def test_half_a_character_is_dropped_by_gluonnlp_and_refused_by_transformers(sides: Sides) -> None:
    assert sides.gluon.ids("a\ud800") == sides.gluon.ids("a")
    with pytest.raises((UnicodeEncodeError, TypeError)):
        sides.transformers("a\ud800")


@pytest.mark.parametrize("token", SPECIAL)
def test_a_special_token_in_a_text_is_one_token_or_ordinary_text_on_request(sides: Sides, token: str) -> None:
    text, the = f"the {token} the", sides.gluon.ids("the")
    cls, sep = sides.number[CLS], sides.number[SEP]
    assert sides.transformers(text)["input_ids"] == [cls, *the, sides.number[token], *the, sep]
    ordinary = [cls, *sides.gluon.ids(text), sep]
    assert sides.transformers(text, split_special_tokens=True)["input_ids"] == ordinary
    assert len(sides.gluon.ids(text)) > len(the) * 2 + 1


@real
@pytest.mark.parametrize(("length", "unknown"), [(100, False), (101, False), (200, False), (201, True)])
def test_a_word_is_too_long_by_gluonnlps_limit_and_not_by_berttokenizers(
    sides: Sides, length: int, *, unknown: bool
) -> None:
    from transformers import BertTokenizerFast  # noqa: PLC0415

    word = "x" * length
    assert sides.ids(word) == sides.gluon.ids(word)
    assert (sides.ids(word) == [sides.number[UNK]]) == unknown
    # BertTokenizer's limit is 100; a BERT trained with it has never seen the tokens of a longer word.
    theirs = BertTokenizerFast(str(sides.folder / "vocab.txt"), do_lower_case=sides.lower)
    assert (theirs.tokenize(word) == [UNK]) == (length > 100)


def test_an_odd_token_goes_to_the_second_text_and_by_gluonnlp_to_the_first(sides: Sides) -> None:
    texts = "a , a , a , a ,", ". , . , . , . ,"
    _, theirs = sides.gluon.ask(texts=texts, length=12)
    ours = sides.transformers(*texts, truncation=True, max_length=12)["token_type_ids"]
    assert [(types.count(0) - 2, types.count(1) - 1) for types in (theirs, ours)] == [(5, 4), (4, 5)]


def test_an_empty_second_text_does_not_count_unless_it_is_in_a_batch_or_a_space(sides: Sides) -> None:
    ids, _ = sides.gluon.ask(texts=["the", ""], length=LENGTH)
    assert ids == sides.gluon.ask(texts=["the", " "], length=LENGTH)[0] == [*ids[:-1], sides.number[SEP]]
    assert sides.transformers("the", "")["input_ids"] == ids
    assert sides.transformers([("the", "")])["input_ids"] == [[*ids, sides.number[SEP]]]
    assert sides.transformers("the", " ")["input_ids"] == [*ids, sides.number[SEP]]


# Loading


def test_the_tokenizer_loads_as_a_fast_one_of_the_right_size(sides: Sides) -> None:
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    assert type(sides.transformers) is PreTrainedTokenizerFast
    assert len(sides.transformers) == sides.limits.vocab_size
    assert sides.transformers.mask_token == MASK
    assert sides.transformers.pad_token_id == sides.number[PAD]


def test_saving_and_loading_keep_the_ids_and_the_files_made_from_them(sides: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415

    sides.transformers.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("The white [MASK] looked.", "É", "", "x" * 150):
        assert dict(again(text, text)) == dict(sides.transformers(text, text))
    rewritten = find_tokenizer("WordPiece", TokenizerOptions(tokenizer=tmp_path), sides.limits)
    assert rewritten is not None
    assert rewritten.files == {name: (sides.folder / name).read_text("utf-8") for name in rewritten.files}


@real
def test_berttokenizer_made_of_the_vocabulary_alone_gives_the_same_ids(sides: Sides) -> None:
    from transformers import BertTokenizerFast  # noqa: PLC0415

    theirs = BertTokenizerFast(str(sides.folder / "vocab.txt"), do_lower_case=sides.lower)
    for text in ("The White RABBIT looked at his watch.", "Café, naïve: 3½ [MASK]!", "日本の東京 don't"):
        assert sides.transformers(text)["input_ids"] == theirs(text)["input_ids"], text

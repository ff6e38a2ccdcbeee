"""What transformers makes of a WordPiece tokenizer that we wrote, against what GluonNLP makes of the same text."""

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
    """Both tokenizers made from one vocabulary that GluonNLP wrote, and the folder with the files that we wrote."""

    def __init__(self, gluon: Gluon, vocabulary: Path, folder: Path, *, lower: bool) -> None:
        self.gluon, self.vocabulary, self.folder, self.lower = gluon, vocabulary, folder, lower
        gluon.known = {"vocab": str(vocabulary), "lower": lower}
        self.room = ModelLimits(len(json.loads(vocabulary.read_text("utf-8"))["idx_to_token"]), LENGTH, types=2)
        self.transformers = self.load(folder)
        self.number = {token: self.transformers.convert_tokens_to_ids(token) for token in SPECIAL}

    def load(self, folder: Path) -> Any:  # noqa: ANN401 - transformers has no types
        from transformers import AutoTokenizer  # noqa: PLC0415

        tokenizer = find_tokenizer("WordPiece", TokenizerOptions(vocab=self.vocabulary), self.room)
        assert tokenizer is not None
        for name, text in {**tokenizer.files, "config.json": '{"model_type": "bert"}'}.items():
            (folder / name).write_text(text, "utf-8")
        return AutoTokenizer.from_pretrained(folder)

    def ids(self, text: str) -> list[int]:
        """The ids of a text by transformers, with no word taken for a special token."""
        return self.transformers(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]  # type: ignore[no-any-return]

    def words(self, text: str) -> list[str]:
        """The words of a text by transformers, before they are cut into pieces."""
        backend = self.transformers.backend_tokenizer
        normal = backend.normalizer.normalize_str(text)
        return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]


def capitalized(tokens: list[str]) -> list[str]:
    """A cased vocabulary: these tokens, their words with capital letters, and letters with accents."""
    words = {
        token.removeprefix("##") for token in tokens if token not in SPECIAL and token.removeprefix("##").isalpha()
    }
    more = [*sorted(word.capitalize() for word in words), *sorted(word.upper() for word in words), *"éÉüÜñäÄß"]
    return [*dict.fromkeys([*tokens, *more, *(f"##{word}" for word in more if len(word) == 1)])]


FORMS = ["tiny", "tiny-cased", "real", "real-cased"]


@pytest.fixture(scope="module")
def gluon() -> Iterator[Gluon]:
    made = Gluon("gluon_wordpiece.py")
    assert made.first.startswith("0.8.")
    yield made
    made.close()


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
def test_any_text_has_the_ids_that_gluonnlp_gives(sides: Sides, text: str) -> None:
    expected = sides.gluon.ids(text)
    assert sides.ids(text) == expected
    if not any(token in text for token in SPECIAL):
        assert sides.transformers(text)["input_ids"] == [sides.number[CLS], *expected, sides.number[SEP]]


@real
@pytest.mark.shared
def test_every_text_of_the_corpus_has_the_ids_that_gluonnlp_gives(sides: Sides, shared: Path) -> None:
    texts = [
        line
        for path in sorted((shared / "data" / "text").glob("*.txt"))
        for line in path.read_text("utf-8").split("\n")
    ]
    recorded = json.loads((shared / "data" / "roberta-bpe" / "expected_encodings.json").read_text("utf-8"))
    texts += [entry["text"] for entry in recorded]
    assert len(texts) > 5000
    found = sides.transformers(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    for text, ids in zip(texts, found, strict=True):
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


def test_no_text_at_all_is_the_two_special_tokens(sides: Sides) -> None:
    assert sides.gluon.ids("") == []
    assert sides.transformers("")["input_ids"] == [sides.number[CLS], sides.number[SEP]]


@pytest.mark.parametrize("texts", [["the old man"], ["the old man", "and the sea, the sea"]], ids=["one", "pair"])
def test_texts_are_laid_out_as_gluonnlp_does_it(sides: Sides, texts: list[str]) -> None:
    ids, types = sides.gluon.ask(texts=texts, length=LENGTH)
    found = sides.transformers(*texts)
    assert (found["input_ids"], found["token_type_ids"]) == (ids, types)
    assert set(types) == {0, len(texts) - 1}
    assert set(found) == {"input_ids", "token_type_ids", "attention_mask"}


@pytest.mark.parametrize("length", [3, 8, LENGTH])
def test_a_text_is_cut_as_gluonnlp_does_it(sides: Sides, length: int) -> None:
    text = "a A a . , " * LENGTH
    ids, types = sides.gluon.ask(texts=[text], length=length)
    found = sides.transformers(text, truncation=True, max_length=length)
    assert (found["input_ids"], found["token_type_ids"]) == (ids, types)
    assert sides.transformers.model_max_length == LENGTH
    assert len(sides.transformers(text, truncation=True)["input_ids"]) == LENGTH


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [("a , a , a , a ,", ". , . , . , . ,", 11), ("a ,", ". , . , . , . ,", 10), ("a , a , a , a ,", ".", 8)],
    ids=["both", "the second", "the first"],
)
def test_a_pair_is_cut_as_gluonnlp_does_it(sides: Sides, one: str, other: str, length: int) -> None:
    ids, types = sides.gluon.ask(texts=[one, other], length=length)
    found = sides.transformers(one, other, truncation=True, max_length=length)
    assert (found["input_ids"], found["token_type_ids"]) == (ids, types)
    assert len(ids) == length


def test_a_batch_is_padded_on_the_right_and_leaves_no_trace(sides: Sides) -> None:
    texts = ["a a a", "a", ""]
    plain = [sides.transformers(text)["input_ids"] for text in texts]
    batch = sides.transformers(texts, padding=True)
    longest = len(plain[0])
    assert batch["input_ids"] == [ids + [sides.number[PAD]] * (longest - len(ids)) for ids in plain]
    assert batch["attention_mask"] == [[1] * len(ids) + [0] * (longest - len(ids)) for ids in plain]
    assert [sides.transformers(text)["input_ids"] for text in texts] == plain


# What differs from GluonNLP, on purpose or by the tokenizers library


@tiny
def test_characters_are_read_alike_but_for_those_newer_than_the_librarys_tables(sides: Sides) -> None:
    kinds = {chr(code): unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    letters = [letter for letter, kind in kinds.items() if kind not in {"Cs", "Cn", "Co"} and letter != "|"]
    assert len(letters) > 140_000
    apart = set()
    for start in range(0, len(letters), 5000):
        part = letters[start : start + 5000]
        text = " | ".join(f"A{letter}B" for letter in part)
        one, other = (" ".join(words).split(" | ") for words in (sides.gluon.ask(words=text), sides.words(text)))
        apart |= {letter for letter, first, second in zip(part, one, other, strict=True) if first != second}
    gap = {chr(code) for code in GAP}
    assert gap <= apart
    newer = apart - gap
    assert 0 < len(newer) < 1500
    # Marks, punctuation and invisible characters; letters, digits and spaces are read alike.
    assert {kinds[letter][0] for letter in newer} <= {"M", "P", "C", "S"}
    assert {letter for letter in newer if unicodedata.ucd_3_2_0.category(letter) != "Cn"} <= {*CHANGED}


@real
def test_what_is_no_character_yet_is_left_out_by_gluonnlp_alone(sides: Sides) -> None:
    assert sides.gluon.ask(words="a\u0378b") == ["ab"]
    assert sides.words("a\u0378b") == ["a\u0378b"]


@uncased
def test_a_capital_sigma_at_the_end_of_a_word_is_not_lower_cased_to_a_final_one(sides: Sides) -> None:
    word = "ΝΟΜΟΣ"
    assert sides.gluon.ask(words=word) == ["νομος"] == [word.lower()]
    assert sides.words(word) == ["νομοσ"]
    assert sides.ids(word) != sides.gluon.ids(word)
    assert sides.ids(word.lower()) == sides.gluon.ids(word), "lower-cased before, it is the same"


def test_half_a_character_is_left_out_by_gluonnlp_and_refused_by_transformers(sides: Sides) -> None:
    assert sides.gluon.ids("a\ud800") == sides.gluon.ids("a")
    with pytest.raises((UnicodeEncodeError, TypeError)):
        sides.transformers("a\ud800")


@pytest.mark.parametrize("token", SPECIAL)
def test_a_special_token_in_the_text_is_one_token_and_ordinary_text_where_asked(sides: Sides, token: str) -> None:
    text, the = f"the {token} the", sides.gluon.ids("the")
    begin, end = sides.number[CLS], sides.number[SEP]
    assert sides.transformers(text)["input_ids"] == [begin, *the, sides.number[token], *the, end]
    ordinary = [begin, *sides.gluon.ids(text), end]
    assert sides.transformers(text, split_special_tokens=True)["input_ids"] == ordinary
    assert len(sides.gluon.ids(text)) > len(the) * 2 + 1


@real
@pytest.mark.parametrize(("length", "unknown"), [(100, False), (101, False), (200, False), (201, True)])
def test_a_word_is_too_long_where_gluonnlp_says_so_and_not_where_berttokenizer_does(
    sides: Sides, length: int, *, unknown: bool
) -> None:
    from transformers import BertTokenizerFast  # noqa: PLC0415

    word = "x" * length
    assert sides.ids(word) == sides.gluon.ids(word)
    assert (sides.ids(word) == [sides.number[UNK]]) == unknown
    # Its limit is 100, and a BERT that was trained with it has never seen the pieces of a longer word.
    theirs = BertTokenizerFast(str(sides.folder / "vocab.txt"), do_lower_case=sides.lower)
    assert (theirs.tokenize(word) == [UNK]) == (length > 100)


def test_an_odd_place_goes_to_the_second_of_two_texts_and_gluonnlp_gives_it_to_the_first(sides: Sides) -> None:
    one, other = "a , a , a , a ,", ". , . , . , . ,"
    _, first = sides.gluon.ask(texts=[one, other], length=12)
    second = sides.transformers(one, other, truncation=True, max_length=12)["token_type_ids"]
    assert [(types.count(0) - 2, types.count(1) - 1) for types in (first, second)] == [(5, 4), (4, 5)]


def test_an_empty_second_text_is_none_unless_it_stands_in_a_batch_or_holds_a_space(sides: Sides) -> None:
    ids, _ = sides.gluon.ask(texts=["the", ""], length=LENGTH)
    assert ids == sides.gluon.ask(texts=["the", " "], length=LENGTH)[0] == [*ids[:-1], sides.number[SEP]]
    assert sides.transformers("the", "")["input_ids"] == ids
    assert sides.transformers([("the", "")])["input_ids"] == [[*ids, sides.number[SEP]]]
    assert sides.transformers("the", " ")["input_ids"] == [*ids, sides.number[SEP]]


# Loading


def test_it_loads_as_a_fast_tokenizer_of_the_right_size(sides: Sides) -> None:
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    assert type(sides.transformers) is PreTrainedTokenizerFast
    assert len(sides.transformers) == sides.room.size
    assert sides.transformers.mask_token == MASK
    assert sides.transformers.pad_token_id == sides.number[PAD]


def test_saving_and_loading_keep_the_ids_and_the_files_that_we_make_of_them(sides: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415

    sides.transformers.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("The white [MASK] looked.", "É", "", "x" * 150):
        assert dict(again(text, text)) == dict(sides.transformers(text, text))
    made = find_tokenizer("WordPiece", TokenizerOptions(tokenizer=tmp_path), sides.room)
    assert made is not None
    assert made.files == {name: (sides.folder / name).read_text("utf-8") for name in made.files}


@real
def test_the_vocabulary_alone_is_berts(sides: Sides) -> None:
    from transformers import BertTokenizerFast  # noqa: PLC0415

    theirs = BertTokenizerFast(str(sides.folder / "vocab.txt"), do_lower_case=sides.lower)
    for text in ("The White RABBIT looked at his watch.", "Café, naïve: 3½ [MASK]!", "日本の東京 don't"):
        assert sides.transformers(text)["input_ids"] == theirs(text)["input_ids"], text

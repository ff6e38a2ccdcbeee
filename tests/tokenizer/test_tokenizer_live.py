"""Compare RoBERTa's and Bort's tokenizer in transformers, loaded from our files, with GluonNLP's."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gluon_client import Gluon
from hypothesis import HealthCheck, given, settings
from texts import SPECIAL, TEXTS

from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer, gluon_files

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

MUNICH = "Schloß Nymphenburg in Munich is really nice!"
MUNICH_IDS = [0, 18077, 4082, 7804, 8606, 6195, 2457, 3321, 11, 10489, 16, 269, 2579, 328, 2]
FORMS = {"full": (50265, 512), "tiny": (120, 24)}


class Sides:
    """GluonNLP's tokenizer, and transformers' in the folder with our files, both made from the same two files."""

    def __init__(self, vocabulary: Path, ranks: Path, folder: Path, form: str) -> None:
        size, max_length = FORMS[form]
        self.folder, self.max_length, self.limits = folder, max_length, ModelLimits(size, max_length)
        self.gluon = Gluon("gluon_tokenizer.py", vocabulary, ranks)
        self.files = {"vocab": vocabulary, "bpe_ranks": ranks}
        self.transformers = self.load(folder / "one")

    def load(self, folder: Path, **options: bool) -> Any:  # noqa: ANN401 - transformers has no types
        from transformers import AutoTokenizer  # noqa: PLC0415

        tokenizer = find_tokenizer("Bort", TokenizerOptions(**self.files, **options), self.limits)
        assert tokenizer is not None
        folder.mkdir()
        for name, text in {**tokenizer.files, "config.json": '{"model_type": "bert"}'}.items():
            (folder / name).write_text(text, "utf-8")
        return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module", params=["tiny", pytest.param("full", marks=pytest.mark.shared)])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    form, folder = request.param, tmp_path_factory.mktemp("tokenizer")
    if form == "tiny":
        here = request.getfixturevalue("fixtures")
        both = Sides(here / "tiny.vocab", here / "tiny_ranks.txt", folder, form)
    else:
        here = request.getfixturevalue("shared") / "data" / "roberta-bpe" / "gluonnlp"
        both = Sides(here / gluon_files.VOCABULARY.name, here / gluon_files.RANKS.name, folder, form)
    yield both
    both.gluon.close()


full = pytest.mark.parametrize("sides", [pytest.param("full", marks=pytest.mark.shared)], indirect=True)
tiny = pytest.mark.parametrize("sides", ["tiny"], indirect=True)


@given(text=TEXTS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_gluonnlps_ids(sides: Sides, text: str) -> None:
    expected = [0, *sides.gluon.ids(text), 2]
    assert sides.transformers(text, split_special_tokens=True)["input_ids"] == expected
    if not any(token in text for token in SPECIAL):
        assert sides.transformers(text)["input_ids"] == expected


@full
@given(text=TEXTS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_decoding_gives_the_text_back(sides: Sides, text: str) -> None:
    ids = sides.transformers(text, split_special_tokens=True)["input_ids"]
    assert sides.transformers.decode(ids, skip_special_tokens=True) == text
    assert sides.transformers.decode(ids) == f"<s>{text}</s>"


def test_an_empty_text_is_the_two_special_tokens(sides: Sides) -> None:
    assert sides.gluon.ids("") == []
    assert sides.transformers("")["input_ids"] == [0, 2]


def test_half_a_character_is_refused_by_both(sides: Sides) -> None:
    assert sides.gluon.ids("a\ud800") == "UnicodeEncodeError"
    with pytest.raises((UnicodeEncodeError, TypeError)):
        sides.transformers("a\ud800")


@tiny
def test_each_byte_without_a_token_becomes_an_unknown_token(sides: Sides) -> None:
    assert sides.transformers("ß\n👋")["input_ids"] == [0, 3, 3, 3, 3, 3, 3, 3, 2] == [0, *sides.gluon.ids("ß\n👋"), 2]


@tiny
def test_both_split_words_at_the_same_characters(sides: Sides) -> None:
    kinds = {chr(code): unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    characters = [character for character, kind in kinds.items() if kind not in {"Cs", "Cn", "Co"}]
    assert len(characters) > 140_000
    for start in range(0, len(characters), 4000):
        text = "".join(f"a{character}1{character}-" for character in characters[start : start + 4000])
        words = sides.transformers.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        assert [text[begin:end] for _, (begin, end) in words] == sides.gluon.ask(words=text)


# The published vocabulary


@full
def test_the_recorded_texts_have_their_recorded_ids(sides: Sides, shared: Path) -> None:
    path = shared / "data" / "roberta-bpe" / "expected_encodings.json"
    recorded = {entry["text"]: entry["ids"] for entry in json.loads(path.read_text("utf-8"))}
    assert len(recorded) == 99
    assert sides.transformers(list(recorded))["input_ids"] == list(recorded.values())
    assert [[0, *sides.gluon.ids(text), 2] for text in recorded] == list(recorded.values())
    assert sides.transformers.batch_decode(list(recorded.values()), skip_special_tokens=True) == list(recorded)


@full
def test_the_ids_of_the_published_example_are_those_of_its_integration_test(sides: Sides) -> None:
    assert sides.transformers(MUNICH)["input_ids"] == MUNICH_IDS


@full
def test_no_space_is_added_before_the_first_word(sides: Sides) -> None:
    plain, spaced = (sides.transformers(text)["input_ids"] for text in ("Munich", " Munich"))
    assert plain == [0, *sides.gluon.ids("Munich"), 2]
    assert spaced == [0, 10489, 2]
    assert plain != spaced


# Pairs, padding, truncation


@pytest.mark.parametrize(("roberta_pairs", "between"), [(False, [2]), (True, [2, 2])])
def test_a_pair_has_the_layout_of_bort_or_of_roberta(
    sides: Sides, tmp_path: Path, between: list[int], *, roberta_pairs: bool
) -> None:
    tokenizer = sides.load(tmp_path / "out", roberta_pairs=roberta_pairs)
    first, second = ("the old man", "and the sea")
    expected = [0, *sides.gluon.ids(first), *between, *sides.gluon.ids(second), 2]
    assert tokenizer(first, second)["input_ids"] == expected
    assert set(tokenizer(first, second, return_token_type_ids=True)["token_type_ids"]) == {0}
    assert tokenizer(first)["input_ids"] == [0, *sides.gluon.ids(first), 2]


@full
def test_roberta_pairs_are_those_of_robertas_own_tokenizer(sides: Sides, shared: Path, tmp_path: Path) -> None:
    ours, theirs = sides.load(tmp_path / "out", roberta_pairs=True), roberta(shared / "data/roberta-bpe/roberta-base")
    assert ours("the old man", " and the sea")["input_ids"] == theirs("the old man", " and the sea")["input_ids"]
    assert sides.transformers("the old man", " and")["input_ids"] != theirs("the old man", " and")["input_ids"]


def test_a_batch_is_padded_on_the_right_and_changes_nothing_later(sides: Sides) -> None:
    texts = ["the man", "the", ""]
    plain = [sides.transformers(text)["input_ids"] for text in texts]
    batch = sides.transformers(texts, padding=True)
    longest = len(plain[0])
    assert batch["input_ids"] == [ids + [1] * (longest - len(ids)) for ids in plain]
    assert batch["attention_mask"] == [[1] * len(ids) + [0] * (longest - len(ids)) for ids in plain]
    assert set(batch) == {"input_ids", "attention_mask"}
    assert [sides.transformers(text)["input_ids"] for text in texts] == plain


def test_a_text_is_cut_on_the_right_to_the_models_length(sides: Sides) -> None:
    assert sides.transformers.model_max_length == sides.max_length
    ids = sides.gluon.ids("the " * sides.max_length)
    cut = sides.transformers("the " * sides.max_length, truncation=True)["input_ids"]
    assert cut == [0, *ids[: sides.max_length - 2], 2]


@pytest.mark.parametrize(
    ("more", "tokens", "first_tokens", "second_tokens"),
    [("", 8, 4, 4), ("", 9, 4, 5), (" p q", 9, 5, 4)],
    ids=["even", "odd", "longer"],
)
def test_a_pair_is_cut_to_equal_lengths_and_an_odd_token_goes_to_the_longer_or_the_second_text(
    sides: Sides, more: str, tokens: int, first_tokens: int, second_tokens: int
) -> None:
    """Bort's scripts give the odd token to the first text."""
    first, second = f"c d f g h j k l m n{more}", "n m l k j h g f d c"
    ids = sides.transformers(first, second, truncation=True, max_length=tokens + 3)["input_ids"]
    assert ids == [0, *sides.gluon.ids(first)[:first_tokens], 2, *sides.gluon.ids(second)[:second_tokens], 2]


# Intended differences from GluonNLP


@pytest.mark.parametrize("token", SPECIAL)
def test_a_special_token_in_a_text_is_one_token_or_ordinary_text_on_request(sides: Sides, token: str) -> None:
    text = f"the{token}and"
    number = sides.transformers.convert_tokens_to_ids(token)
    assert sides.transformers(text)["input_ids"] == [0, *sides.gluon.ids("the"), number, *sides.gluon.ids("and"), 2]
    assert sides.transformers(text, split_special_tokens=True)["input_ids"] == [0, *sides.gluon.ids(text), 2]
    assert number not in sides.gluon.ids(text)


def test_an_empty_second_text_does_not_count_unless_the_pair_is_in_a_batch(sides: Sides) -> None:
    ids = sides.gluon.ids("the")
    assert sides.transformers("the", "")["input_ids"] == [0, *ids, 2]
    assert sides.transformers([("the", "")])["input_ids"] == [[0, *ids, 2, 2]]


@pytest.mark.parametrize("token", SPECIAL)
def test_decoding_drops_special_tokens_only_on_request(sides: Sides, token: str) -> None:
    ids = sides.transformers(f"the{token}and")["input_ids"]
    assert sides.transformers.decode(ids, skip_special_tokens=True) == "theand"
    assert sides.transformers.decode(ids) == f"<s>the{token}and</s>"


def test_a_mask_swallows_the_space_before_it(sides: Sides) -> None:
    ids = sides.transformers("the <mask> and")["input_ids"]
    assert ids == [0, *sides.gluon.ids("the"), sides.transformers.mask_token_id, *sides.gluon.ids(" and"), 2]
    assert sides.transformers.decode(ids) == "<s>the<mask> and</s>"


@full
def test_a_mask_is_read_as_robertas_own_tokenizer_reads_it(sides: Sides, shared: Path) -> None:
    theirs = roberta(shared / "data" / "roberta-bpe" / "roberta-base")
    for text in ("Paris is the <mask> of France.", "<mask> is the capital", "a<mask>b", "a  <mask>  b", "<s> a </s>"):
        assert sides.transformers(text)["input_ids"] == theirs(text)["input_ids"], text


# Loading


def roberta(folder: Path) -> Any:  # noqa: ANN401
    """Load RoBERTa's own tokenizer, with the mask of its published files, which transformers 5 does not make."""
    from transformers import AddedToken, RobertaTokenizer  # noqa: PLC0415

    return RobertaTokenizer.from_pretrained(folder, mask_token=AddedToken("<mask>", lstrip=True, special=True))


def test_the_tokenizer_loads_as_a_fast_one(sides: Sides) -> None:
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    assert type(sides.transformers) is PreTrainedTokenizerFast
    assert sides.transformers.is_fast
    assert len(sides.transformers) == sides.limits.vocab_size
    assert not sides.transformers.clean_up_tokenization_spaces


def test_saving_and_loading_keep_the_ids(sides: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415

    sides.transformers.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in (MUNICH, "the <mask> and", "<s>", "  don't ", ""):
        assert again(text)["input_ids"] == sides.transformers(text)["input_ids"]
        assert again(text, text)["input_ids"] == sides.transformers(text, text)["input_ids"]
    assert again.special_tokens_map == sides.transformers.special_tokens_map
    assert again.model_max_length == sides.max_length


def test_a_tokenizer_made_of_files_that_transformers_saved_has_the_same_files(sides: Sides, tmp_path: Path) -> None:
    sides.transformers.save_pretrained(tmp_path)
    again = find_tokenizer("Bort", TokenizerOptions(tokenizer=tmp_path), sides.limits)
    assert again is not None
    assert again.files == {name: (sides.folder / "one" / name).read_text("utf-8") for name in again.files}


def test_tokenizer_json_alone_is_enough_for_the_tokenizers_library(sides: Sides) -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    plain = Tokenizer.from_file(os.fspath(sides.folder / "one" / "tokenizer.json"))
    for text in (MUNICH, "the <mask> and", "  don't "):
        assert plain.encode(text).ids == sides.transformers(text)["input_ids"]
        assert plain.encode(text, text).ids == sides.transformers(text, text)["input_ids"]
    assert set(plain.encode("a", "b").type_ids) == {0}


def test_the_vocabulary_and_the_merges_alone_are_robertas(sides: Sides, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((sides.folder / "one" / name).read_bytes())
    theirs = roberta(tmp_path)
    for text in (" the man and the sea", "the <mask> and", "  don't ", ""):
        assert theirs(text)["input_ids"] == sides.transformers(text)["input_ids"]


# GluonNLP itself


@tiny
def test_the_published_files_are_those_that_gluonnlp_downloads(sides: Sides) -> None:
    assert sides.gluon.first["ranks"] == [gluon_files.RANKS.name, gluon_files.RANKS.sha1]
    dataset = gluon_files.VOCABULARY.name.partition("-")[0]
    assert sides.gluon.first["vocabularies"][dataset] == gluon_files.VOCABULARY.sha1
    assert f"{dataset}-{gluon_files.VOCABULARY.sha1[:8]}.vocab" == gluon_files.VOCABULARY.name


@tiny
def test_the_model_cache_is_where_gluonnlp_has_it(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = [None, "/somewhere", "~/elsewhere", "relative", ""]
    for home, expected in zip(homes, sides.gluon.ask(homes=homes), strict=True):
        monkeypatch.delenv("MXNET_HOME", raising=False)
        if home is not None:
            monkeypatch.setenv("MXNET_HOME", home)
        assert gluon_files.model_cache() == Path(expected) / "models"

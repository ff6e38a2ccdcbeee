"""Compare a SentencePiece tokenizer in transformers, loaded from our files, with GluonNLP's."""

from __future__ import annotations

import importlib.util
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from conftest import unavailable
from gluon_client import Gluon
from hypothesis import HealthCheck, example, given, settings
from texts import BERT_SPECIAL, BERT_TEXTS, CHANGED, CLS, GAP, MASK, PAD, SEP, UNK

from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

LENGTH = 24
KOREAN = [
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
]
# The first pieces and the rules are KoBERT's.
TRAINER = {
    "unk_id": 0,
    "unk_piece": UNK,
    "pad_id": -1,
    "bos_id": -1,
    "eos_id": -1,
    "num_threads": 1,
    "minloglevel": 2,
    "character_coverage": 0.999,
}


class Sides:
    """GluonNLP with a model that it trained, and transformers with our files for it, cased and lower-cased."""

    def __init__(self, folder: Path, lines: list[str], rules: str, symbols: str, size: int, **trainer: float) -> None:
        self.folder, self.model = folder, folder / "x.spiece"
        self.gluon = Gluon("gluon_sentencepiece.py", str(self.model))
        special = {symbols: [PAD, CLS, SEP, MASK, "<x>"]}
        self.pieces = self.gluon.ask(
            lines=lines, vocab_size=size, normalization_rule_name=rules, **TRAINER | trainer, **special
        )
        self.transformers = {lower: self.load(lower=lower) for lower in (False, True)}
        self.number = {token: self.pieces.index(token) for token in BERT_SPECIAL}

    def load(self, *, lower: bool) -> Any:  # noqa: ANN401 - transformers has no types
        from transformers import AutoTokenizer  # noqa: PLC0415

        limits = ModelLimits(len(self.pieces), LENGTH, token_types=2)
        tokenizer = find_tokenizer("WordPiece", TokenizerOptions(vocab=self.model, lower_case=lower), limits)
        assert tokenizer is not None
        folder = self.folder / str(lower)
        folder.mkdir()
        for name, text in {**tokenizer.files, "config.json": '{"model_type": "bert"}'}.items():
            (folder / name).write_text(text, "utf-8")
        return AutoTokenizer.from_pretrained(folder)

    def ids(self, *texts: str, lower: bool) -> list[list[int]]:
        """Encode each text by transformers, special tokens in it as ordinary text."""
        encoded = self.transformers[lower](list(texts), split_special_tokens=True, add_special_tokens=False)
        return encoded["input_ids"]  # type: ignore[no-any-return]

    def normalized(self, text: str) -> str:
        """Normalize a cased text by transformers."""
        return self.transformers[False].backend_tokenizer.normalizer.normalize_str(text)  # type: ignore[no-any-return]

    def expected(self, *texts: str, lower: bool) -> list[list[int]]:
        """Encode each text by GluonNLP."""
        return self.gluon.ask(each=texts, lower=lower)  # type: ignore[no-any-return]


@pytest.fixture(scope="module", params=["nmt_nfkc", "identity", pytest.param("korean", marks=pytest.mark.shared)])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    if importlib.util.find_spec("sentencepiece") is None:
        unavailable("needs sentencepiece: pip install '.[dev]'")
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "korean":
        here = request.getfixturevalue("shared") / "data" / "text"
        names = ("kor", "eng", "deu_1996", "fra", "rus", "jpn", "hin")
        lines = [line for name in names for line in (here / f"udhr_{name}.txt").read_text("utf-8").split("\n")]
        both = Sides(folder, lines, "nmt_nfkc", "user_defined_symbols", 2000)
    else:
        book = request.getfixturevalue("fixtures") / "little_bort" / "text.txt"
        lines = [*book.read_text("utf-8").split("\n")[:400], *KOREAN * 4]
        both = Sides(folder, lines, request.param, "control_symbols", 500)
    yield both
    both.gluon.close()


tables = pytest.mark.parametrize("sides", ["nmt_nfkc"], indirect=True)
korean = pytest.mark.parametrize("sides", [pytest.param("korean", marks=pytest.mark.shared)], indirect=True)
either = pytest.mark.parametrize("lower", [False, True], ids=["cased", "lower"])


@either
@given(text=BERT_TEXTS)
@example(text="㈜한국 ½ … ﷺ ℃ don't")
@example(text="\uff01\uff1f")  # a normalizer of the library can panic on leading punctuation
@example(text="▁▁the▁ ▁ ▁'▁")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_gluonnlps_ids(sides: Sides, text: str, *, lower: bool) -> None:
    (expected,) = sides.expected(text, lower=lower)
    assert sides.ids(text, lower=lower) == [expected]
    if not any(token in text for token in BERT_SPECIAL):
        special = sides.transformers[lower](text)["input_ids"]
        assert special == [sides.number[CLS], *expected, sides.number[SEP]]


@korean
@either
def test_every_text_of_the_corpus_has_gluonnlps_ids(sides: Sides, shared: Path, *, lower: bool) -> None:
    texts = [
        line
        for path in sorted((shared / "data" / "text").glob("*.txt"))
        for line in path.read_text("utf-8").split("\n")
    ]
    assert len(texts) > 5000
    for text, ids, expected in zip(
        texts, sides.ids(*texts, lower=lower), sides.expected(*texts, lower=lower), strict=True
    ):
        assert ids == expected, text


@tables
@either
def test_characters_are_read_alike_except_those_newer_than_the_librarys_tables(sides: Sides, *, lower: bool) -> None:
    kinds = {chr(code): unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)}
    characters = [character for character, kind in kinds.items() if kind not in {"Cs", "Cn", "Co"}]
    assert len(characters) > 140_000

    def differ(texts: list[str]) -> list[bool]:
        both = zip(sides.ids(*texts, lower=lower), sides.expected(*texts, lower=lower), strict=True)
        return [ids != expected for ids, expected in both]

    rows = [characters[start : start + 50] for start in range(0, len(characters), 50)]
    rows_differ = differ([" ".join(map("a{}b".format, row)) for row in rows])
    suspects = [character for row, differs in zip(rows, rows_differ, strict=True) if differs for character in row]
    suspects_differ = differ([f"a{character}b" for character in suspects])
    differing = {character for character, differs in zip(suspects, suspects_differ, strict=True) if differs}
    gap = {chr(code) for code in GAP}
    assert gap <= differing
    newer = differing - gap - set(CHANGED)
    assert all(unicodedata.ucd_3_2_0.category(character) == "Cn" for character in newer)
    assert len(newer) < 1500


def test_the_ids_are_the_models(sides: Sides) -> None:
    tokenizer = sides.transformers[False]
    assert tokenizer.convert_ids_to_tokens(range(len(sides.pieces))) == sides.pieces
    assert len(tokenizer) == len(sides.pieces)
    roles = {"unk_token": UNK, "pad_token": PAD, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
    assert tokenizer.special_tokens_map == roles


def test_unknown_characters_in_a_row_are_one_unknown_token_in_both(sides: Sides) -> None:
    (ids,) = sides.expected("aღღღb ღ", lower=False)
    assert ids.count(sides.number[UNK]) == 2
    assert sides.ids("aღღღb ღ", lower=False) == [ids]


@pytest.mark.parametrize("texts", [["The old man"], ["The old man", "and the sea"], ["the", ""]])
@pytest.mark.parametrize("length", [12, LENGTH])
def test_texts_have_gluonnlps_layout_and_are_cut_as_by_gluonnlp(sides: Sides, texts: list[str], length: int) -> None:
    ids, types = sides.gluon.ask(texts=texts, length=length, lower=False)
    encoded = sides.transformers[False](*texts, truncation=True, max_length=length)
    assert len(ids) == len(encoded["input_ids"])
    if len(ids) < length or len(texts) == 1:
        assert (encoded["input_ids"], encoded["token_type_ids"]) == (ids, types)
    assert sides.transformers[False].model_max_length == LENGTH


def test_saving_and_loading_keep_the_ids(sides: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = sides.transformers[False]
    assert type(tokenizer) is PreTrainedTokenizerFast
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the [MASK] said: 인간은", ""):
        assert dict(again(text, text)) == dict(tokenizer(text, text))


def test_decoding_gives_words_with_spaces_between_them(sides: Sides) -> None:
    ids = sides.ids("the old man", lower=False)[0]
    assert sides.transformers[False].decode(ids) == "the old man"


# Differences from GluonNLP


@pytest.mark.parametrize("token", BERT_SPECIAL)
def test_a_special_token_in_a_text_is_one_token_or_ordinary_text_on_request(sides: Sides, token: str) -> None:
    text = f"the {token} the"
    (the,), (ordinary,) = sides.expected("the", lower=False), sides.expected(text, lower=False)
    ids = sides.transformers[False](text, add_special_tokens=False)["input_ids"]
    assert ids == [*the, sides.number[token], *the]
    assert sides.ids(text, lower=False) == [ordinary]
    assert sides.number[token] not in ordinary or token == UNK


DECOMPOSED = [unicodedata.normalize("NFD", text) for text in ("인간은", "が")]


@tables
@either
@pytest.mark.parametrize("text", DECOMPOSED)
def test_long_decomposed_characters_are_composed_by_both(sides: Sides, text: str, *, lower: bool) -> None:
    whole = unicodedata.normalize("NFC", text)
    (expected,) = sides.expected(text, lower=lower)
    assert sides.ids(text, whole, lower=lower) == [expected, expected]
    assert sides.normalized(text) == sides.normalized(whole)


def composable_pairs() -> list[str]:
    """Every two characters that are one when they are composed: by the standard, as jamo, or in half width."""
    halves = [unicodedata.decomposition(chr(number)).split() for number in range(sys.maxunicode + 1)]
    canonical = [
        "".join(chr(int(part, 16)) for part in pair) for pair in halves if len(pair) == 2 and "<" not in pair[0]
    ]
    kana = [chr(kana) + mark for kana in range(0xFF66, 0xFF9E) for mark in "\uff9e\uff9f"]
    jamo = [chr(lead) + chr(vowel) for lead in range(0x1100, 0x1113) for vowel in range(0x1161, 0x1176)]
    narrow = [chr(lead) + chr(vowel) for lead in range(0xFFA1, 0xFFBF) for vowel in range(0xFFC2, 0xFFDD)]
    whole = [pair for pair in narrow if len(unicodedata.normalize("NFKC", pair)) == 1]
    return [*(pair for pair in canonical if len(pair) == 2), *kana, *jamo, *whole]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sides, list[str]]]:
    """A model that has a piece for every character that the pairs become."""
    if importlib.util.find_spec("sentencepiece") is None:
        unavailable("needs sentencepiece: pip install '.[dev]'")
    texts = composable_pairs()
    lines = [" ".join(texts[start : start + 20]) for start in range(0, len(texts), 20)] * 2
    folder = tmp_path_factory.mktemp("pairs")
    both = Sides(folder, lines, "nmt_nfkc", "control_symbols", 3000, character_coverage=1.0, hard_vocab_limit=False)
    yield both, texts
    both.gluon.close()


@either
def test_characters_that_compose_have_gluonnlps_ids(pairs: tuple[Sides, list[str]], *, lower: bool) -> None:
    sides, texts = pairs
    assert len(texts) > 1900
    expected, ids = sides.expected(*texts, lower=lower), sides.ids(*texts, lower=lower)
    differing = [text for text, one, other in zip(texts, expected, ids, strict=True) if one != other]
    assert differing == ["\U00011935\U00011930"], "the only one that Unicode 13 added"


@either
@pytest.mark.parametrize(
    "text",
    [
        "\uff77\uff9e\uff9d\uff76\uff9e\uff78",  # half-width katakana with voice marks
        "\uff8a\uff9f\uff8b\uff9f \uff73\uff9e",
        "\u30ad\uff9e\u304b\u3099\u30cf\u309a",  # full width with a half-width mark, or with a combining one
        "\u1100\u1161\u11a8\u1103\u1161",  # jamo, with and without a last consonant
        "a\uff9e \u00c2\u0300\u0323 \u1ea4\u0301",  # accents that the table leaves alone
        "\ue000\uff77\ue000\uff9e",  # private use, which GluonNLP removes
    ],
)
def test_kana_and_hangul_in_parts_have_gluonnlps_ids(pairs: tuple[Sides, list[str]], text: str, *, lower: bool) -> None:
    sides, _ = pairs
    assert sides.ids(text, lower=lower) == sides.expected(text, lower=lower)


@tables
def test_short_decomposed_characters_are_composed_by_both(sides: Sides) -> None:
    for character in "éüñőЙ":
        text = unicodedata.normalize("NFD", character)
        assert len(text) == 2
        assert sides.ids(text, lower=False) == sides.expected(text, lower=False) == sides.ids(character, lower=False)


@tables
def test_an_accent_on_a_character_that_is_replaced_is_kept(sides: Sides) -> None:
    (expected,) = sides.expected("㎏\u0301", lower=False)
    assert sides.ids("㎏\u0301", lower=False) == [expected]
    assert expected[-1] == sides.number[UNK]


@tables
def test_a_special_piece_that_normalizing_creates_is_found_by_the_library_alone(sides: Sides) -> None:
    number = sides.pieces.index("<x>")
    text = "\uff1cx\uff1e"  # full-width brackets
    (ids,), (expected,) = sides.ids(text, lower=False), sides.expected(text, lower=False)
    assert number in ids
    assert number not in expected

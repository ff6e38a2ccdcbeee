"""Compare SentencePiece tokenizers of whole texts in transformers, loaded from our files, with the originals.

KoGPT2's and XLNet's with GluonNLP's own; every kind of model with sentencepiece itself.
"""

from __future__ import annotations

import importlib.util
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from conftest import unavailable
from gluon_client import Gluon
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sentencepiece_training import KOGPT2, NUMBERS, XLNET, all_texts, corpus, train
from texts import BERT_FRAGMENTS, CHARACTERS, FRAGMENTS

from bort_convert.errors import FormatError
from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]

OWN = ["▁", "▁▁", " ▁ ", "<usr>", "<unused0>", "<eop>", "<cls>", "1,", "2,000", "``", "''", "–", ".", "€"]  # noqa: RUF001
TEXTS = st.lists(st.sampled_from([*FRAGMENTS, *BERT_FRAGMENTS, *OWN]) | st.text(CHARACTERS, max_size=8), max_size=12)
ANY_TEXT = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(folder: Path, model: bytes, kind: str, model_type: str) -> Any:  # noqa: ANN401 - transformers has no types
    """Write our files for a model, and load them with transformers."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    (folder / "x.spiece").write_bytes(model)
    import sentencepiece  # noqa: PLC0415

    size = len(sentencepiece.SentencePieceProcessor(model_proto=model))
    tokenizer = find_tokenizer(kind, TokenizerOptions(vocab=folder / "x.spiece"), ModelLimits(size, None, 2))
    assert tokenizer is not None
    for name, text in {**tokenizer.files, "config.json": f'{{"model_type": "{model_type}"}}'}.items():
        (folder / name).write_text(text, "utf-8")
    return AutoTokenizer.from_pretrained(folder)


def ids_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:  # noqa: ANN401
    encoded = tokenizer(list(texts), split_special_tokens=True, add_special_tokens=False, verbose=False)
    return encoded["input_ids"]  # type: ignore[no-any-return]


class Sides:
    """GluonNLP with a model, and transformers with our files for it."""

    def __init__(self, folder: Path, model: bytes, kind: str, model_type: str, job: str) -> None:
        self.transformers = load(folder, model, kind, model_type)
        self.gluon = Gluon("gluon_texts.py", str(folder / "x.spiece"), job)

    def expected(self, *texts: str) -> list[list[int]]:
        return self.gluon.ask(each=texts)  # type: ignore[no-any-return]


def sides(folder: Path, shared: Path, name: str) -> Sides:
    if importlib.util.find_spec("sentencepiece") is None:
        unavailable("needs sentencepiece: pip install '.[dev]'")
    lines = corpus(shared)
    if name == "xlnet":
        return Sides(folder, train(lines, **XLNET), "XLNet", "xlnet", "xlnet")
    form = {"model_type": "bpe"} if name == "kogpt2, BPE" else {}
    return Sides(folder, train(lines, **KOGPT2, **form), "GPT-2", "gpt2", "sentencepiece-gpt2")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.shared) for name in ("kogpt2", "kogpt2, BPE", "xlnet")]
)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    made = sides(tmp_path_factory.mktemp("model"), request.getfixturevalue("shared"), request.param)
    yield made
    made.gluon.close()


def only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "both", [pytest.param(name, marks=pytest.mark.shared) for name in names], indirect=True
    )


def test_every_text_of_the_corpus_has_gluonnlps_ids_and_decodes_to_its_text(both: Sides, shared: Path) -> None:
    texts = all_texts(shared)
    assert len(texts) > 5000
    expected, found = both.expected(*texts), ids_of(both.transformers, texts)
    assert [text for text, one, other in zip(texts, expected, found, strict=True) if one != other] == []
    for ids in expected[::40]:
        assert both.transformers.decode(ids) == both.gluon.ask(ids=ids)


@given(parts=TEXTS)
@example(parts=["㈜한국 ½ … ﷺ ℃ don't"])
@example(parts=["<usr></s><sys><unk>"])
@ANY_TEXT
def test_any_text_has_gluonnlps_ids(both: Sides, parts: list[str]) -> None:
    text = "".join(parts)
    (expected,) = both.expected(text)
    assert ids_of(both.transformers, [text]) == [expected]
    assert both.transformers.decode(expected) == both.gluon.ask(ids=expected)


@only("kogpt2", "kogpt2, BPE")
def test_kogpt2_has_its_special_tokens_and_puts_none_around_a_text(both: Sides) -> None:
    tokenizer = both.transformers
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (
        0,
        1,
        3,
        5,
    )
    (ids,) = both.expected("인간은 the")
    assert tokenizer("인간은 the")["input_ids"] == ids
    assert tokenizer("<s>인간은 the</s>")["input_ids"] == [0, *ids, 1]
    assert tokenizer.decode([0, *ids, 1], skip_special_tokens=True) == "인간은 the"
    assert tokenizer.padding_side == "right"


@only("xlnet")
def test_xlnet_has_its_layout_and_pads_in_front(both: Sides) -> None:
    tokenizer = both.transformers
    first, second = both.expected("the old man", "and the sea")
    sep, cls, pad = (tokenizer.convert_tokens_to_ids(token) for token in ("<sep>", "<cls>", "<pad>"))
    encoded = tokenizer(["the old man", "a"], ["and the sea", "b"], padding=True)
    assert encoded["input_ids"][0] == [*first, sep, *second, sep, cls]
    assert encoded["token_type_ids"][0] == [0] * (len(first) + 1) + [1] * (len(second) + 1) + [2]
    assert encoded["input_ids"][1][0] == pad
    assert encoded["attention_mask"][1][0] == 0
    assert tokenizer("the old man")["input_ids"] == [*first, sep, cls]
    roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "<sep>", "cls_token": "<cls>"}
    assert {**tokenizer.special_tokens_map} == {**roles, "pad_token": "<pad>", "mask_token": "<mask>"}


@only("xlnet")
def test_accents_quotation_marks_and_spaces_are_xlnets(both: Sides) -> None:
    texts = ["``the''", "  naïve \x1c café\u2028 ", "ｶﾞ Ậ 각 क़ुर", "a\u0334b\u20dd\u0e33"]
    assert ids_of(both.transformers, texts) == both.expected(*texts)
    assert ids_of(both.transformers, ["naïve"]) == ids_of(both.transformers, ["naive"])


def test_saving_and_loading_keep_the_ids(both: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = both.transformers
    assert type(tokenizer) is PreTrainedTokenizerFast
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the <usr> said: 인간은", ""):
        assert dict(again(text, text)) == dict(tokenizer(text, text))


# Differences from GluonNLP


@pytest.mark.shared
def test_a_number_and_a_comma_are_mostly_cut_as_by_gluonnlp_where_xlnet_has_a_piece_of_both(
    shared: Path, tmp_path: Path
) -> None:
    made = Sides(tmp_path, train([*corpus(shared), *NUMBERS], **XLNET), "XLNet", "xlnet", "xlnet")
    pieces = made.transformers.get_vocab()
    assert sum(len(piece) > 1 and piece.endswith(",") and piece[-2].isdigit() for piece in pieces) > 5
    texts = [*NUMBERS, *all_texts(shared)]
    expected, found = made.expected(*texts), ids_of(made.transformers, texts)
    made.gluon.close()
    differing = [text for text, one, other in zip(texts, expected, found, strict=True) if one != other]
    assert set(differing) < {*NUMBERS}, "none of the corpus"
    assert len(differing) < len(NUMBERS) / 5


# Every kind of model, by sentencepiece

FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "user's pieces": {"user_defined_symbols": ["<usr>", "<unused0>", "::", ".", "–"]},  # noqa: RUF001
    "bytes": {"byte_fallback": True, "user_defined_symbols": ["<usr>", "<unused0>"]},
    "no space in front": {"add_dummy_prefix": False, "user_defined_symbols": ["<usr>"]},
    "spaces kept": {"remove_extra_whitespaces": False},
    "no rules": {"normalization_rule_name": "identity"},
    "across spaces": {"split_by_whitespace": False},
}


@pytest.fixture(scope="module")
def reference(shared: Path) -> Callable[[str, str], bytes]:
    lines = corpus(shared)[::3]
    return lambda model_type, form: train(lines, 1300, model_type=model_type, pad_id=3, **FORMS[form])


@pytest.mark.shared
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_every_kind_of_model_has_sentencepieces_ids(
    reference: Callable[[str, str], bytes], model_type: str, form: str, tmp_path: Path, shared: Path
) -> None:
    import sentencepiece  # noqa: PLC0415

    model = reference(model_type, form)
    original, tokenizer = (
        sentencepiece.SentencePieceProcessor(model_proto=model),
        load(tmp_path, model, "GPT-2", "gpt2"),
    )

    @given(parts=TEXTS)
    @example(parts=["\x1c"])
    @example(parts=["</s>"])
    @example(parts=["▁ the"])
    @settings(max_examples=40)
    def compare(parts: list[str]) -> None:
        text = "".join(parts)
        ids = original.encode(text)
        assert ids_of(tokenizer, [text]) == [ids]
        assert tokenizer.decode(ids) == original.decode(ids)

    compare()
    texts = all_texts(shared)[::5]
    assert ids_of(tokenizer, texts) == original.encode(texts)


@pytest.mark.shared
def test_rules_that_fold_capital_letters_are_refused(shared: Path, tmp_path: Path) -> None:
    folding = train(corpus(shared)[::3], 1300, normalization_rule_name="nmt_nfkc_cf")
    with pytest.raises(
        FormatError, match=r"(?s)normalizer_spec replaces .*: tokenizer\.json cannot say more.*and 807 more"
    ):
        load(tmp_path, folding, "GPT-2", "gpt2")


@pytest.mark.shared
def test_each_character_alone_and_with_a_mark_is_read_as_by_sentencepiece(
    reference: Callable[[str, str], bytes], tmp_path: Path
) -> None:
    """Rules of one character and of several, and marks that no rule takes."""
    import sentencepiece  # noqa: PLC0415

    model = reference("unigram", "plain")
    normalizer = sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=True, escape_whitespaces=True, remove_extra_whitespaces=True
    )
    ours = load(tmp_path, model, "GPT-2", "gpt2").backend_tokenizer.normalizer.normalize_str
    characters = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cs", "Cn"}
    ]
    marks = ["\u0301", "\u0323\u0302", "\u0338", "\u3099", "\uff9e", "\u1161\u11a8", "\u0345", "\u200d"]
    texts = [
        f"a{mark}{character}{other}b"
        for number, (mark, other) in enumerate(zip(marks, reversed(marks), strict=True))
        for character in characters[number::32]
    ]
    assert len(texts) > 35_000
    differing = [text for text in texts if ours(text) != normalizer.normalize(text)]
    assert differing == []

"""Compare GPT-2's tokenizer in transformers, loaded from our files, with GluonNLP's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from gluon_client import Gluon
from gpt2_tables import END, small_vocabulary, vocabulary_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from texts import TEXTS

from bort_convert.tokenizer import ModelLimits, TokenizerOptions, find_tokenizer, gpt2
from bort_convert.tokenizer.gluon_files import RANKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.mxnet, pytest.mark.torch]


class Sides:
    """GluonNLP's tokenizer, and transformers' in the folder with our files, both made from the same two files."""

    def __init__(self, vocab: Path, ranks: Path) -> None:
        from transformers import AutoTokenizer  # noqa: PLC0415

        self.files, self.folder = {"vocab": vocab, "bpe_ranks": ranks}, vocab.with_name("out")
        self.ids = json.loads(vocab.read_text("utf-8"))["token_to_idx"]
        self.limits, self.end = ModelLimits(len(self.ids), 24), self.ids[END]
        self.gluon = Gluon("gluon_tokenizer.py", vocab, ranks)
        self.folder.mkdir()
        for name, text in {**self.make(**self.files), "config.json": '{"model_type": "gpt2"}'}.items():
            (self.folder / name).write_text(text, "utf-8")
        self.transformers: Any = AutoTokenizer.from_pretrained(self.folder)

    def make(self, **options: Path) -> dict[str, str]:
        tokenizer = find_tokenizer("GPT-2", TokenizerOptions(**options), self.limits)
        assert tokenizer is not None
        return dict(tokenizer.files)


@pytest.fixture(scope="module", params=["tiny", pytest.param("full", marks=pytest.mark.shared)])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    vocab = tmp_path_factory.mktemp("gpt2") / "x.vocab"
    if request.param == "tiny":
        ranks = request.getfixturevalue("fixtures") / "tiny_ranks.txt"
        vocab.write_text(small_vocabulary(ranks), "utf-8")
    else:
        here = request.getfixturevalue("shared") / "data" / "roberta-bpe"
        ranks = here / "gluonnlp" / RANKS.name
        vocab.write_text(vocabulary_text(json.loads((here / "gpt2" / "encoder.json").read_text("utf-8"))), "utf-8")
    both = Sides(vocab, ranks)
    yield both
    both.gluon.close()


full = pytest.mark.parametrize("sides", [pytest.param("full", marks=pytest.mark.shared)], indirect=True)
tiny = pytest.mark.parametrize("sides", ["tiny"], indirect=True)


@given(text=TEXTS)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_has_gluonnlps_ids_and_no_special_tokens_around_them(sides: Sides, text: str) -> None:
    expected = sides.gluon.ids(text)
    assert sides.transformers(text, split_special_tokens=True)["input_ids"] == expected
    if END not in text:
        assert sides.transformers(text)["input_ids"] == expected


@full
def test_texts_in_many_languages_have_gluonnlps_ids(sides: Sides, shared: Path) -> None:
    files = sorted((shared / "data" / "text").glob("*.txt"))
    assert len(files) == 16
    for path in files:
        lines = path.read_text("utf-8").splitlines()[:200]
        assert sides.transformers(lines)["input_ids"] == [sides.gluon.ids(line) for line in lines], path.name


@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ids_decode_to_gluonnlps_text(sides: Sides, data: st.DataObject) -> None:
    numbers = st.integers(0, sides.limits.vocab_size - 1).filter(lambda number: number != sides.end)
    ids = data.draw(st.lists(numbers, max_size=12))
    assert sides.transformers.decode(ids) == sides.gluon.ask(ids=ids)


def test_an_end_of_text_token_in_a_text_is_one_token_or_ordinary_text_on_request(sides: Sides) -> None:
    text, the = f"the{END}the", sides.gluon.ids("the")
    assert sides.transformers(text)["input_ids"] == [*the, sides.end, *the]
    assert sides.transformers(text, split_special_tokens=True)["input_ids"] == sides.gluon.ids(text)
    assert sides.end not in sides.gluon.ids(text)
    assert sides.transformers.decode([*the, sides.end], skip_special_tokens=True) == "the"


def test_transformers_own_class_makes_the_same_of_the_tables(sides: Sides, tmp_path: Path) -> None:
    from transformers import GPT2Tokenizer, PreTrainedTokenizerFast  # noqa: PLC0415

    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((sides.folder / name).read_bytes())
    ours, theirs = sides.transformers, GPT2Tokenizer.from_pretrained(tmp_path)
    assert type(ours) is PreTrainedTokenizerFast
    assert len(ours) == len(theirs) == sides.limits.vocab_size
    for name in ("bos_token", "eos_token", "unk_token", "pad_token", "padding_side", "model_input_names"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert (ours.eos_token, ours.pad_token, ours.model_max_length) == (END, None, 24)
    for text in ("", "the  man ", " don't", f"a{END} b", "日本 ½\n\n"):
        assert dict(ours(text)) == dict(theirs(text)), text
        assert dict(ours("the", text)) == dict(theirs("the", text)), text
    theirs.save_pretrained(tmp_path / "saved")
    assert sides.make(tokenizer=tmp_path) == sides.make(tokenizer=tmp_path / "saved") == sides.make(**sides.files)


def test_saving_and_loading_keep_the_ids_and_the_files_made_from_them(sides: Sides, tmp_path: Path) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415

    sides.transformers.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert dict(again("the  man", END)) == dict(sides.transformers("the  man", END))
    assert (again.special_tokens_map, again.model_max_length) == (sides.transformers.special_tokens_map, 24)
    assert sides.make(tokenizer=tmp_path) == sides.make(**sides.files)


@tiny
def test_a_vocabulary_that_gluonnlp_writes_now_gives_the_same_files_as_the_old_one(
    sides: Sides, tmp_path: Path
) -> None:
    sides.gluon.ask(eos=END, target=str(tmp_path / "new.vocab"))
    content = json.loads((tmp_path / "new.vocab").read_text("utf-8"))
    assert content["identifiers_to_tokens"] == {"padding_token": None, "bos_token": None, "eos_token": END}
    assert content["token_to_idx"] == sides.ids
    assert sides.make(**{**sides.files, "vocab": tmp_path / "new.vocab"}) == sides.make(**sides.files)


@tiny
def test_the_published_vocabulary_is_the_file_that_gluonnlp_downloads(sides: Sides) -> None:
    dataset, _, rest = gpt2.VOCABULARY.name.partition("-")
    assert sides.gluon.first["vocabularies"][dataset] == gpt2.VOCABULARY.sha1
    assert rest == f"{gpt2.VOCABULARY.sha1[:8]}.vocab"

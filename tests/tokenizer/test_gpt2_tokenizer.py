"""What is written for a GPT-2, and what is refused. What frameworks make of it: test_gpt2_tokenizer_live.py."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from gpt2_tables import END, small_vocabulary, vocabulary_text

from bort_convert.errors import FormatError, VariantError
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, ModelLimits, TokenizerOptions, find_tokenizer, gpt2
from bort_convert.tokenizer.gluon_files import RANKS

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

NAMES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"}
SIZE = 256 + 20 + 1


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place for what GluonNLP keeps, whatever this machine has."""
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet"))
    return tmp_path / "mxnet" / "models"


@pytest.fixture
def ranks(fixtures: Path) -> Path:
    return fixtures / "tiny_ranks.txt"


@pytest.fixture
def vocab(ranks: Path, tmp_path: Path) -> Path:
    path = tmp_path / "small.vocab"
    path.write_text(small_vocabulary(ranks), "utf-8")
    return path


def made(size: int = SIZE, **given: Any) -> Tokenizer:  # noqa: ANN401 - as TokenizerOptions takes them
    found = find_tokenizer("GPT-2", TokenizerOptions(**given), ModelLimits(size, 24))
    assert found is not None
    return found


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


def test_the_files_are_those_of_a_fast_tokenizer(vocab: Path, ranks: Path) -> None:
    tokenizer = made(vocab=vocab, bpe_ranks=ranks)
    assert set(tokenizer.files) == NAMES <= FILES
    assert tokenizer.sources == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (vocab, ranks)}
    ids = json.loads(vocab.read_text("utf-8"))["token_to_idx"]
    assert json_of(tokenizer, "vocab.json") == ids
    assert tokenizer.files["merges.txt"] == ranks.read_text("utf-8")
    assert json_of(tokenizer)["model"] == {
        "type": "BPE",
        "unk_token": None,
        "fuse_unk": False,
        "vocab": ids,
        "merges": ranks.read_text("utf-8").splitlines()[1:],
    }


def test_nothing_is_put_around_a_text_and_no_space_before_it(vocab: Path, ranks: Path) -> None:
    content = json_of(made(vocab=vocab, bpe_ranks=ranks))
    for name in ("normalizer", "post_processor", "truncation", "padding"):
        assert content[name] is None
    for name in ("pre_tokenizer", "decoder"):
        assert content[name] | {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True} == content[name]


def test_the_end_of_a_text_is_the_one_special_token(vocab: Path, ranks: Path) -> None:
    tokenizer = made(vocab=vocab, bpe_ranks=ranks)
    (added,) = json_of(tokenizer)["added_tokens"]
    assert (added["id"], added["content"], added["special"], added["lstrip"]) == (SIZE - 1, END, True, False)
    roles = {"bos_token": END, "eos_token": END, "unk_token": END}
    assert json_of(tokenizer, "special_tokens_map.json") == roles
    assert json_of(tokenizer, "tokenizer_config.json") == roles | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 24,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }


def test_a_vocabulary_may_end_texts_with_a_token_of_its_own(vocab: Path, ranks: Path) -> None:
    end = "<eos>"
    vocab.write_text(vocab.read_text("utf-8").replace(END, end), "utf-8")
    assert json_of(made(vocab=vocab, bpe_ranks=ranks), "special_tokens_map.json")["eos_token"] == end


@pytest.mark.parametrize("names", [{"vocab.json", "merges.txt"}, {"tokenizer.json"}])
def test_a_tokenizer_of_transformers_gives_the_same_files(
    vocab: Path, ranks: Path, tmp_path: Path, names: set[str]
) -> None:
    original = made(vocab=vocab, bpe_ranks=ranks)
    for name in names:
        (tmp_path / name).write_text(original.files[name], "utf-8")
    again = made(tokenizer=tmp_path)
    assert again.files == original.files
    assert set(again.sources) == names


def without(vocab: Path, token: str) -> Path:
    tokens = [known for known in json.loads(vocab.read_text("utf-8"))["idx_to_token"] if known != token]
    vocab.write_text(vocabulary_text({known: number for number, known in enumerate(tokens)}), "utf-8")
    return vocab


@pytest.mark.parametrize("letter", ["Z", "\u0100", "\u0143", "\u00ff"])
def test_a_byte_without_a_token_is_refused(vocab: Path, ranks: Path, letter: str) -> None:
    with pytest.raises(FormatError, match=f"no token is '{letter}', which stands for a byte, and GPT-2 has no unknown"):
        made(SIZE - 1, vocab=without(vocab, letter), bpe_ranks=ranks)


def test_a_vocabulary_without_an_end_of_texts_is_refused(vocab: Path, ranks: Path) -> None:
    with pytest.raises(FormatError, match=r"eos_token is '<\|endoftext\|>', expected one of the tokens"):
        made(SIZE - 1, vocab=without(vocab, END), bpe_ranks=ranks)


def test_a_vocabulary_of_another_size_is_refused_with_both_numbers(vocab: Path, ranks: Path) -> None:
    with pytest.raises(FormatError, match="277 tokens, expected 50,257, the rows of the word embedding"):
        made(50257, vocab=vocab, bpe_ranks=ranks)


@pytest.mark.parametrize("given", [{"roberta_pairs": True}, {"lower_case": False}])
def test_what_is_for_another_kind_is_refused(vocab: Path, given: dict[str, Any]) -> None:
    with pytest.raises(VariantError, match=r"says nothing of a GPT-2 tokenizer, which this model has\. Leave it out"):
        made(vocab=vocab, **given)


def test_it_is_the_kind_of_the_family() -> None:
    assert families()["gpt2"].tokenizer == "GPT-2"


def test_nothing_given_and_nothing_kept_is_no_tokenizer(no_models: Path) -> None:
    reasons: list[str] = []
    assert find_tokenizer("GPT-2", TokenizerOptions(), ModelLimits(50257, 1024), absent=reasons.append) is None
    assert str(no_models / "openai_webtext-f917dc78.vocab") in reasons[0]


@pytest.mark.shared
def test_the_published_vocabulary_is_found_where_gluonnlp_keeps_it(shared: Path, no_models: Path) -> None:
    folder = shared / "data" / "roberta-bpe"
    ids = json.loads((folder / "gpt2" / "encoder.json").read_text("utf-8"))
    text = vocabulary_text(ids)
    assert hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() == gpt2.VOCABULARY.sha1
    no_models.mkdir(parents=True)
    (no_models / gpt2.VOCABULARY.name).write_text(text, "utf-8")
    (no_models / RANKS.name).symlink_to(folder / "gluonnlp" / RANKS.name)
    tokenizer = made(50257)
    assert set(tokenizer.sources) == {gpt2.VOCABULARY.name, RANKS.name}
    assert json_of(tokenizer, "vocab.json") == ids
    assert tokenizer.files["merges.txt"] == (folder / "gpt2" / "vocab.bpe").read_text("utf-8")

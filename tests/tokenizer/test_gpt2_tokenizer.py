"""Files of GPT-2's tokenizer, and refusals. Frameworks read them in test_gpt2_tokenizer_live.py."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from gpt2_tables import END, small_vocabulary, vocabulary_text
from sentencepiece_files import model

from bort_convert.errors import FormatError, OptionError
from bort_convert.models.registry import families
from bort_convert.tokenizer import FILES, ModelLimits, TokenizerOptions, find_tokenizer, gpt2
from bort_convert.tokenizer.gluon_files import RANKS

if TYPE_CHECKING:
    from pathlib import Path

    from bort_convert.tokenizer import Tokenizer

NAMES = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"}
SIZE = 256 + 20 + 1


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Point GluonNLP's model cache to an absent directory, whatever this machine has."""
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


def make(size: int = SIZE, **options: Any) -> Tokenizer:  # noqa: ANN401 - fields of TokenizerOptions
    tokenizer = find_tokenizer("GPT-2", TokenizerOptions(**options), ModelLimits(size, 24))
    assert tokenizer is not None
    return tokenizer


def json_of(tokenizer: Tokenizer, name: str = "tokenizer.json") -> Any:  # noqa: ANN401
    return json.loads(tokenizer.files[name])


def test_the_files_are_those_of_a_fast_tokenizer(vocab: Path, ranks: Path) -> None:
    tokenizer = make(vocab=vocab, bpe_ranks=ranks)
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


def test_a_text_gets_no_special_tokens_and_no_space_before_it(vocab: Path, ranks: Path) -> None:
    content = json_of(make(vocab=vocab, bpe_ranks=ranks))
    for name in ("normalizer", "post_processor", "truncation", "padding"):
        assert content[name] is None
    for name in ("pre_tokenizer", "decoder"):
        assert content[name] | {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True} == content[name]


def test_the_end_of_a_text_is_the_only_special_token(vocab: Path, ranks: Path) -> None:
    tokenizer = make(vocab=vocab, bpe_ranks=ranks)
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


def test_a_vocabulary_may_have_its_own_token_for_the_end_of_a_text(vocab: Path, ranks: Path) -> None:
    end = "<eos>"
    vocab.write_text(vocab.read_text("utf-8").replace(END, end), "utf-8")
    assert json_of(make(vocab=vocab, bpe_ranks=ranks), "special_tokens_map.json")["eos_token"] == end


@pytest.mark.parametrize("names", [{"vocab.json", "merges.txt"}, {"tokenizer.json"}])
def test_a_tokenizer_of_transformers_gives_the_same_files(
    vocab: Path, ranks: Path, tmp_path: Path, names: set[str]
) -> None:
    original = make(vocab=vocab, bpe_ranks=ranks)
    for name in names:
        (tmp_path / name).write_text(original.files[name], "utf-8")
    again = make(tokenizer=tmp_path)
    assert again.files == original.files
    assert set(again.sources) == names


def without(vocab: Path, token: str) -> Path:
    tokens = [known for known in json.loads(vocab.read_text("utf-8"))["idx_to_token"] if known != token]
    vocab.write_text(vocabulary_text({known: number for number, known in enumerate(tokens)}), "utf-8")
    return vocab


@pytest.mark.parametrize("character", ["Z", "\u0100", "\u0143", "\u00ff"])
def test_a_byte_without_a_token_is_refused(vocab: Path, ranks: Path, character: str) -> None:
    with pytest.raises(
        FormatError, match=f"no token is '{character}', which stands for a byte, and GPT-2 has no unknown"
    ):
        make(SIZE - 1, vocab=without(vocab, character), bpe_ranks=ranks)


def test_a_vocabulary_without_an_end_of_text_token_is_refused(vocab: Path, ranks: Path) -> None:
    with pytest.raises(FormatError, match=r"eos_token is '<\|endoftext\|>', expected one of the tokens"):
        make(SIZE - 1, vocab=without(vocab, END), bpe_ranks=ranks)


def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(vocab: Path, ranks: Path) -> None:
    with pytest.raises(FormatError, match="277 tokens, expected 50,257, the rows of the word embedding"):
        make(50257, vocab=vocab, bpe_ranks=ranks)


@pytest.mark.parametrize("options", [{"roberta_pairs": True}, {"lower_case": False}])
def test_an_option_for_another_kind_of_tokenizer_is_refused(vocab: Path, options: dict[str, Any]) -> None:
    with pytest.raises(
        OptionError, match=r"this model has a GPT-2 tokenizer, which takes no such option\. Leave it out"
    ):
        make(vocab=vocab, **options)


def test_the_gpt2_family_has_this_kind_of_tokenizer() -> None:
    assert families()["gpt2"].tokenizer == "GPT-2"


def test_without_files_and_with_an_empty_cache_there_is_no_tokenizer(empty_cache: Path) -> None:
    reasons: list[str] = []
    assert find_tokenizer("GPT-2", TokenizerOptions(), ModelLimits(50257, 1024), absent=reasons.append) is None
    assert str(empty_cache / "openai_webtext-f917dc78.vocab") in reasons[0]


@pytest.mark.shared
def test_the_published_vocabulary_is_found_in_the_model_cache(shared: Path, empty_cache: Path) -> None:
    folder = shared / "data" / "roberta-bpe"
    ids = json.loads((folder / "gpt2" / "encoder.json").read_text("utf-8"))
    text = vocabulary_text(ids)
    assert hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() == gpt2.VOCABULARY.sha1
    empty_cache.mkdir(parents=True)
    (empty_cache / gpt2.VOCABULARY.name).write_text(text, "utf-8")
    (empty_cache / RANKS.name).symlink_to(folder / "gluonnlp" / RANKS.name)
    tokenizer = make(50257)
    assert set(tokenizer.sources) == {gpt2.VOCABULARY.name, RANKS.name}
    assert json_of(tokenizer, "vocab.json") == ids
    assert tokenizer.files["merges.txt"] == (folder / "gpt2" / "vocab.bpe").read_text("utf-8")


@pytest.mark.parametrize("kind", ["RoBERTa", "Bort"])
def test_a_sentencepiece_model_is_named_as_one(ranks: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.spiece").write_bytes(model())
    options = TokenizerOptions(vocab=tmp_path / "x.spiece", bpe_ranks=ranks)
    with pytest.raises(FormatError, match=r"x\.spiece: a SentencePiece model; a byte-level BPE cannot be made of one"):
        find_tokenizer(kind, options, ModelLimits(SIZE, 24))


def test_a_sentencepiece_model_takes_no_merges(ranks: Path, tmp_path: Path) -> None:
    (tmp_path / "x.spiece").write_bytes(model())
    with pytest.raises(OptionError, match=r"x\.spiece is a SentencePiece model, which has its own\. Leave it out"):
        make(vocab=tmp_path / "x.spiece", bpe_ranks=ranks)

"""Vocabularies and tokenizers of GluonNLP, for the MXNet side of the matrix."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gluonnlp as nlp
import numpy as np
from matrix_shapes import Batch
from matrix_texts import CHARACTERS, byte_characters, merges_of, sentences, wordpieces

if TYPE_CHECKING:
    from collections.abc import Sequence

BERT_SPECIAL = ("[UNK]", "[CLS]", "[SEP]", "[MASK]")
END = "<|endoftext|>"
TRAINER = {"bos_id": -1, "eos_id": -1, "num_threads": 1, "minloglevel": 2, "vocab_size": 300, "hard_vocab_limit": False}
MISSING_BYTES = 9
"""Bytes that a RoBERTa's vocabulary has no token for: they are unknown."""
ROLES = ("unknown", "padding", "bos", "eos", "cls", "sep", "mask")
PUBLISHED, DEFAULT, SHUFFLED = "published", "default", "shuffled"


def write(kind: str, order: str, seed: int, path: Path) -> dict[str, Any]:
    """Write a vocabulary as GluonNLP does.

    Args:
        kind: "wordpiece", "sentencepiece", "roberta" or "gpt2".
        order: "published", as the family's own has its special tokens; "default", as gluonnlp numbers them if it is not
            asked for an order; or "shuffled".
        seed: of the order, and of what the vocabulary lacks.
        path: the file to write; the merges of a BPE come to stand beside it.

    Returns:
        The number of tokens, and the ids of the special tokens by role.
    """
    rng = np.random.default_rng(seed)
    if kind == "sentencepiece":
        train(order, rng, path)
    else:
        vocab = {"wordpiece": bert, "roberta": roberta, "gpt2": gpt2}[kind](order, rng)
        path.write_text(vocab.to_json(), "utf-8")
        lines = ["#version: 0.2", *map(" ".join, merges_of())]
        path.with_suffix(".ranks").write_text("\n".join(lines) + "\n", "utf-8")
    vocab = load(kind, str(path))
    special = {role: getattr(vocab, f"{role}_token", None) for role in ROLES}
    return {"size": len(vocab), "ids": {role: vocab[token] for role, token in special.items() if token is not None}}


def bert(order: str, rng: np.random.Generator) -> Any:  # noqa: ANN401 - gluonnlp has no types
    words = wordpieces()
    if order == DEFAULT:
        return nlp.vocab.BERTVocab(nlp.data.count_tokens(words))
    tokens = ["[PAD]", "[unused1]", "[unused2]", *BERT_SPECIAL, *words]
    return nlp.vocab.BERTVocab(nlp.data.count_tokens(tokens), token_to_idx=numbered(tokens, order, rng))


def roberta(order: str, rng: np.random.Generator) -> Any:  # noqa: ANN401
    lacking = {*rng.choice(range(160, 256), MISSING_BYTES, replace=False)}
    known = [token for number, token in enumerate(byte_characters()) if number not in lacking]
    words = [*known, *map("".join, merges_of())]
    roles = {"unknown": "<unk>", "padding": "<pad>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}
    special = {f"{role}_token": token for role, token in roles.items()}
    if order == DEFAULT:
        return nlp.Vocab(nlp.data.count_tokens(words), **special)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *words, "<mask>"]
    return nlp.Vocab(nlp.data.count_tokens(tokens), token_to_idx=numbered(tokens, order, rng), **special)


def gpt2(order: str, rng: np.random.Generator) -> Any:  # noqa: ANN401
    words = [*byte_characters(), *map("".join, merges_of())]
    special = {"unknown_token": None, "padding_token": None, "bos_token": None, "eos_token": END}
    if order == DEFAULT:
        return nlp.Vocab(nlp.data.count_tokens(words), **special)
    tokens = [*words, END]
    return nlp.Vocab(nlp.data.count_tokens(tokens), token_to_idx=numbered(tokens, order, rng), **special)


def numbered(tokens: Sequence[str], order: str, rng: np.random.Generator) -> dict[str, int]:
    """Token -> id, in this order or in a random one."""
    places = rng.permutation(len(tokens)) if order == SHUFFLED else range(len(tokens))
    return {token: int(place) for token, place in zip(tokens, places, strict=True)}


def train(order: str, rng: np.random.Generator, path: Path) -> None:
    """Train a SentencePiece model; by default its unknown token comes first, as in KoBERT's."""
    import sentencepiece  # noqa: PLC0415 - not every environment has it

    first = {"pad_id": 0, "unk_id": 1, "pad_piece": "[PAD]"} if order == PUBLISHED else {"pad_id": -1, "unk_id": 0}
    symbols = ["[CLS]", "[SEP]", "[MASK]"] + ["[PAD]"] * (order != PUBLISHED)
    lines = iter([*sentences(rng, 400), *CHARACTERS * 3])
    rules = {"normalization_rule_name": "nmt_nfkc", "unk_piece": "[UNK]", "control_symbols": symbols}
    with path.open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines, model_writer=model, **TRAINER, **rules, **first
        )


@lru_cache
def load(kind: str, path: str) -> Any:  # noqa: ANN401
    """The vocabulary by gluonnlp's own reader."""
    if kind == "sentencepiece":
        return nlp.vocab.BERTVocab.from_sentencepiece(path, padding_token="[PAD]")  # noqa: S106
    reader = nlp.vocab.BERTVocab if kind == "wordpiece" else nlp.Vocab
    return reader.from_json(Path(path).read_text("utf-8"))


@lru_cache
def tokenizer_of(kind: str, path: str, *, lower: bool) -> Any:  # noqa: ANN401
    """gluonnlp's own tokenizer."""
    if kind == "wordpiece":
        return nlp.data.BERTTokenizer(load(kind, path), lower=lower)
    if kind == "sentencepiece":
        return sentencepiece_tokenizer(path, lower=lower)
    ranks = Path(path).with_suffix(".ranks")
    digest = hashlib.sha1(ranks.read_bytes(), usedforsecurity=False).hexdigest()
    # It reads the ranks where it keeps what it downloads.
    named = type("Tokenizer", (nlp.data.GPT2BPETokenizer,), {"bpe_ranks_file_hash": (ranks.name, digest)})
    return named(root=str(ranks.parent))


def sentencepiece_tokenizer(path: str, *, lower: bool) -> Any:  # noqa: ANN401
    import sentencepiece  # noqa: PLC0415

    def encode(processor: Any, text: str, best: int, _alpha: float) -> list[str]:  # noqa: ANN401
        """Do as sentencepiece did before 0.1.96, where nothing is sampled: later versions refuse that."""
        assert best == 0
        return processor.EncodeAsPieces(text)  # type: ignore[no-any-return]

    sentencepiece.SentencePieceProcessor.SampleEncodeAsPieces = encode
    return nlp.data.BERTSPTokenizer(path, load("sentencepiece", path), lower=lower)


def encoded(text: str, kind: str, path: str, *, lower: bool) -> list[int]:
    """The ids of a text with the tokens that stand around one; "<mask>" in the text stands for the mask token."""
    vocab, tokenizer = load(kind, path), tokenizer_of(kind, path, lower=lower)
    pieces: list[str] = []
    for number, part in enumerate(text.split("<mask>")):
        pieces += [*[vocab.mask_token for _ in range(number and 1)], *tokenizer(part)]
    if kind in {"wordpiece", "sentencepiece"}:
        pieces = [vocab.cls_token, *pieces, vocab.sep_token]
    elif kind == "roberta":
        pieces = [vocab.bos_token, *pieces, vocab.eos_token]
    return vocab[pieces]  # type: ignore[no-any-return]


def batch_of(texts: Sequence[str], kind: str, path: str, *, lower: bool) -> Batch:
    """The texts as GluonNLP batches them: padded on the right with the vocabulary's padding token."""
    rows = [encoded(text, kind, path, lower=lower) for text in texts]
    padding = load(kind, path).padding_token
    ids = nlp.data.batchify.Pad(pad_val=load(kind, path)[padding] if padding else 0)(rows).asnumpy()
    return Batch(ids.astype("int64"), np.zeros(ids.shape, "int64"), np.array([len(row) for row in rows]))

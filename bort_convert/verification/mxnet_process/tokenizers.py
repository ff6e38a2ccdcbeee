# ruff: noqa: PTH123 - Python 3.6 syntax
"""GluonNLP's own tokenizers: ids of texts, without special tokens. Python 3.6 syntax.

Source: dmlc/gluon-nlp v0.8.3, data/transforms.py; sentencepiece refuses `SampleEncodeAsPieces` without sampling since
0.1.96, so this does what it did before.
"""

import hashlib
import os
from typing import TYPE_CHECKING

import gluonnlp as nlp

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def ids_of_texts(job: "dict[str, Any]") -> "list[list[int]]":
    """Ids of each of the job's texts, by the tokenizer and vocabulary in its files.

    The job has `kind` ("byte-level", "wordpiece" or "sentencepiece"), `vocab`, `bpe_ranks`, `lower` and `texts`.
    """
    makers = {"byte-level": byte_level, "wordpiece": wordpiece, "sentencepiece": sentencepiece}
    encode = makers[job["kind"]](job)
    return [[int(number) for number in encode(text)] for text in job["texts"]]


def byte_level(job: "dict[str, Any]") -> "Callable[[str], list[int]]":
    """GPT-2's byte-level BPE with the ranks of the job in place of those that GluonNLP downloads."""
    folder, name = os.path.split(job["bpe_ranks"])
    with open(job["bpe_ranks"], "rb") as file:
        digest = hashlib.sha1(file.read()).hexdigest()  # noqa: S324 - GluonNLP compares this one
    named = type("Tokenizer", (nlp.data.GPT2BPETokenizer,), {"bpe_ranks_file_hash": (name, digest)})
    tokenizer, vocab = named(root=folder), nlp.Vocab.from_json(text_of(job["vocab"]))
    return lambda text: vocab[tokenizer(text)]


def wordpiece(job: "dict[str, Any]") -> "Callable[[str], list[int]]":
    """BERT's WordPiece tokenizer."""
    vocab = nlp.vocab.BERTVocab.from_json(text_of(job["vocab"]))
    tokenizer = nlp.data.BERTTokenizer(vocab, lower=job["lower"])
    return lambda text: tokenizer.convert_tokens_to_ids(tokenizer(text))


def sentencepiece(job: "dict[str, Any]") -> "Callable[[str], list[int]]":
    """BERT's SentencePiece tokenizer, with the vocabulary that KoBERT has."""
    import sentencepiece as library  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - not for all

    def pieces(processor: "Any", text: str, _best: int, _alpha: float) -> "Any":  # noqa: ANN401 - no types
        return processor.EncodeAsPieces(text)

    library.SentencePieceProcessor.SampleEncodeAsPieces = pieces
    vocab = nlp.vocab.BERTVocab.from_sentencepiece(job["vocab"], padding_token="[PAD]")  # noqa: S106 - no password
    tokenizer = nlp.data.BERTSPTokenizer(job["vocab"], vocab, lower=job["lower"])
    return lambda text: tokenizer.convert_tokens_to_ids(tokenizer(text))


def text_of(path: str) -> str:
    """Content of a file in UTF-8."""
    with open(path, encoding="utf-8") as file:
        return file.read()

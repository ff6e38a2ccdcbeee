# ruff: noqa: PTH123 - Python 3.6 syntax
"""GluonNLP's own tokenizers: ids of texts, without special tokens. Python 3.6 syntax.

Source: dmlc/gluon-nlp v0.8.3, data/transforms.py; v0.10.0, scripts/language_model/transformer/data.py for XLNet, and
conversion_utils/convert_xlnet.py; SKT-AI/KoGPT2, kogpt2/mxnet_kogpt2.py. sentencepiece refuses `SampleEncodeAsPieces`
without sampling since 0.1.96, so this does what it did before.
"""

import hashlib
import os
import unicodedata
from typing import TYPE_CHECKING

import gluonnlp as nlp

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def ids_of_texts(job: "dict[str, Any]") -> "list[list[int]]":
    """Ids of each of the job's texts, by the tokenizer and vocabulary in its files.

    The job has `texts`, and what `encoder_of` needs.
    """
    encode = encoder_of(job)
    return [[int(number) for number in encode(text)] for text in job["texts"]]


def encoder_of(job: "dict[str, Any]") -> "Callable[[str], list[int]]":
    """Make a function from a text to ids; the job has `kind` (one of the keys below), `vocab`, `bpe_ranks`, `lower`."""
    makers = {
        "byte-level": byte_level,
        "wordpiece": wordpiece,
        "sentencepiece": sentencepiece,
        "sentencepiece-gpt2": sentencepiece_gpt2,
        "xlnet": xlnet,
    }
    return makers[job["kind"]](job)


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
    encode_without_sampling()
    vocab = nlp.vocab.BERTVocab.from_sentencepiece(job["vocab"], padding_token="[PAD]")  # noqa: S106 - no password
    tokenizer = nlp.data.BERTSPTokenizer(job["vocab"], vocab, lower=job["lower"])
    return lambda text: tokenizer.convert_tokens_to_ids(tokenizer(text))


def sentencepiece_gpt2(job: "dict[str, Any]") -> "Callable[[str], list[int]]":
    """The SentencePiece tokenizer of a GPT-2, with the vocabulary that KoGPT2 has."""
    encode_without_sampling()
    vocab = nlp.vocab.BERTVocab.from_sentencepiece(job["vocab"], mask_token=None, sep_token=None, cls_token=None)
    tokenizer = nlp.data.SentencepieceTokenizer(job["vocab"])
    return lambda text: vocab[tokenizer(text)]


def xlnet(job: "dict[str, Any]") -> "Callable[[str], list[int]]":
    """XLNet's tokenizer, which cuts a piece like `1,` again: into those of the number, and a comma."""
    encode_without_sampling()
    special = {"cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"}
    vocab = nlp.vocab.BERTVocab.from_sentencepiece(job["vocab"], **special)
    tokenizer = nlp.data.SentencepieceTokenizer(job["vocab"])

    def encode(text: str) -> "Any":  # noqa: ANN401 - gluonnlp has no types
        pieces = []  # type: list[str]
        for piece in tokenizer(without_accents(text, lower=job["lower"])):
            if len(piece) > 1 and piece.endswith(",") and piece[-2].isdigit():
                number = tokenizer(piece[:-1].replace(SPACE, ""))
                if not piece.startswith(SPACE) and number[0].startswith(SPACE):
                    number = number[1:] if number[0] == SPACE else [number[0][1:]] + number[1:]  # noqa: RUF005 - 3.6
                pieces += [*number, ","]
            else:
                pieces.append(piece)
        return vocab[pieces]

    return encode


SPACE = "\u2581"


def without_accents(text: str, *, lower: bool) -> str:
    """Text as XLNet's tokenizer hands it to sentencepiece: single spaces, plain quotation marks, no accents."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    text = "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
    return text.lower() if lower else text


def encode_without_sampling() -> None:
    """Let sentencepiece take a call that it refuses since 0.1.96, and that means no sampling."""
    import sentencepiece as library  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 - not for all

    def pieces(processor: "Any", text: str, _best: int, _alpha: float) -> "Any":  # noqa: ANN401 - no types
        return processor.EncodeAsPieces(text)

    library.SentencePieceProcessor.SampleEncodeAsPieces = pieces


def text_of(path: str) -> str:
    """Content of a file in UTF-8."""
    with open(path, encoding="utf-8") as file:
        return file.read()

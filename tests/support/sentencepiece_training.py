"""Train small SentencePiece models in the form of those that GluonNLP's models have."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES = ("kor", "eng", "deu_1996", "fra", "rus", "jpn", "hin", "arb", "vie")
# Numbers with commas, so that pieces such as `1,` come into being.
NUMBERS = [f"{number},{number * 7 % 10}00 and {number}, {number * 3}, {number * number}.5" for number in range(1, 400)]
# Marks that sentencepiece's trainers of XLNet gave to the user's pieces, and pieces of a chat bot's.
XLNET = {
    "unk_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "pad_id": -1,
    "control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"],
    "user_defined_symbols": ["<eop>", ".", "(", ")", '"', "-", "–", "£", "€"],  # noqa: RUF001 - XLNet's
}
KOGPT2 = {"bos_id": 0, "eos_id": 1, "pad_id": 3, "unk_id": 5, "user_defined_symbols": ["<usr>", "<sys>", "<unused0>"]}
T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
ALBERT = {
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": -1,
    "eos_id": -1,
    "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    "user_defined_symbols": ["(", ")", '"', "-", ".", "–", "£", "€"],  # noqa: RUF001 - ALBERT's
}
XLM_R = {"bos_id": 0, "pad_id": 1, "eos_id": 2, "unk_id": 3}


def corpus(shared: Path) -> list[str]:
    """Lines of texts in the languages above."""
    files = [shared / "data" / "text" / f"udhr_{name}.txt" for name in LANGUAGES]
    return [line for path in files for line in path.read_text("utf-8").split("\n")]


def all_texts(shared: Path) -> list[str]:
    """Every line of every text, in 16 files."""
    files = sorted((shared / "data" / "text").glob("*.txt"))
    return [line for path in files for line in path.read_text("utf-8").split("\n")]


def train(lines: list[str], size: int = 2000, **trainer: Any) -> bytes:  # noqa: ANN401 - sentencepiece has no types
    """Train a model; `nmt_nfkc` and unigram unless `trainer` says otherwise."""
    import sentencepiece  # noqa: PLC0415 - optional

    model = io.BytesIO()
    fixed = {"vocab_size": size, "hard_vocab_limit": False, "num_threads": 1, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, character_coverage=0.9995, **fixed, **trainer
    )
    return model.getvalue()

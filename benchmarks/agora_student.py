"""Pre-train a small Bort on the sentences of the study's sets that it does not measure: films and newspaper.

    python benchmarks/agora_student.py [--steps STEPS] [--out FOLDER]

Writes a masked language model of transformers with the architecture of a converted Bort and a byte-level BPE of its
own. The objective is BERT's: 15 % of the tokens are to be predicted; 80 % of them become the mask, 10 % any token, 10 %
stay. It takes some minutes on one processor; more steps or more text make it better.

Source: Devlin et al., BERT, arXiv 1810.04805, section 3.1.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bort_convert
import torch
from transformers import AutoConfig, AutoTokenizer, BertForMaskedLM

from agora_data import ROOT, WORK, rated

if TYPE_CHECKING:
    from collections.abc import Sequence

LITTLE = ROOT / "fixtures" / "little_bort" / "little_bort"
STUDENT = WORK / "student"
VOCABULARY = 4000
SIZE = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256}
STEPS, BATCH, LENGTH, WARM_UP, RATE = 6000, 32, 48, 200, 2e-3
MASKED, REPLACED, RANDOM = 0.15, 0.8, 0.1
NOT_ASKED = -100
SEED = 20201020


def little_bort() -> Path:
    """The little Bort of the fixtures, converted."""
    out = WORK / "little_bort"
    if not out.exists():
        files: dict[str, Any] = {"vocab": f"{LITTLE}.vocab", "bpe_ranks": f"{LITTLE}_ranks.txt"}
        bort_convert.convert(f"{LITTLE}.params", out, family="bort", heads=4, **files)
    return out


def mask(ids: torch.Tensor, tokenizer: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 - transformers
    """Choose the tokens to predict and replace them: ids and labels (batch, length)."""
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    chosen = (torch.rand(ids.shape) < MASKED) & ~special
    labels = torch.where(chosen, ids, NOT_ASKED)
    chance = torch.rand(ids.shape)
    ids = torch.where(chosen & (chance < REPLACED), tokenizer.mask_token_id, ids)
    other = chosen & (chance >= REPLACED) & (chance < REPLACED + RANDOM)
    return torch.where(other, torch.randint(len(tokenizer), ids.shape), ids), labels


def train(model: BertForMaskedLM, tokenizer: Any, texts: Sequence[str], steps: int) -> None:  # noqa: ANN401
    """Train with Adam, warm-up and a rate that falls to zero; print the loss and the share of right guesses."""
    rows = tokenizer(list(texts), truncation=True, max_length=LENGTH, padding="max_length", return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    begin, recent = time.monotonic(), []
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = RATE * min(step / WARM_UP, (steps + 1 - step) / max(1, steps - WARM_UP))
        chosen = torch.randint(len(texts), (BATCH,))
        attention = rows["attention_mask"][chosen]
        width = int(attention.sum(1).max())
        ids, labels = mask(rows["input_ids"][chosen, :width], tokenizer)
        states = model.bert(input_ids=ids, attention_mask=attention[:, :width]).last_hidden_state
        asked = labels != NOT_ASKED
        logits = model.cls(states[asked])
        loss = torch.nn.functional.cross_entropy(logits, labels[asked])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append((loss.item(), (logits.argmax(-1) == labels[asked]).float().mean().item()))
        if step % 250 == 0 or step == steps:
            means = [sum(values) / len(recent) for values in zip(*recent, strict=True)]
            minutes = (time.monotonic() - begin) / 60
            sys.stdout.write(f"step {step}: loss {means[0]:.3f}, guessed {means[1]:.1%}, {minutes:.1f} min\n")
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
    texts = [text for name in ("films", "newspaper") for text, _ in rated(name)]
    tokenizer = AutoTokenizer.from_pretrained(little_bort()).train_new_from_iterator(texts, VOCABULARY)
    config = AutoConfig.from_pretrained(little_bort())
    names = ("bos", "cls", "eos", "mask", "pad", "sep", "unk")
    config.update({f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in names})
    config.update(
        {**SIZE, "vocab_size": len(tokenizer), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    )
    model = BertForMaskedLM(config)
    train(model, tokenizer, texts, options.steps)
    model.config.update({"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1})
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)


if __name__ == "__main__":
    main()

"""Load a converted directory, fill in a mask, and show that every tensor of the model came from the checkpoint.

python first_steps.py DIRECTORY
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForMaskedLM
from transformers.utils import logging

logging.disable_progress_bar()
model, loading = AutoModelForMaskedLM.from_pretrained(sys.argv[1], output_loading_info=True)
config = model.config
print(f"{type(model).__name__}: {config.num_hidden_layers} layers, {config.num_attention_heads} heads, ", end="")
print(f"{config.hidden_size} units, {config.vocab_size} tokens, {model.num_parameters():,} parameters")
for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
    print(f"  {kind.replace('_', ' ')}: {sorted(loading[kind]) or 'none'}")

mask = config.vocab_size - 1
ids = torch.tensor([[config.bos_token_id, 17, mask, 23, config.eos_token_id]])  # (batch, length)
with torch.inference_mode():
    logits = model.eval()(ids).logits  # (batch, length, vocab)
best = logits[0, 2].topk(3)
print(f"logits: {tuple(logits.shape)}; for token {mask} at position 2 the best are", end=" ")
print(
    ", ".join(
        f"{token} ({value:.2f})" for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
)

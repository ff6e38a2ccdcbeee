"""Ask a converted masked language model for the word behind a mask.

python first_steps.py DIRECTORY "A sentence with a <mask> in it."
"""

from __future__ import annotations

import sys

from transformers import pipeline
from transformers.utils import logging

logging.disable_progress_bar()
directory, sentence = sys.argv[1:]
ask = pipeline("fill-mask", model=directory, tokenizer=directory)

print(sentence)
for answer in ask(sentence):
    print(f"  {answer['score']:.3f}  {answer['token_str'].strip()}")

"""The tau `mask`: hide some tokens of a text, and let the candidate's own masked language model fill them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from bort_convert.agora.classifier import load_tokenizer, longest
from bort_convert.errors import ConvertError, OptionError
from bort_convert.model_dir.read import read_model_dir
from bort_convert.verification.torch_run import load_pretrained

if TYPE_CHECKING:
    import random

MASKED: Final = 0.15
"""Share of the tokens that are replaced, at least one."""
BEST: Final = 10
"""Tokens among which the new one is drawn, by their probabilities."""


class Masking:
    """Replaces tokens of a text.

    Args:
        candidate: directory of a masked language model with its tokenizer, converted or any of transformers.

    Raises:
        OptionError: it has no masked-language-model head, no mask, or transformers cannot load it.
    """

    def __init__(self, candidate: str) -> None:
        self._model = _masked_model(candidate)
        self._tokenizer = load_tokenizer(candidate, "candidate")
        if self._tokenizer.mask_token_id is None:
            raise OptionError("candidate", candidate, 'its tokenizer has no mask, which the tau "mask" needs')
        self._length = longest(self._model.config, self._tokenizer)

    def __call__(self, text: str, chance: random.Random) -> str:
        """Fill in each of the chosen places in turn, so that a later choice sees those before it."""
        ids = self._tokenizer(text, truncation=True, max_length=self._length)["input_ids"]
        special = set(self._tokenizer.all_special_ids)
        places = [place for place, token in enumerate(ids) if token not in special]
        for place in chance.sample(places, min(len(places), max(1, round(MASKED * len(places))))):
            ids[place] = self._drawn(ids, place, special, chance)
        kept = [token for token in ids if token not in special]
        return str(self._tokenizer.decode(kept, clean_up_tokenization_spaces=False)).strip()

    def _drawn(self, ids: list[int], place: int, special: set[int], chance: random.Random) -> int:
        """A token for a place: neither the one that stands there nor a special one."""
        hidden = [*ids[:place], self._tokenizer.mask_token_id, *ids[place + 1 :]]
        with torch.no_grad():
            logits = self._model(input_ids=torch.tensor([hidden])).logits[0, place]
        logits[[ids[place], *special]] = -torch.inf
        best = logits.topk(min(BEST, len(logits)))
        (drawn,) = chance.choices(best.indices.tolist(), best.values.softmax(-1).tolist())
        return int(drawn)


def _masked_model(candidate: str) -> Any:  # noqa: ANN401 - transformers has no types
    """The masked language model of a directory; a converted one with the hyperparameters of its own head."""
    try:
        model = load_pretrained(read_model_dir(candidate))
        problem = "" if type(model).__name__.endswith("ForMaskedLM") else f"this is a {type(model).__name__}"
    except ConvertError as error:
        problem = str(error).split("\n", 1)[0]
    if problem:
        hint = "Choose `tau='drop'` or another one"
        raise OptionError("candidate", candidate, f'the tau "mask" needs a masked language model: {problem}. {hint}')
    return model

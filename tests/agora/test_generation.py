from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import pytest

from bort_convert.agora.datasets import folded
from bort_convert.agora.generation import FARTHEST, NEAREST, Generator, drop, find_tau, overlap, swap
from bort_convert.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

SENTENCE = "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do."
LONG = " ".join(f"word{number}" for number in range(200))


def test_overlap_is_that_of_words_and_neighbours() -> None:
    assert overlap("a b c", "A  b c") == 1.0
    assert overlap("a b c d", "a b c x") == pytest.approx(2 * (3 + 2) / (7 + 7))
    assert overlap("a b c d", "b a c d") == pytest.approx(2 * (4 + 1) / (7 + 7))
    assert overlap("don't go.", "don ' t go .") == 1.0
    assert overlap("a", "b") == 0.0


@pytest.mark.parametrize("tau", [drop, swap])
@pytest.mark.parametrize("text", [SENTENCE, LONG])
def test_a_tau_makes_similar_texts_and_the_same_from_the_same_state(tau: object, text: str) -> None:
    assert callable(tau)
    made = [tau(text, random.Random(seed)) for seed in range(200)]
    assert made == [tau(text, random.Random(seed)) for seed in range(200)]
    assert len(set(made)) > 15
    usable = [new for new in made if FARTHEST <= overlap(text, new) <= NEAREST]
    assert len(usable) > 100
    assert all(set(new.split()) <= set(text.split()) for new in made)


def test_drop_takes_a_tenth_of_the_words_and_swap_keeps_all() -> None:
    lengths = [len(drop(LONG, random.Random(seed)).split()) for seed in range(50)]
    assert sum(lengths) / len(lengths) == pytest.approx(180, abs=3)
    assert sorted(swap(LONG, random.Random(1)).split()) == sorted(LONG.split())
    assert swap("one", random.Random(1)) == "one"


def test_points_come_from_all_parents_and_taus_and_are_new() -> None:
    parents = [(7, SENTENCE), (3, LONG)]
    made = Generator("drop,swap", "", [SENTENCE, LONG], copies=4).make(parents, "1-2")
    assert made.skipped == 0
    assert [(row, how) for _, row, how in made.texts] == [
        (row, how) for row in (7, 3) for how in ("drop", "swap", "drop", "swap")
    ]
    texts = [text for text, _, _ in made.texts]
    assert len({*texts, SENTENCE, LONG}) == 10
    assert all(FARTHEST <= overlap(dict(parents)[row], text) <= NEAREST for text, row, _ in made.texts)


def test_the_seed_decides_alone() -> None:
    first, again = Generator("drop", "", []), Generator("drop", "", [])
    parents = [(number, f"{SENTENCE} {number}") for number in range(4)]
    assert first.make(parents, "a") == first.make(parents, "a") == again.make(parents, "a")
    assert first.make(parents, "b") != first.make(parents, "a")
    assert first.make(parents[2:], "a").texts == first.make(parents, "a").texts[4:]


def test_a_text_of_another_set_is_never_made() -> None:
    every_drop = {folded(drop("a b c d", random.Random(seed))) for seed in range(2000)}
    taken = [text.upper() for text in every_drop if text != "a b d"]
    found = {
        text
        for seed in range(60)
        for text, _, _ in Generator("drop", "", taken).make([(0, "a b c d")], f"{seed}").texts
    }
    assert found == {"a b d"}
    made = Generator("drop", "", every_drop).make([(0, "a b c d")], "1")
    assert (made.texts, made.skipped) == ((), 2)


def test_no_point_is_made_twice() -> None:
    made = Generator("swap", "", [], copies=30).make([(0, "a b c d"), (1, "A b c d")], "1")
    texts = [folded(text) for text, _, _ in made.texts]
    assert len(texts) == len(set(texts)) == 3
    assert made.skipped == 57


def test_too_similar_and_too_different_texts_are_skipped_and_counted() -> None:
    calls: list[str] = []

    def answers(text: str, chance: random.Random) -> str:
        calls.append(text)
        return chance.choice([text.upper(), "something else entirely", " "])

    made = Generator([answers], "", []).make([(0, "a b c d")], "1")
    assert (made.texts, made.skipped) == ((), 2)
    assert calls == ["a b c d"] * 10


def test_of_a_pair_one_side_is_changed() -> None:
    pair = (SENTENCE, LONG)
    made = Generator("swap", "", [pair], copies=30).make([(0, pair)], "1")
    sides = {tuple(new == old for new, old in zip(text, pair, strict=True)) for text, _, _ in made.texts}
    assert sides == {(True, False), (False, True)}


def test_none_makes_nothing_and_a_function_of_a_module_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Generator("none", "", []).make([(0, SENTENCE)], "1").texts == ()
    (tmp_path / "own_tau.py").write_text(
        "number = 3\ndef louder(text, chance): return text + ' ' + chance.choice('!?')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = Generator("own_tau:louder", "", []).make([(0, "so it is")], "1").texts
    assert {text for text, _, _ in made} <= {"so it is !", "so it is ?"}
    assert {how for _, _, how in made} == {"own_tau:louder"}
    for name, problem in {
        "own_tau:quieter": "cannot be imported: module 'own_tau' has no attribute 'quieter'",
        "no_such_module_here:f": "cannot be imported: No module named 'no_such_module_here'",
        "own_tau:number": "is int, expected a function",
        "synonyms": 'expected mask, drop, swap, none or "module:function"',
    }.items():
        with pytest.raises(OptionError) as caught:
            find_tau(name, "")
        assert str(caught.value) == f"`tau={name!r}`: {problem}"
    sys.modules.pop("own_tau")


@pytest.mark.torch
def test_mask_fills_in_what_the_candidate_expects(little: str) -> None:
    import torch
    import transformers

    from bort_convert.agora.masking import BEST, Masking

    masking = Masking(little)
    tokenizer = transformers.AutoTokenizer.from_pretrained(little)
    model = transformers.AutoModelForMaskedLM.from_pretrained(little)
    text = "The White Rabbit looked at his watch."
    made = [masking(text, random.Random(seed)) for seed in range(30)]
    assert made == [masking(text, random.Random(seed)) for seed in range(30)]
    ids = tokenizer(text)["input_ids"]
    ranks, changed = [], []
    for new in made:
        others = tokenizer(new)["input_ids"]
        if len(others) != len(ids):
            continue  # the new token and its neighbour are one token for the tokenizer
        places = [place for place, (old, now) in enumerate(zip(ids, others, strict=True)) if old != now]
        changed.append(len(places))
        if len(places) == 1:
            hidden = torch.tensor([ids])
            hidden[0, places[0]] = tokenizer.mask_token_id
            logits = model(input_ids=hidden).logits[0, places[0]]
            ranks.append(int((logits > logits[others[places[0]]]).sum()))
    assert len(ranks) > 15
    assert max(ranks) <= BEST + len(tokenizer.all_special_ids)
    assert len(set(ranks)) > 4
    assert max(changed) <= 2
    with torch.no_grad():  # a head that likes special tokens best
        masking._model.cls.predictions.bias[tokenizer.all_special_ids] = 100.0  # noqa: SLF001
    assert all(masking(text, random.Random(seed)) == made[seed] for seed in range(5))
    longer = f"{text} " * 60
    assert len(tokenizer(masking(longer, random.Random(1)))["input_ids"]) <= 128


@pytest.mark.torch
def test_mask_needs_a_masked_language_model(real_weights: Path, tmp_path: Path) -> None:
    from bort_convert.agora.masking import Masking

    for candidate in (real_weights, tmp_path):
        with pytest.raises(OptionError, match=r'the tau "mask" needs a masked language model: .*Choose `tau=\'drop\'`'):
            Masking(str(candidate))

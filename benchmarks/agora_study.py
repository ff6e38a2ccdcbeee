"""Measure Agora and its baselines on real texts, with a frozen Bort as the student: the figures of docs/agora-study.md.

    python benchmarks/agora_study.py [--seeds SEEDS] [--sets tweets amazon] [--students little student] [--tables]

For each set and seed: D 80, E 100 and T 300 texts, balanced and disjoint, and all others without labels as the pool.
The student is a network over the frozen states of a masked language model, the mean over the tokens at each level: the
converted little Bort, which has read one book, or the one that `agora_student.py` pre-trains. The teacher is
all-MiniLM-L6-v2 with a linear head fitted on D. Tau is `mask,drop` with the student's own masked-language-model head.

Each seed is a line of build/agora/study.jsonl, written when it is done: a run that is stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
import transformers
from bort_convert.agora.datasets import folded
from bort_convert.agora.encoders import SentenceTeacher
from bort_convert.agora.generation import Generator
from bort_convert.agora.values import Example

from agora_arms import Outcome, Sets, Study, compared, grid, markdown
from agora_data import WORK, labelled
from agora_student import STUDENT, TEACHER, little_bort

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

JOURNAL = WORK / "study.jsonl"
TRAIN, DEV, TEST = 80, 100, 300
TAU, COPIES, STEPS, SEEDS = "mask,drop", 1, 100, 10
THETA = grid(lr=[0.01, 0.003, 0.001], decay=[0.01], seed=[0, 1])
LENGTH, BATCH = 64, 32
NAMES = ("neg", "pos")


class Texts:
    """Texts as a study needs them.

    Args:
        student: directory of the masked language model.
        sets: D for the teacher's head and for the scale of the states, and what may not be made.
        vectors: states of texts that are known already.
    """

    def __init__(self, student: Path, sets: Sets, vectors: dict[str, torch.Tensor]) -> None:
        self._known = vectors
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(student)
        self._model = transformers.AutoModel.from_pretrained(student, add_pooling_layer=False).eval()
        examples = [Example(text, label) for text, label in zip(sets.train, sets.train_labels, strict=True)]
        self._teacher = SentenceTeacher(str(TEACHER), examples, NAMES, LENGTH)
        self._generator = Generator(TAU, str(student), [*sets.train, *sets.dev, *sets.test], copies=COPIES)
        states = self._states(sets.train)
        self._mean, self._deviation = states.mean(0), states.std(0) + 1e-6

    def vectors(self, points: Sequence[str]) -> torch.Tensor:
        """States of texts, by D's mean and deviation: float32 (texts, levels * hidden_size)."""
        return (self._states(points) - self._mean) / self._deviation

    def teach(self, points: Sequence[str]) -> list[int]:
        """Labels by the teacher."""
        return [int(positive > negative) for negative, positive in self._teacher.probabilities(points)]

    def make(self, points: Sequence[str], copies: int, seed: str) -> list[str]:
        """Texts by tau."""
        assert copies == COPIES
        made = self._generator.make(list(enumerate(points)), seed)
        return [text for text, *_ in made.texts if isinstance(text, str)]

    def _states(self, texts: Sequence[str]) -> torch.Tensor:
        new = sorted({text for text in texts if text not in self._known}, key=lambda text: (len(text), text))
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            batch = self._tokenizer(part, truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
            with torch.no_grad():
                levels = self._model(**batch, output_hidden_states=True).hidden_states
            mask = batch["attention_mask"].unsqueeze(-1)
            means = torch.cat([(level * mask).sum(1) / mask.sum(1) for level in levels], -1)
            self._known |= dict(zip(part, means, strict=True))
        return torch.stack([self._known[text] for text in texts])


def drawn(name: str, seed: int) -> Sets:
    """Sets of one seed, balanced and disjoint after case and space folding."""
    chance = random.Random(f"{name} {seed}")
    once = list({folded(text): (text, label) for text, label in labelled(name)}.values())
    chance.shuffle(once)
    texts = {label: [text for text, other in once if other == label] for label in (0, 1)}
    parts = []
    for count in (TRAIN, DEV, TEST):
        points = [(texts[label].pop(), label) for _ in range(count // 2) for label in (0, 1)]
        parts += [[text for text, _ in points], [label for _, label in points]]
    return Sets(*parts, [*texts[0], *texts[1]])


def measured(students: Sequence[str], sets: Sequence[str], seeds: int) -> Iterator[tuple[str, str, int]]:
    """Measure what the journal does not have, seed by seed, so that all tables grow together."""
    done = {(row["student"], row["set"], row["seed"]) for row in rows_of(JOURNAL)}
    vectors: dict[str, dict[str, torch.Tensor]] = {student: {} for student in students}
    folders = {"little": little_bort, "student": lambda: STUDENT}
    for seed in range(seeds):
        for student in students:
            for name in sets:
                if (student, name, seed) in done:
                    continue
                begin = time.monotonic()
                folder, found = folders[student](), drawn(name, seed)
                texts = Texts(folder, found, vectors[student])
                arms = Study(texts, found, THETA, steps=STEPS, copies=COPIES, seed=seed).arms()
                row = {"student": student, "set": name, "seed": seed, "seconds": round(time.monotonic() - begin)}
                with JOURNAL.open("a", encoding="utf-8") as file:
                    outcomes = {arm: asdict(outcome) for arm, outcome in arms.items()}
                    file.write(json.dumps({**row, "arms": outcomes}) + "\n")
                yield student, name, seed


def rows_of(journal: Path) -> list[dict[str, object]]:
    """Lines of a journal; a torn one is passed over."""
    lines = journal.read_text("utf-8").splitlines() if journal.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}}}")]


def tables(journal: Path) -> str:
    """A table for each student and set that was measured for two seeds or more."""
    groups: dict[tuple[str, str], list[dict[str, Outcome]]] = {}
    for row in rows_of(journal):
        arms = {arm: Outcome(**outcome) for arm, outcome in row["arms"].items()}  # type: ignore[attr-defined]
        groups.setdefault((str(row["student"]), str(row["set"])), []).append(arms)
    return "\n\n".join(
        f"**{student}, {name}, {len(outcomes)} seeds**\n\n{markdown(compared(outcomes))}"
        for (student, name), outcomes in groups.items()
        if len(outcomes) > 1
    )


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many; {SEEDS} if absent")
    parser.add_argument("--sets", nargs="+", default=["tweets", "amazon"], help="tweets, amazon, films or newspaper")
    parser.add_argument("--students", nargs="+", default=["little", "student"], help="little, student, or both")
    parser.add_argument("--tables", action="store_true", help="print the tables of what was measured, and no more")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if not options.tables:
        for student, name, seed in measured(options.students, options.sets, options.seeds):
            sys.stderr.write(f"{student}, {name}, seed {seed}\n")
    sys.stdout.write(tables(JOURNAL) + "\n")


if __name__ == "__main__":
    main()

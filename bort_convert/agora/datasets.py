"""Read the sets of a run and compare them: labels, texts in two sets, balance and size; all problems at once."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from bort_convert.agora.set_files import SetFile, numbered, read_set
from bort_convert.agora.values import Data, Example
from bort_convert.errors import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from bort_convert.agora.set_files import Row, Source
    from bort_convert.agora.values import Text

MAJORITY: Final = 0.6
"""Share of one label above which the run warns."""
FEW_DEV: Final = 50
OVERLAP_ALLOWED: Final = "train:dev"
"""The only two sets that may share texts, if asked for."""
_LABELS: Final = 2


def folded(text: Text) -> str:
    """A text without differences of case and space; texts that are equal in this are the same."""
    parts = (text,) if isinstance(text, str) else text
    return "\0".join(" ".join(part.casefold().split()) for part in parts)


def read_data(
    train: Source,
    dev: Source,
    test: Source | None = None,
    pool: Source | None = None,
    *,
    balance: int | None = None,
    allow_overlap: Collection[str] = (),
) -> Data:
    """Read all sets; what is wrong with them is in `Data.problems`, what is doubtful in `Data.warnings`.

    Args:
        train: file, or pairs of text and label; see `set_files.read_set`.
        dev: the same.
        test: the same; None for none.
        pool: unlabelled texts; None for none. Texts that are in another set are left out.
        balance: seed with which the majority of `train` and `dev` is reduced to as many as the minority; None for all.
        allow_overlap: pairs of sets that may share texts: "train:dev".
    """
    sources = {"train": train, "dev": dev, **({} if test is None else {"test": test})}
    sets = {name: read_set(source, name) for name, source in sources.items()}
    texts = None if pool is None else read_set(pool, "pool", labelled=False)
    problems = [line for found in (*sets.values(), *([texts] if texts else [])) for line in found.problems]
    labels = tuple(sorted({row.label for row in sets["train"].rows}))
    problems += [*_label_problems(sets, labels), *_form_problems({**sets, **({"pool": texts} if texts else {})})]
    problems += [
        f"`allow_overlap={name!r}`: expected {OVERLAP_ALLOWED!r}; no set may share a text with the test set"
        for name in allow_overlap
        if name != OVERLAP_ALLOWED
    ]
    problems += _overlap_problems(sets, allow_overlap)
    warnings = _warnings(sets, is_balanced=balance is not None)
    rows = {name: _balanced(name, found.rows, balance) for name, found in sets.items()}
    unused, note = _unused(texts, sets)
    return Data(
        **{name: _examples(rows.get(name, ()), labels) for name in ("train", "dev", "test")},
        pool=unused,
        labels=labels,
        digests={name: found.digest for name, found in (*sets.items(), *([("pool", texts)] if texts else []))},
        problems=tuple(problems),
        warnings=(*warnings, *note),
    )


def _label_problems(sets: dict[str, SetFile], labels: tuple[str, ...]) -> Iterator[str]:
    train = sets["train"]
    if train.rows and len(labels) != _LABELS:
        counts = Counter(row.label for row in train.rows)
        first = {row.label: row.number for row in reversed(train.rows)}
        found = ", ".join(f"{printable(name)!r} {_times(counts[name])}, first in row {first[name]}" for name in labels)
        yield f"{train.name}: {len(labels)} label{'s' * (len(labels) != 1)}, expected 2: {found}"
    for name, found_set in sets.items():
        others = {} if name == "train" else Counter(row.label for row in found_set.rows if row.label not in labels)
        for label, count in others.items():
            first_row = next(row.number for row in found_set.rows if row.label == label)
            yield (
                f"{found_set.name}: the label {printable(label)!r}, {_times(count)}, first in row {first_row}, "
                f"is not in {train.name}"
            )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _form_problems(sets: dict[str, SetFile]) -> Iterator[str]:
    """Single texts and pairs do not go together."""
    forms = {(found.name, isinstance(row.text, tuple)) for found in sets.values() for row in found.rows}
    pairs, singles = (sorted(name for name, is_pair in forms if is_pair == wanted) for wanted in (True, False))
    if pairs and singles:
        yield f"pairs of texts in {', '.join(pairs)}, single texts in {', '.join(singles)}: expected one of them"


def _overlap_problems(sets: dict[str, SetFile], allowed: Collection[str]) -> Iterator[str]:
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        if other not in sets or (f"{one}:{other}" in allowed and f"{one}:{other}" == OVERLAP_ALLOWED):
            continue
        rows = {folded(row.text): row.number for row in reversed(sets[one].rows)}
        shared = [row.number for row in sets[other].rows if folded(row.text) in rows]
        if shared:
            there = [rows[folded(row.text)] for row in sets[other].rows if row.number in set(shared)]
            hint = f"; `allow_overlap={OVERLAP_ALLOWED!r}` accepts it" if f"{one}:{other}" == OVERLAP_ALLOWED else ""
            yield (
                f"{len(shared):,} text{'s' * (len(shared) != 1)} of {sets[other].name} ({numbered(shared)}) "
                f"also in {sets[one].name} ({numbered(there)}), but for case and spaces{hint}"
            )


def _warnings(sets: dict[str, SetFile], *, is_balanced: bool) -> list[str]:
    lines = []
    for name, found in sets.items():
        counts = Counter(row.label for row in found.rows).most_common(1)
        share = counts[0][1] / len(found.rows) if counts else 0.0
        if share > MAJORITY and not (is_balanced and name != "test"):
            hint = "" if name == "test" else "; `balance=True` leaves as many of each"
            lines.append(f"{found.name}: {share:.0%} are {printable(counts[0][0])!r}{hint}")
    if 0 < (count := len(sets["dev"].rows)) < FEW_DEV:
        lines.append(
            f"{sets['dev'].name}: {count} points: one mistake is {1 / count:.1%}, and all models are compared on it"
        )
    if "test" not in sets:
        lines.append("no test set: every figure is on dev, where the model was chosen")
    return lines


def _balanced(name: str, rows: tuple[Row, ...], seed: int | None) -> tuple[Row, ...]:
    """As many rows of each label as of the rarest, in their order; the test set is never changed."""
    if seed is None or name == "test":
        return rows
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row.label, []).append(row)
    fewest = min(map(len, by_label.values()), default=0)
    chance = random.Random(f"{seed} {name}")  # noqa: S311 - no secret
    kept = {row.number for label in sorted(by_label) for row in chance.sample(by_label[label], fewest)}
    return tuple(row for row in rows if row.number in kept)


def _examples(rows: Sequence[Row], labels: tuple[str, ...]) -> tuple[Example, ...]:
    indices = {label: index for index, label in enumerate(labels)}
    return tuple(
        Example(row.text, indices[row.label])
        if isinstance(row.text, str)
        else Example(row.text[0], indices[row.label], row.text[1])
        for row in rows
        if row.label in indices
    )


def _unused(pool: SetFile | None, sets: dict[str, SetFile]) -> tuple[tuple[Text, ...], list[str]]:
    """Texts of the pool that are in no other set, each once; and a warning of how many were left out."""
    if pool is None:
        return (), []
    seen = {folded(row.text) for found in sets.values() for row in found.rows}
    kept = []
    for row in pool.rows:
        if (key := folded(row.text)) not in seen:
            seen.add(key)
            kept.append(row.text)
    left_out = len(pool.rows) - len(kept)
    note = (
        [f"{pool.name}: {left_out:,} texts are left out: they are there twice, or in another set"] if left_out else []
    )
    return tuple(kept), note

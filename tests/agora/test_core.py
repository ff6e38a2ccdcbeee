"""The algorithm: rounds, rules of deletion, the best model, and its replay from any cut of a journal."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bort_convert.agora.core import Agora, replay
from bort_convert.agora.deletion import RULES, Rule, ranked
from bort_convert.agora.theta import BORT, NAMED, SMALL, grid, read_theta, trainings
from bort_convert.errors import AgoraError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bort_convert.agora.values import Hyperparameters

Theta = tuple[dict[str, float], ...]
RULE = st.sampled_from(get_args(Rule))
OPTIONS = st.fixed_dictionaries(
    {
        "prune": RULE,
        "spare": st.booleans(),
        "of_equals": st.sampled_from(["earlier", "later"]),
        "replay": st.integers(0, 2),
        "delete_at_least": st.sampled_from([0.0, 0.0, 0.33, 1.0]),
        "stop_when_perfect": st.booleans(),
    }
)
# Few values, so that equal ones, fields that do not vary, and equal scores are common.
VALUES = st.fixed_dictionaries({field: st.sampled_from([0.1, 0.2, 0.3]) for field in ("lr", "decay", "seed")})
THETA = st.lists(VALUES, min_size=1, max_size=12, unique_by=lambda values: frozenset(values.items())).map(tuple)


def score_of(seed: int, number: int, at: int) -> float:
    return random.Random(f"{seed} {number} {at}").randint(0, 4) / 4


def go(theta: Theta, seed: int, options: Mapping[str, Any]) -> tuple[Agora, list[dict[str, Any]]]:
    """A whole run, each round told in a random order, and its journal."""
    agora, journal, order = Agora(theta, **options), [], random.Random(seed)
    while not agora.done:
        asked = agora.ask()
        for at in order.sample(asked, len(asked)):
            journal.append({"event": "told", "round": agora.round, "id": at, "score": score_of(seed, agora.round, at)})
            agora.tell(at, journal[-1]["score"])
        mistakes = order.randint(0, 3)
        journal.append({"event": "grew", "mistakes": mistakes, "round": agora.round, "left": [*agora.left]})
        journal[-1]["deleted"] = agora.grew(mistakes=mistakes).ids
    return agora, journal


@settings(max_examples=150)
@given(THETA, st.integers(0, 99), OPTIONS)
def test_every_rule_deletes_at_least_one_tuple_a_round_and_ends(
    theta: Theta, seed: int, options: dict[str, Any]
) -> None:
    agora, journal = go(theta, seed, options)
    rounds = [record for record in journal if record["event"] == "grew"]
    of_deletion = [record for record in rounds if record["round"] % (options["replay"] + 1) == 0]
    assert all(record["deleted"] for record in of_deletion)
    assert len(of_deletion) <= len(theta)
    assert len(rounds) <= len(theta) * (options["replay"] + 1)
    gone = [at for record in rounds for at in record["deleted"]]
    assert sorted(gone) == list(range(len(theta)))  # each tuple once
    assert len(theta) <= agora.trainings or options["stop_when_perfect"]
    assert agora.trainings <= (options["replay"] + 1) * len(theta) * (len(theta) + 1) // 2


@settings(max_examples=100)
@given(THETA, st.integers(0, 99), OPTIONS, st.data())
def test_any_order_of_reports_and_any_cut_of_the_journal_give_the_same_run(
    theta: Theta, seed: int, options: dict[str, Any], data: st.DataObject
) -> None:
    whole, journal = go(theta, seed, options)
    cut = data.draw(st.integers(0, len(journal)))
    kept = journal[:cut]
    last = max((at for at, record in enumerate(kept) if record["event"] == "grew"), default=-1) + 1
    kept = kept[:last] + data.draw(st.permutations(kept[last:]))
    agora = replay(theta, kept, **options)
    mistakes = {record["round"]: record["mistakes"] for record in journal if record["event"] == "grew"}
    deleted = [record["deleted"] for record in kept if record["event"] == "grew"]
    while not agora.done:
        for at in data.draw(st.permutations(agora.ask())):
            agora.tell(at, score_of(seed, agora.round, at))
        deleted.append(agora.grew(mistakes=mistakes[agora.round]).ids)
    assert deleted == [record["deleted"] for record in journal if record["event"] == "grew"]
    assert (agora.best, agora.round, agora.trainings) == (whole.best, whole.round, whole.trainings)


@settings(max_examples=50)
@given(THETA, st.integers(0, 99), RULE)
def test_the_best_tuple_of_a_round_is_spared_where_another_is_left(theta: Theta, seed: int, rule: Rule) -> None:
    agora = Agora(theta, prune=rule, spare=True)
    while not agora.done:
        for at in agora.ask():
            agora.tell(at, score_of(seed, agora.round, at))
        winner, left = agora.winner(), len(agora.left)
        assert (winner in agora.grew(mistakes=1).ids) is (left == 1)


def additive(theta: tuple[Hyperparameters, ...], rule: Rule, seed: int, digits: int) -> tuple[int, int]:
    """Rounds and trainings where each value has a random effect of its own, beside noise."""
    chance = random.Random(seed)
    effects = {field: {value: chance.gauss(0, 1) for value in {v[field] for v in theta}} for field in theta[0]}
    agora = Agora(theta, prune=rule)
    while not agora.done:
        for at in agora.ask():
            effect = sum(effects[field][value] for field, value in theta[at].items()) + chance.gauss(0, 1)
            agora.tell(at, round(1 / (1 + 2 ** (-effect / 2)), digits))
        agora.grew(mistakes=1)
    return agora.round - 1, agora.trainings


# The prototype's table: its ranges over three seeds. Ties depend on how fine the scores are: a hundredth there.
TABLE: dict[tuple[str, Rule], tuple[int, int, int, int]] = {
    ("bort", "worst"): (480, 480, 115_440, 115_440),
    ("bort", "ties"): (365, 369, 85_700, 89_600),
    ("bort", "lcs-one"): (240, 240, 57_840, 57_840),
    ("bort", "lcs"): (193, 197, 44_400, 45_200),
    ("bort", "run"): (150, 161, 33_500, 38_600),
    ("bort", "prefix"): (96, 96, 23_280, 23_280),
    ("bort", "lcs-all"): (86, 87, 15_700, 16_200),
    ("small", "worst"): (12, 12, 78, 78),
    ("small", "ties"): (10, 12, 67, 78),
    ("small", "lcs"): (5, 6, 33, 42),
    ("small", "run"): (5, 6, 27, 34),
    ("small", "lcs-all"): (4, 4, 24, 25),
}


@pytest.mark.parametrize(("name", "rule"), TABLE)
def test_rounds_and_trainings_are_those_of_the_prototype(name: str, rule: Rule) -> None:
    """Exact where the rule alone decides; elsewhere our random effects are others, and the mean is near its range."""
    low, high, fewest, most = TABLE[name, rule]
    seeds = range(1 if fewest == most else 2 if rule == "ties" and name == "bort" else 3 if name == "bort" else 20)
    found = [additive(NAMED[name], rule, seed, 2 if rule == "ties" else 12) for seed in seeds]
    if low == high and fewest == most:
        assert set(found) == {(low, fewest)}
        return
    rounds, count = (sum(column) / len(found) for column in zip(*found, strict=True))
    assert 0.88 * low <= rounds <= 1.12 * high
    assert 0.88 * fewest <= count <= 1.12 * most


def deleted(theta: Theta, scores: list[float], rule: Rule, gone: tuple[int, ...] = ()) -> tuple[int, ...]:
    return RULES[rule](ranked(theta, {at: score for at, score in enumerate(scores) if at not in gone})).ids


def test_the_rules_are_what_their_descriptions_say() -> None:
    theta = grid(lr=[1, 2], warmup=[0.1, 0.2], seed=[0, 1])  # 0 to 3 have lr 1, 0 1 4 5 warmup .1, even ones seed 0
    scores = [0.1, 0.1, 0.2, 0.6, 0.3, 0.5, 0.7, 0.8]
    assert deleted(theta, scores, "run") == (0, 1, 2)  # all lr 1; the next is 4
    assert deleted(theta, scores, "worst") == (0,)
    assert deleted(theta, scores, "ties") == (0, 1)
    assert deleted(theta, scores, "prefix") == (0, 1)
    assert deleted(theta, scores, "lcs-one") == (0, 1)
    assert deleted(theta, scores, "lcs") == (0, 1)  # of 1, 2 and 4, which share two fields, the worst
    assert deleted(theta, scores, "lcs-all") == (0, 1, 2, 4)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([0.1, 0.3, 0.2, 0.4], "the worst 2 all had seed 0"),
        ([0.1, 0.2, 0.3, 0.4], "the worst 2 all had lr 1"),
        ([0.1, 0.4, 0.3, 0.2], "the worst"),
    ],
    ids=["the second field", "the first field", "none shared"],
)
def test_a_run_says_what_the_worst_had_in_common(scores: list[float], reason: str) -> None:
    theta: Theta = [{"lr": lr, "seed": seed} for lr in (1, 2) for seed in (0, 1)]
    assert RULES["run"](ranked(theta, dict(enumerate(scores)))).reason == reason


def test_of_fields_that_are_shared_as_long_the_first_is_named() -> None:
    theta: Theta = [
        {"lr": 1, "batch": 8, "seed": 0},
        {"lr": 1, "batch": 8, "seed": 1},
        {"lr": 2, "batch": 4, "seed": 2},
    ]
    assert RULES["run"](ranked(theta, {0: 0.1, 1: 0.2, 2: 0.3})).reason == "the worst 2 all had lr 1"


def test_a_field_that_does_not_vary_makes_no_sequence() -> None:
    theta = grid(lr=[1, 2, 3], seed=[7])
    scores = [0.1, 0.2, 0.3]
    for rule in RULES:
        assert deleted(theta, scores, rule) == (0,), rule
    mixed = grid(lr=[1, 2], seed=[0, 1])
    assert deleted(mixed, [0.1, 0.3, 0.2, 0.4], "run", gone=(2, 3)) == (0,)  # lr is 1 in both that are left


def test_of_equals_the_earlier_is_the_best_and_the_later_on_request() -> None:
    for option, number in (("earlier", 1), ("later", 3)):
        agora = Agora(grid(lr=[1, 2, 3]), prune="worst", of_equals=option)
        while not agora.done:
            for at in agora.ask():
                agora.tell(at, 0.5)
            agora.grew(mistakes=1)
        assert agora.best is not None
        assert (agora.best.round, agora.best.id) == (number, 0 if number == 1 else 2)


def test_a_share_is_filled_up_from_the_worst() -> None:
    agora = Agora(grid(lr=[1, 2, 3, 4, 5, 6]), prune="worst", delete_at_least=0.33)
    for at, score in enumerate([0.6, 0.1, 0.5, 0.2, 0.4, 0.3]):
        agora.tell(at, score)
    assert agora.grew(mistakes=1).ids == (1, 3)


def test_a_round_without_mistakes_ends_the_run_on_request_alone() -> None:
    for option in (False, True):
        agora = Agora(grid(lr=[1, 2]), prune="worst", stop_when_perfect=option)
        agora.tell(0, 1)
        agora.tell(1, 0.9)
        agora.grew(mistakes=0)
        assert agora.done is option


def test_wrong_reports_are_refused() -> None:
    agora = Agora(grid(lr=[1, 2]))
    with pytest.raises(ValueError, match="tuple 0 is nan"):
        agora.tell(0, float("nan"))
    agora.tell(0, 0.5)
    with pytest.raises(ValueError, match="was told already"):
        agora.tell(0, 0.5)
    with pytest.raises(ValueError, match="is not in it"):
        agora.tell(7, 0.5)
    with pytest.raises(ValueError, match="1 tuples are not trained yet"):
        agora.winner()
    with pytest.raises(ValueError, match="a report of round 2 in round 1"):
        replay(grid(lr=[1, 2]), [{"event": "told", "round": 2, "id": 0, "score": 1.0}])


@pytest.mark.parametrize(
    ("theta", "problem"),
    [
        ((), "it is empty"),
        (({"lr": 1}, {"lr": 2}, {"lr": 1}), "tuples 1 and 3 are equal"),
        (({"lr": 1}, {"decay": 2}), "tuple 2 has the fields decay; tuple 1 has lr"),
    ],
)
def test_a_theta_that_is_no_set_of_tuples_is_refused(theta: Theta, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        Agora(theta)
    with pytest.raises(AgoraError, match=problem):
        read_theta(theta)


@pytest.mark.parametrize(
    "options", [{"prune": "best"}, {"of_equals": "first"}, {"replay": -1}, {"delete_at_least": 1.5}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Agora(SMALL, **options)


def test_a_file_is_a_grid_or_a_list_of_tuples(tmp_path: Path) -> None:
    file = tmp_path / "theta.toml"
    file.write_text("lr = [1e-4, 3e-5]\nseed = [0, 1]\nepochs = 3\n")
    assert read_theta(file) == grid(lr=[1e-4, 3e-5], seed=[0, 1], epochs=[3])
    file.write_text("[[tuple]]\nlr = 1e-4\n[[tuple]]\nlr = 3e-5\n")
    assert read_theta(file) == ({"lr": 1e-4}, {"lr": 3e-5})
    assert (len(read_theta("small")), len(read_theta("bort"))) == (12, 480)


def test_everything_that_is_wrong_with_a_file_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "theta.toml"
    file.write_text('lr = [-1e-4, 1e-4]\nrate = [1]\nbatch = [8.5, "8"]\nwarmup = [1.5]\nseed = [true]\n')
    with pytest.raises(AgoraError) as caught:
        read_theta(file)
    assert caught.value.disagreements == (
        "unknown field rate; expected one of lr, decay, warmup, batch, epochs, ramp_up_epochs, patience, length, seed",
        "lr -0.0001: expected a number above 0",
        "batch 8.5: expected a whole number above 0",
        "warmup 1.5: expected a number from 0 to 1",
        "seed True: expected a whole number of at least 0",
        "batch '8': expected a whole number above 0",
    )
    for text, problem in (
        ("", "it is empty"),
        ("lr = ", "is no TOML"),
        ("seed = 1\n[[tuple]]\nlr = 1", "something else beside"),
    ):
        file.write_text(text)
        with pytest.raises(AgoraError, match=problem):
            read_theta(file)
    with pytest.raises(AgoraError, match=r"cannot be read: No such file or directory. Expected a TOML file, or one of"):
        read_theta(tmp_path / "none")


def test_the_cost_is_known_beforehand() -> None:
    assert trainings(SMALL) == (78, 30)
    assert trainings(SMALL, replay=1)[0] == 156
    assert trainings(BORT, prune="prefix") == (115_440, 23_280)

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path

import pytest

from bort_convert.agora.metrics import score
from bort_convert.agora.values import FAILED, FIELDS, Example, PredictionSpec, TrialSpec

pytestmark = pytest.mark.torch
GOOD, BAD = ("good", "happy", "pleased", "glad"), ("poor", "angry", "frightened", "sad")
PLAIN = ("the", "Queen", "said", "to", "Alice", "about", "a", "door", "garden")


def task(count: int, seed: int) -> tuple[Example, ...]:
    """Sentences in which one word decides the label."""
    chance = random.Random(seed)
    examples = []
    for number in range(count):
        words = chance.sample(PLAIN, 5)
        words.insert(chance.randrange(6), chance.choice((BAD, GOOD)[number % 2]))
        examples.append(Example(" ".join(words), number % 2))
    return tuple(examples)


@pytest.fixture
def spec(little: str, tmp_path: Path) -> TrialSpec:
    theta = FIELDS | {"lr": 1e-3, "epochs": 4, "ramp_up_epochs": 4, "length": 16, "patience": 4}
    dev = task(20, 2)
    return TrialSpec("0001-00", little, str(tmp_path), task(40, 1), dev, ("bad", "good"), theta, seed=3)


def test_a_trial_learns_and_its_saved_model_predicts_what_it_says(spec: TrialSpec, tmp_path: Path) -> None:
    import torch

    from bort_convert.agora.trial import predict, run_trial

    before = torch.random.get_rng_state()
    result = run_trial(spec)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (result.id, result.failure, result.weights) == ("0001-00", "", f"{tmp_path}/model")
    assert result.score > 0.7
    assert 1 <= result.epoch <= result.epochs <= 4
    right = [guess == example.label for guess, example in zip(result.predictions, spec.dev, strict=True)]
    assert sum(right) / len(right) == result.score
    rows = predict(PredictionSpec(result.weights, tuple(example.texts for example in spec.dev), 16))
    assert tuple(max(range(2), key=row.__getitem__) for row in rows) == result.predictions
    assert all(sum(row) == pytest.approx(1) for row in rows)


def test_the_same_spec_gives_the_same_trial_and_another_seed_another(spec: TrialSpec, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from bort_convert.agora.trial import run_trial

    short = dataclasses.replace(spec, theta=spec.theta | {"epochs": 1}, epoch="last")
    results = []
    for number, seed in enumerate((3, 3, 4)):
        torch.set_num_threads(1 + number % 2)
        torch.manual_seed(number)
        results.append(run_trial(dataclasses.replace(short, seed=seed, folder=str(tmp_path / str(number)))))
        assert torch.get_num_threads() == 1 + number % 2
    torch.set_num_threads(1)
    first, again, other = (load_file(f"{result.weights}/model.safetensors") for result in results)
    assert all(torch.equal(values, again[name]) for name, values in first.items())
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_the_epoch_that_counts_is_the_best_or_the_last_and_patience_ends_a_trial(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bort_convert.agora import trial
    from bort_convert.agora.trial import Epoch, Training

    scores = {1: 0.5, 2: 0.7, 3: 0.7, 4: 0.6, 5: 0.9, 6: 0.1}
    evaluate = Training.evaluate

    def told(self: Training, epoch: int) -> Epoch:
        found = evaluate(self, epoch)
        found.score = scores[epoch]
        return found

    monkeypatch.setattr(Training, "evaluate", told)
    longer = dataclasses.replace(spec, train=spec.train[:8], save_from=None)

    def ended(patience: int, epoch: str) -> tuple[int, int, float]:
        theta = longer.theta | {"epochs": 6, "patience": patience}
        result = trial.run_trial(dataclasses.replace(longer, theta=theta, epoch=epoch))
        assert result.weights == ""
        return result.epochs, result.epoch, result.score

    assert ended(2, "best") == (4, 2, 0.7)
    assert ended(3, "best") == (6, 5, 0.9)
    assert ended(2, "last") == (6, 6, 0.1)


def test_only_judged_rows_score_and_a_model_that_is_not_good_enough_is_not_saved(
    spec: TrialSpec, tmp_path: Path
) -> None:
    from bort_convert.agora.trial import run_trial

    # The judged rows have labels that nobody can learn from the training set: the good words are bad ones there.
    turned = tuple(dataclasses.replace(example, label=1 - example.label) for example in spec.dev[:10])
    result = run_trial(
        dataclasses.replace(
            spec, dev=turned + spec.dev[10:], judged=tuple(range(10)), epoch="last", save_from=0.6, metric="matthews"
        )
    )
    assert result.score == score("matthews", [example.label for example in turned], result.predictions[:10]) < 0
    assert len(result.predictions) == 20
    assert result.weights == ""
    assert list(tmp_path.iterdir()) == []


def test_soft_labels_are_learned_as_probabilities(spec: TrialSpec) -> None:
    from bort_convert.agora.trial import predict, run_trial

    soft = tuple(dataclasses.replace(example, probabilities=(0.7, 0.3)) for example in spec.train)
    theta = spec.theta | {"epochs": 12, "ramp_up_epochs": 12}
    result = run_trial(dataclasses.replace(spec, train=soft, epoch="last", theta=theta))
    rows = predict(PredictionSpec(result.weights, tuple(example.texts for example in spec.train), 16))
    assert sum(row[1] for row in rows) / len(rows) == pytest.approx(0.3, abs=0.07)
    assert all(0.1 < row[1] < 0.5 for row in rows)


def test_frozen_embeddings_stay_and_others_move(spec: TrialSpec, little: str) -> None:
    import torch
    from safetensors.torch import load_file

    from bort_convert.agora.trial import run_trial

    result = run_trial(dataclasses.replace(spec, train=spec.train[:8], freeze=("embeddings",)))
    before, after = load_file(f"{little}/model.safetensors"), load_file(f"{result.weights}/model.safetensors")
    words, positions = (f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))
    assert torch.equal(before[words], after[words])
    assert not torch.equal(before[positions], after[positions])


def test_a_warm_start_goes_on_with_the_trained_head(spec: TrialSpec, tmp_path: Path) -> None:
    from bort_convert.agora.trial import run_trial

    first = run_trial(spec)
    theta = spec.theta | {"epochs": 1, "lr": 1e-7}
    again = dataclasses.replace(spec, warm_start=first.weights, theta=theta, folder=str(tmp_path / "again"))
    assert run_trial(again).predictions == first.predictions


def test_what_diverges_or_has_no_memory_is_a_result_with_a_reason(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from bort_convert.agora import trial

    for decay in (1e38, -1e38):
        theta = spec.theta | {"lr": 1e3, "decay": decay}
        result = trial.run_trial(dataclasses.replace(spec, theta=theta))
        assert (result.score, result.predictions, result.weights) == (FAILED, (), "")
        assert re.fullmatch(r"the loss is nan in step \d+", result.failure)
    monkeypatch.setattr(trial.Classifier, "logits", lambda *_: torch.empty(10**15))
    result = trial.run_trial(spec)
    assert result.failure.startswith("out of memory: ")
    assert "DefaultCPUAllocator" in result.failure
    assert result.score == FAILED
    # An error of the program is none of the tuple.
    monkeypatch.setattr(trial.Classifier, "logits", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match=r"inconsistent tensor size|size mismatch"):
        trial.run_trial(spec)


def test_a_step_in_mixed_precision_has_logits_in_bfloat16_and_weights_in_float32(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a GPU, with the autocast of the CPU."""
    import torch

    from bort_convert.agora import trial

    assert trial.FULL_PRECISION == ("cpu",)
    monkeypatch.setattr(trial, "FULL_PRECISION", ())
    mixed = trial.Training(spec)
    kinds: list[tuple[bool, object]] = []
    logits = trial.Classifier.logits

    def noted(classifier: trial.Classifier, rows: list[dict[str, list[int]]]) -> torch.Tensor:
        found = logits(classifier, rows)
        kinds.append((classifier.model.training, found.dtype))
        return found

    monkeypatch.setattr(trial.Classifier, "logits", noted)
    mixed.train_on([0, 1, 2])
    mixed.evaluate(1)
    assert kinds == [(True, torch.bfloat16), (False, torch.float32)]
    assert {values.dtype for values in mixed.values().values() if values.is_floating_point()} == {torch.float32}


def test_a_step_takes_place_on_the_device_of_the_spec(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of torch's device `meta` have no values: a step on it ends where one is read."""
    import torch

    from bort_convert.agora import trial

    monkeypatch.setattr(trial, "FULL_PRECISION", ("cpu", "meta"))
    training = trial.Training(dataclasses.replace(spec, device="meta"))
    found = {values.device.type for values in training.values().values()}

    def note(_model: torch.nn.Module, _arguments: tuple[()], given: dict[str, torch.Tensor]) -> None:
        found.update(values.device.type for values in given.values())

    training.classifier.model.register_forward_pre_hook(note, with_kwargs=True)
    is_read = r"item\(\) cannot be called on meta tensors"
    with pytest.raises(RuntimeError, match=is_read):  # transformers reads the mask
        training.train_on([0, 1])
    assert found == {"meta"}
    logits = torch.zeros(2, 2, device="meta", requires_grad=True)
    monkeypatch.setattr(trial.Classifier, "logits", lambda *_: logits)
    with pytest.raises(RuntimeError, match=is_read) as caught:
        training.train_on([0, 1])
    last = [entry for entry in caught.traceback if entry.path == Path(trial.__file__)][-1]
    assert "math.isfinite(loss.item())" in str(last.statement)


def test_no_epoch_is_a_failure(spec: TrialSpec) -> None:
    from bort_convert.agora.trial import run_trial

    assert run_trial(dataclasses.replace(spec, theta=spec.theta | {"epochs": 0})).failure == (
        "no epoch was trained: epochs is 0"
    )


def test_a_step_and_an_evaluation_are_measured(spec: TrialSpec) -> None:
    from bort_convert.agora.trial import time_steps

    few = time_steps(spec)
    assert few.step > 0
    assert few.start > 0
    assert few.evaluation > 0

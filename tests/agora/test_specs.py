"""What the options, the tuple and the sets of a run become in the specs of its trials and of its test."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bort_convert.agora.options import Options, gpus_of
from bort_convert.agora.values import Data, Example

pytestmark = pytest.mark.torch
TRAIN, DEV, TEST = ((Example(name, 0), Example(f"{name} two", 1)) for name in ("train", "dev", "test"))


def inputs(options: Options) -> Any:  # noqa: ANN401 - `Inputs`, whose module imports torch
    from bort_convert.agora.generation import Generator
    from bort_convert.agora.starting import Inputs
    from bort_convert.agora.teacher import CallableTeacher

    data = Data(TRAIN, DEV, TEST, labels=("bad", "good"))
    teacher = CallableTeacher(lambda texts: [0] * len(texts), data.labels)
    return Inputs("candidate", data, teacher, 1.0, Generator("none", "candidate", ()), (), options, {}, ())


def test_a_trial_is_what_options_tuple_and_sets_say() -> None:
    from bort_convert.agora.specs import trial_spec

    options = Options(
        metric="f1", epoch="last", epochs=7, batch=3, patience=2, length=50, freeze=("embeddings",), device="meta"
    )
    spec = trial_spec(inputs(options), {"lr": 0.5, "length": 40}, TRAIN[:1], "part", warm_start="best")
    given = {"candidate": "candidate", "train": TRAIN[:1], "dev": DEV, "labels": ("bad", "good"), "judged": None}
    given |= {"metric": "f1", "epoch": "last", "freeze": ("embeddings",), "device": "meta", "warm_start": "best"}
    assert {name: getattr(spec, name) for name in given} == given
    own = {"lr": 0.5, "length": 40, "epochs": 7, "ramp_up_epochs": 7, "batch": 3, "patience": 2}
    assert spec.theta == {"decay": 0.01, "warmup": 0.35, "seed": 0, **own}


def test_the_seed_of_a_trial_follows_from_the_run_the_part_and_the_tuple() -> None:
    from bort_convert.agora.specs import trial_spec

    one, other = inputs(Options()), inputs(Options(seed=1))
    seeds = [
        trial_spec(one, {"lr": 0.5}, TRAIN, "agora", 1).seed,
        trial_spec(one, {"lr": 0.5}, TRAIN, "agora", 2).seed,
        trial_spec(one, {"lr": 0.5}, TRAIN, "plain", 1).seed,
        trial_spec(one, {"lr": 0.5, "seed": 1}, TRAIN, "agora", 1).seed,
        trial_spec(other, {"lr": 0.5}, TRAIN, "agora", 1).seed,
    ]
    assert len({*seeds}) == len(seeds)
    assert trial_spec(one, {"lr": 0.1}, DEV, "agora", 1).seed == seeds[0]  # tuples with equal seeds: the same head


def test_texts_of_the_test_set_are_cut_as_the_model_learned_them() -> None:
    from bort_convert.agora.specs import prediction_spec

    found = inputs(Options(length=50, device="meta"))
    spec = prediction_spec(found, {"lr": 0.5, "length": 40}, Path("model"))
    assert dataclasses.astuple(spec) == ("model", ("test", "test two"), 40, "meta")
    assert prediction_spec(found, {"lr": 0.5}, Path("model")).length == 50


@pytest.mark.parametrize(("device", "count"), [("cpu", 0), ("cuda", 1), ("cuda:1", 1), ("meta", 0)])
def test_a_trial_on_a_gpu_wants_one(device: str, count: int) -> None:
    assert gpus_of(device) == count

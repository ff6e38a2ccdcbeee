"""Runs with the little Bort on a task of words: ends, resumes, failures, and what the test set may not touch."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from word_task import QUICK, SETS, InProcess, knows, report_in, rows

from bort_convert.agora.values import FAILED
from bort_convert.errors import AgoraError, OptionError, OutputError
from bort_convert.workers.jobs import Failure
from bort_convert.workers.processes import LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bort_convert.agora.run import Run

pytestmark = pytest.mark.torch
TWO = ({"lr": 2e-3}, {"lr": 5e-4})


@pytest.fixture
def go(little: str) -> Callable[..., Run]:
    """Runs Agora on 16 training, 20 dev and 20 test examples."""
    from bort_convert.agora import agora

    sets = {name: rows(name, 16 if name == "train" else 20) for name in SETS}

    def run(out: Path, **given: Any) -> Run:  # noqa: ANN401 - those of `agora`
        options = {**QUICK, "theta": TWO, "tau": "drop", "baselines": False, "workers": InProcess(), **given}
        data = {**sets, **{name: options.pop(name) for name in SETS if name in options}}
        return agora(
            options.pop("candidate", little), **data, teacher=options.pop("teacher", knows), out=out, **options
        )

    return run


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_a_run_that_was_cut_off_anywhere_goes_on_to_the_same_report(go: Callable[..., Run], tmp_path: Path) -> None:
    cuts: list[Path] = []

    def cut(_record: dict[str, Any]) -> None:
        cuts.append(tmp_path / f"cut{len(cuts)}")
        shutil.copytree(tmp_path / "whole", cuts[-1])
        with (cuts[-1] / "journal.jsonl").open("a") as file:
            file.write('{"event": "told", "arm": "ago')  # a torn line

    go(tmp_path / "whole", on_event=cut, baselines=True)
    expected = report_in(tmp_path / "whole")
    assert len(cuts) == expected["trainings"] * 2 + len(expected["rounds"]) + len(TWO)
    for folder in (
        cuts[0],
        *cuts[2::3],
    ):  # the third is at the end of the first round, whose points the next one learns
        workers = InProcess()
        before = sum(record["event"] == "told" for record in journal_whole_lines(folder))
        go(folder, resume=True, baselines=True, workers=workers)
        assert report_in(folder) == expected
        assert len(workers.done) == expected["trainings"] * 2 + len(TWO) - before  # nothing is done twice
        assert [*folder.glob("trials/*/model")] == []  # none but the best is kept


def journal_whole_lines(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "journal.jsonl").read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def test_a_run_killed_between_the_best_model_and_the_journal_closes_its_round_again(
    go: Callable[..., Run], tmp_path: Path
) -> None:
    go(tmp_path / "run", max_rounds=1)
    expected = report_in(tmp_path / "run")
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "journal.jsonl").write_text("".join(lines[:-1]))
    assert json.loads(lines[-1])["event"] == "grew"
    go(tmp_path / "run", max_rounds=1, resume=True)
    assert report_in(tmp_path / "run") == expected


def test_the_loop_never_sees_the_test_set(go: Callable[..., Run], tmp_path: Path) -> None:
    one = go(tmp_path / "one")
    other = go(tmp_path / "other", test=[(f"{text} indeed", label) for text, label in rows("test", 60)[20:]])
    without = go(tmp_path / "without", test=None)
    assert journal(tmp_path / "one") == journal(tmp_path / "other") == journal(tmp_path / "without")
    assert one.test != other.test
    assert without.test is None
    assert without.rounds[0]["test"] is None
    assert any("no test set" in line for line in without.report["warnings"])


def test_a_trial_that_diverges_is_the_worst_and_the_run_goes_on(go: Callable[..., Run], tmp_path: Path) -> None:
    run = go(tmp_path / "run", theta=({"lr": 1e30}, {"lr": 5e-4}), prune="worst")
    assert [entry["deleted"] for entry in run.rounds] == [[0], [1]]
    (failure,) = run.report["failures"]
    assert failure["trial"] == "0001-00"
    assert failure["failure"].startswith("the loss is nan")
    result = json.loads((tmp_path / "run" / "trials" / "0001-00" / "result.json").read_text())
    assert (result["score"], result["predictions"]) == (FAILED, [])


def test_a_trial_whose_process_dies_is_the_worst_with_the_reason(go: Callable[..., Run], tmp_path: Path) -> None:
    death = Failure("the process died of SIGKILL; out of memory?", died=True)
    workers = InProcess(lambda spec: death if spec.id == "0001-01" else None)
    run = go(tmp_path / "run", prune="worst", workers=workers)
    assert run.report["failures"] == [{"trial": "0001-01", "failure": death.message}]
    assert [entry["deleted"] for entry in run.rounds] == [[1], [0]]


def test_where_every_trial_fails_the_run_stops_with_the_first_reason(go: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(AgoraError, match=r"every trial of round 1 failed; the first one: the loss is nan"):
        go(tmp_path / "run", theta=({"lr": 1e30}, {"lr": 1e29}))


def test_a_trial_that_fails_is_worse_than_a_model_that_scores_nothing(
    go: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bort_convert.agora.trial.score", lambda *_: 0.0)
    run = go(tmp_path / "run", theta=({"lr": 1e30}, {"lr": 5e-4}), metric="f1", prune="worst")
    assert (run.best.theta, run.best.dev) == ({"lr": 5e-4}, 0.0)
    assert [entry["deleted"] for entry in run.rounds] == [[0], [1]]


def test_a_round_in_which_every_trial_fails_has_no_figure_and_the_run_goes_on(
    go: Callable[..., Run], tmp_path: Path
) -> None:
    from bort_convert.agora.report import round_line

    death = Failure("the process died of SIGKILL; out of memory?", died=True)
    workers = InProcess(lambda spec: death if spec.id.startswith("0002") else None)
    run = go(tmp_path / "run", prune="worst", of_equals="later", workers=workers)
    first, second = run.rounds
    assert run.best.round == 1
    assert (second["dev"], second["mistakes"], second["is_best"]) == (None, None, False)
    assert second["test"] == first["test"]
    assert "1 trained  all failed  0 mistakes -> 0 points  deleted 1" in round_line(second)
    assert "<td>-</td>" in (tmp_path / "run" / "report.html").read_text()


def test_a_text_that_the_shortest_tuple_cuts_is_counted(little: str) -> None:
    from bort_convert.agora.run import inputs_of

    for theta in ([{"lr": 1e-3}], [{"lr": 1e-3, "length": 5}, {"lr": 1e-3, "length": 24}]):
        found = inputs_of(little, rows("train", 16), rows("dev", 20), teacher=knows, tau="none", theta=theta)
        assert ("train: 16 of 16 texts are longer than 5 tokens, and are cut there" in found.warnings) is (
            "length" in theta[0]
        )


def test_trials_that_want_a_gpu_run_one_at_a_time_where_nothing_else_is_said(
    go: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = []

    class Here(LocalWorkers):
        def run(self, function: Any, jobs: Any) -> Any:  # noqa: ANN401 - as `Workers.run`
            rooms.append((self._room.cpus, self._room.gpus))
            return InProcess().run(function, jobs)

    monkeypatch.setattr("bort_convert.agora.run.LocalWorkers", Here)
    go(tmp_path / "run", theta=({"lr": 5e-4},), workers=None, gpus_per_trial=1)
    assert rooms == [(1, 1)]


def test_extensions_and_options_are_heeded(go: Callable[..., Run], tmp_path: Path) -> None:
    unlabelled = [text for text, _ in rows("test", 200)[60:]]
    starts: dict[str, str] = {}
    workers = InProcess(lambda spec: starts.update({spec.id: spec.warm_start}))
    run = go(
        tmp_path / "pool",
        pool=unlabelled,
        judge_share=0.5,
        soft=True,
        warm_start=True,
        metric="f1",
        copies=3,
        workers=workers,
    )
    best = str(tmp_path / "pool" / "best")
    assert starts == {name: "" if name.startswith("0001") else best for name in workers.done}
    assert any(starts.values())
    made = [json.loads(line) for line in (tmp_path / "pool" / "made" / "0001.jsonl").read_text().splitlines()]
    first = run.rounds[0]
    assert len(made) == first["points"] == 3 * first["mistakes"] > 0
    assert first["mistakes"] <= 10  # of the half of dev that does not judge
    assert all(point["how"] == "pool" and unlabelled[point["parent"]] == point["text"] for point in made)
    assert all(point["probabilities"] in ([0, 1], [1, 0]) for point in made)
    assert [("animal", "person")[point["label"]] for point in made] == knows([point["text"] for point in made])
    everything = [point["parent"] for number in (1, 2) for point in points(tmp_path / "pool", number)]
    assert len(everything) == len({*everything})  # no text twice


def test_points_are_made_of_the_mistakes_that_do_not_judge(go: Callable[..., Run], tmp_path: Path) -> None:
    from bort_convert.agora.options import Options
    from bort_convert.agora.specs import judged_rows

    run = go(tmp_path / "run", judge_share=0.5, prune="worst")
    winner = f"0001-{run.rounds[0]['best']:02}"
    result = json.loads((tmp_path / "run" / "trials" / winner / "result.json").read_text())
    labels = [("animal", "person").index(label) for _, label in rows("dev", 20)]
    wrong = {row for row, answer in enumerate(result["predictions"]) if answer != labels[row]}
    judges = {*(judged_rows(20, Options(judge_share=0.5)) or ())}
    assert len(judges) == 10
    assert wrong & judges
    parents = {point["parent"] for point in points(tmp_path / "run", 1)}
    assert parents == wrong - judges

    first, second = run.rounds
    assert (first["dev_of_parents"], first["dev_of_others"]) == (None, 1 - len(wrong) / 20)
    result = json.loads((tmp_path / "run" / "trials" / f"0002-{second['best']:02}" / "result.json").read_text())
    right = {row for row, answer in enumerate(result["predictions"]) if answer == labels[row]}
    assert second["dev_of_parents"] == len(right & parents) / len(parents)
    assert second["dev_of_others"] == len(right - parents) / (20 - len(parents))


def points(folder: Path, number: int) -> list[dict[str, Any]]:
    text = (folder / "made" / f"{number:04}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_replay_and_a_limit_of_rounds(go: Callable[..., Run], tmp_path: Path) -> None:
    run = go(tmp_path / "run", replay=1, prune="worst", max_rounds=2)
    assert [len(entry["deleted"]) for entry in run.rounds] == [0, 1]
    assert run.report["stopped"] == "stopped after 2 rounds, with 1 tuples left"
    assert len(go(tmp_path / "run", replay=1, prune="worst", resume=True).rounds) == 4


def test_baselines_train_on_what_they_say_and_as_often(go: Callable[..., Run], tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {"plain": [], "dev-too": []}

    def note(spec: object) -> None:
        arm = getattr(spec, "id", "").rpartition("-")[0].rstrip("0123456789").rstrip("-")
        if arm in seen:
            seen[arm].append(len(getattr(spec, "train", ())))

    run = go(tmp_path / "run", baselines=True, workers=InProcess(note))
    assert seen == {"plain": [16] * run.report["trainings"], "dev-too": [16 + 20] * len(TWO)}
    assert {*run.baselines} == {"plain", "dev too", "teacher"}
    assert run.baselines["teacher"].accuracy == 1.0  # it knows all words


@pytest.mark.parametrize(
    ("right", "count", "low", "high"), [(8, 10, 0.490, 0.943), (0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0)]
)
def test_an_interval_is_that_of_wilson(right: int, count: int, low: float, high: float) -> None:
    from bort_convert.agora.report import figure_of

    figure = figure_of([1] * right + [0] * (count - right), [1] * count, "accuracy")
    assert figure.accuracy == right / count
    assert (round(figure.low, 3), round(figure.high, 3)) == (low, high)


def test_a_limit_of_hours_ends_a_run_after_its_round(go: Callable[..., Run], tmp_path: Path) -> None:
    run = go(tmp_path / "run", prune="worst", max_hours=0)
    assert len(run.rounds) == 1
    assert run.report["stopped"] == "stopped after 0 hours, with 1 tuples left"
    assert len(go(tmp_path / "run", prune="worst", resume=True).rounds) == 2


def test_other_inputs_and_options_do_not_resume(go: Callable[..., Run], tmp_path: Path) -> None:
    go(tmp_path / "run", max_rounds=1)
    with pytest.raises(AgoraError) as caught:
        go(tmp_path / "run", resume=True, train=rows("train", 18), copies=3, theta=({"lr": 1.0},), tau="swap")
    assert caught.value.disagreements == (
        "`copies`: 2 in the run, 3 now",
        "train: another content than when the run was started",
        "`tau`: ['drop'] in the run, ['swap'] now",
        "`theta`: other tuples than in the run",
    )
    settings = json.loads((tmp_path / "run" / "agora.json").read_text())
    (tmp_path / "run" / "agora.json").write_text(json.dumps({**settings, "format": 2}))
    with pytest.raises(AgoraError, match="has format 2; expected 1"):
        go(tmp_path / "run", resume=True)


def test_a_place_that_holds_something_is_refused(go: Callable[..., Run], tmp_path: Path) -> None:
    from bort_convert.agora.run_directory import RunDirectory

    with pytest.raises(AgoraError, match="no run was started there"):
        go(tmp_path / "none", resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(OutputError, match="is not empty"):
        go(tmp_path / "full")
    go(tmp_path / "run", max_rounds=1)
    with pytest.raises(OutputError, match="`resume=True`"):
        go(tmp_path / "run")
    with RunDirectory(tmp_path / "run"), pytest.raises(OutputError, match="another run works there"):
        go(tmp_path / "run", resume=True)


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_started(
    go: Callable[..., Run], tmp_path: Path
) -> None:
    with pytest.raises(AgoraError) as caught:
        go(
            tmp_path / "run",
            train=[("a mouse ran", "animal"), ("a king sat", "person"), ("", "person"), ("a stone fell", "thing")],
            dev=[("A  mouse ran", "animal"), ("a king ran", "human")],
            theta=({"lr": -1.0, "rate": 2}, {"lr": -1.0, "rate": 2}),
            tau="blur",
            copies=0,
            metric="recall",
            judge_share=2.0,
        )
    lines = "\n".join(caught.value.disagreements)
    for part in (
        *(
            "3 labels, expected 2",
            "'human'",
            "empty",
            "1 text of dev",
            "tuples 1 and 2 are equal",
            "unknown field rate",
        ),
        *("lr -1.0: expected a number above 0", "`tau='blur'`", "`copies=0`", "`metric='recall'`", "`judge_share=2.0`"),
    ):
        assert part in lines, (part, lines)
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_is_weak_or_the_candidate_is_refused(
    go: Callable[..., Run], tmp_path: Path, little: str
) -> None:
    def guesses(texts: list[str]) -> list[str]:
        return ["animal"] * len(texts)

    with pytest.raises(AgoraError, match=r"the teacher has 0.500 on dev \(10 of 20\)"):
        go(tmp_path / "run", teacher=guesses)
    with pytest.raises(AgoraError, match="is the candidate itself"):
        go(tmp_path / "run", teacher=little)
    with pytest.raises(OptionError, match="no such option"):
        go(tmp_path / "run", prun="lcs")
    assert not (tmp_path / "run").exists()
    assert go(tmp_path / "run", teacher=guesses, weak_teacher=True, max_rounds=1).report["teacher"]["dev"] == 0.5

"""Workers on a Ray cluster of this machine, which is started and ended here."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jobs
import pytest
import ray_cluster
from environment import unmeasured
from fleet import content, launch, write_plan
from jobs import wait_until
from word_task import QUICK, SETS, converted, knows, rows

import bort_convert
from bort_convert.batch.journal import FILE_NAME as JOURNAL
from bort_convert.errors import BackendError, OptionError
from bort_convert.workers import cluster
from bort_convert.workers.cluster import RayWorkers, granted
from bort_convert.workers.jobs import Job, Needs
from bort_convert.workers.processes import LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray_cluster import Cluster

PATHS = [Path(cluster.__file__).parents[2], Path(jobs.__file__).parent]
PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
SMALL, LARGE = Needs(2, 0, 100), Needs(8, 1, 400)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Needs(2, 0, 50), Needs(2, 0, 50)),
        (Needs(8, 1, 400), Needs(8, 1, 400)),
        (Needs(9, 0, 50), Needs(8, 0, 50)),
        (Needs(1, 1, 500), Needs(1, 1, 400)),
    ],
)
def test_a_job_gets_what_it_wants_or_else_the_largest_machine(wanted: Needs, expected: Needs) -> None:
    assert granted(wanted, [SMALL, LARGE]) == expected


def test_graphics_processors_that_no_machine_has_are_refused() -> None:
    with pytest.raises(
        BackendError, match=r"wants 2 GPUs.* 2 machines .* none has both, and the most GPUs of one are 1"
    ):
        granted(Needs(1, 2), [SMALL, LARGE])
    with pytest.raises(BackendError, match="wants 0 GPUs and a processor"):
        granted(Needs(), [Needs(0, 0, 100)])


@pytest.mark.parametrize("address", ["", "local", "ray://host:1", "host", "host:", "a b:1", "http://host:80"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="expected HOST:PORT of the head of a Ray cluster that runs, or auto"):
        RayWorkers(address)


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendError, match=r'jobs on a cluster need Ray .*: pip install "\.\[ray\]"'):
        next(RayWorkers("auto").run(jobs.sleep_and_tell, [Job(0.1)]))


@pytest.mark.ray
def test_an_address_where_no_cluster_is_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host, port = closed.getsockname()
        with pytest.raises(BackendError, match=rf"no Ray cluster answers at {host}:{port}: .*refused. Start one"):
            next(RayWorkers(f"{host}:{port}").run(jobs.sleep_and_tell, [Job(0.1)]))
        closed.listen()
        monkeypatch.setattr(cluster, "_ANSWERING", 0.5)
        with pytest.raises(BackendError, match=f"at {host}:{port}: nothing within 0 s; is something else there"):
            next(RayWorkers(f"{host}:{port}").run(jobs.sleep_and_tell, [Job(0.1)]))


@pytest.mark.ray
@pytest.mark.torch
@pytest.mark.long
def test_a_cluster_of_three_machines_that_loses_two(tmp_path: Path) -> None:
    with ray_cluster.cluster(PATHS) as nodes:
        nodes.start(3)
        jobs_end_as_on_this_machine(nodes)
        a_cluster_of_other_versions_is_refused(nodes)
        with connection(nodes):
            a_run_of_agora_is_that_of_two_processes(tmp_path / "agora")
            jobs_get_what_they_want()
            closing_the_outcomes_stops_every_job(tmp_path / "held")
            a_job_is_run_again_whose_machine_is_lost(nodes, tmp_path / "marks")
        a_batch_loses_a_machine_and_no_file(nodes, tmp_path)


def documented(command: str) -> list[str]:
    """Words behind a command in the documentation, where a cluster is started and used."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"{command} ")]
    return shlex.split(next(line for line in lines if "HEAD" in line or "--head" in line), comments=True)[2:]


@pytest.mark.ray
def test_the_documented_commands_of_ray_have_its_options() -> None:
    from ray.scripts.scripts import start  # noqa: PLC0415 - where it is installed

    start.make_context("start", documented("ray start --head"))
    start.make_context("start", documented("ray start --address"))


def jobs_end_as_on_this_machine(nodes: Cluster) -> None:
    words = ["fine", "raise", "exit", "leave", "well", "killed", "fine"]
    before = signal.getsignal(signal.SIGTERM)
    there, here = (
        sorted(
            (one.job.argument, getattr(one.result, "message", None))
            for one in workers.run(jobs.end_or_fail, map(Job, words))
        )
        for workers in (RayWorkers(nodes.address), LocalWorkers(2))
    )
    assert there == here
    assert ("killed", "the process died of SIGKILL; out of memory?") in there
    assert signal.getsignal(signal.SIGTERM) == before


def a_cluster_of_other_versions_is_refused(nodes: Cluster) -> None:
    from ray._raylet import GcsClient  # noqa: PLC0415 - where it is installed

    store, key, room = GcsClient(address=nodes.address), b"CLUSTER_METADATA", b"cluster"
    kept = store.internal_kv_get(key, room)
    for change, message in (
        ({"ray_version": "2.1.0"}, "can be used: Ray version mismatch: cluster has Ray version 2.1.0 but local Ray"),
        (
            {"python_version": "3.9.1"},
            "does not take this process: Version mismatch: The cluster was started with: Ray",
        ),
    ):
        store.internal_kv_put(key, json.dumps(json.loads(kept) | change).encode(), True, room)  # noqa: FBT003
        with pytest.raises(BackendError, match=re.escape(message)):
            next(RayWorkers(nodes.address).run(jobs.interval, [Job(0.1)]))
    store.internal_kv_put(key, kept, True, room)  # noqa: FBT003


@contextlib.contextmanager
def connection(nodes: Cluster) -> Iterator[None]:
    """A connection of a user's own, which workers use and leave open."""
    import ray  # noqa: PLC0415 - where it is installed

    ray.init(address=nodes.address, log_to_driver=False, configure_logging=False)
    try:
        yield
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def jobs_get_what_they_want() -> None:
    workers = RayWorkers("auto")
    assert [one.result for one in workers.run(jobs.threads, [Job(None, Needs(cpus=5))])] == ["1"]
    with pytest.raises(BackendError, match="a job wants 1 GPUs"):
        next(workers.run(jobs.interval, [Job(0.1, Needs(gpus=1))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "__version__", "0.0.1")
        with pytest.raises(BackendError, match=r"cannot run jobs: bort_convert .* is installed there, 0\.0\.1 sent"):
            next(workers.run(jobs.interval, [Job(0.1)]))


def closing_the_outcomes_stops_every_job(folder: Path) -> None:
    folder.mkdir()

    def coming() -> Iterator[Job[str]]:
        for _ in range(3):
            yield Job(str(folder))
        wait_until(lambda: len(list(folder.iterdir())) == 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(RayWorkers("auto").run(jobs.hold, coming()))
    assert list(folder.iterdir()) == []


def a_job_is_run_again_whose_machine_is_lost(nodes: Cluster, folder: Path) -> None:
    folder.mkdir()

    def coming() -> Iterator[Job[tuple[str, str]]]:
        for number in range(3):
            yield Job((str(folder / str(number)), str(folder / "go on")))
        wait_until(lambda: len(list(folder.iterdir())) == 3)
        nodes.kill_node(2)
        (folder / "go on").touch()

    results = [one.result for one in RayWorkers("auto").run(jobs.first_or_again, coming())]
    assert sorted(results) == ["again", "first", "first"]


def a_batch_loses_a_machine_and_no_file(nodes: Cluster, folder: Path) -> None:
    (folder / "in").mkdir()
    ships = launch(folder / "in", 20, 2)
    plan = write_plan(folder / "plan.jsonl", ships)
    put = {"plan.csv": str(plan), "/shared/converted": str(folder / "there"), "HEAD:6379": nodes.address}
    words = [put.get(word, word) for word in documented("bort-convert batch")]
    program = [sys.executable, "-m", "bort_convert", "batch", *words, "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, env=unmeasured()) as batch:
        assert batch.stdout
        lines = [batch.stdout.readline() for _ in range(6)]
        nodes.kill_node(1)
        lines += batch.stdout
    assert batch.returncode == 1
    assert sorted(json.loads(line)["name"] for line in lines) == sorted(ship.name for ship in ships)
    bort_convert.convert_batch(bort_convert.read_plan(plan), folder / "here", jobs=1)
    there, here = ({ship.name: content(folder / root / ship.name) for ship in ships} for root in ("there", "here"))
    assert there == here
    assert [ship.name for ship in ships if not there[ship.name]] == [ship.name for ship in ships if ship.refusal]
    assert {path.name for path in (folder / "there").iterdir()} - {ship.name.partition("/")[0] for ship in ships} == {
        JOURNAL,
        "batch.json",
    }


def a_run_of_agora_is_that_of_two_processes(folder: Path) -> None:
    from bort_convert.agora import agora  # noqa: PLC0415 - torch

    folder.mkdir()
    candidate = converted(folder)
    sets = {name: rows(name, 16 if name == "train" else 20) for name in SETS}
    theta = [{"lr": 2e-3}, {"lr": 5e-4}]
    for name, workers in (("ray", RayWorkers("auto")), ("processes", LocalWorkers(2))):
        options = {**QUICK, "tau": "drop", "baselines": False}
        agora(candidate, **sets, teacher=knows, theta=theta, out=folder / name, workers=workers, **options)
    report, expected = ((folder / name / "report.json").read_bytes() for name in ("ray", "processes"))
    assert report == expected

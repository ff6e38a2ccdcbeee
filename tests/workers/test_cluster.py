from __future__ import annotations

import json
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import jobs
import pytest
import ray_cluster
from jobs import wait_until

from bort_convert.errors import BackendError, OptionError
from bort_convert.workers import cluster
from bort_convert.workers.cluster import RayWorkers, granted
from bort_convert.workers.jobs import Failure, Job, Needs
from bort_convert.workers.processes import LocalWorkers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray_cluster import Cluster

PATHS = [Path(cluster.__file__).parents[2], Path(jobs.__file__).parent]
SMALL, LARGE = Needs(2, 0, 100), Needs(8, 1, 400)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Two machines with a processor each."""
    with ray_cluster.cluster(PATHS) as found:
        found.start_node(1)
        found.start_node(1)
        yield found


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
@pytest.mark.long
def test_jobs_on_a_cluster_end_as_those_on_this_machine(nodes: Cluster) -> None:
    words = ["fine", "raise", "exit", "leave", "well", "killed", "fine"]
    before = signal.getsignal(signal.SIGTERM)
    there, here = (
        sorted(
            ((one.job.argument, type(one.result), getattr(one.result, "message", one.result)) for one in outcomes),
            key=str,
        )
        for outcomes in (
            RayWorkers(nodes.address).run(jobs.end_or_fail, map(Job, words)),
            LocalWorkers(2).run(jobs.end_or_fail, map(Job, words)),
        )
    )
    assert there == here
    assert ("killed", Failure, "the process died of SIGKILL; out of memory?") in there
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.ray
@pytest.mark.long
def test_a_cluster_gives_jobs_what_they_want_and_refuses_what_it_has_not(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray  # noqa: PLC0415 - where it is installed

    ray.init(address=nodes.address, log_to_driver=False, configure_logging=False)
    try:
        intervals = [one.result for one in RayWorkers("auto").run(jobs.interval, [Job(0.5) for _ in range(4)])]
        assert max(sum(start <= moment < end for start, end in intervals) for moment, _ in intervals) == 2
        assert [one.result for one in RayWorkers("auto").run(jobs.threads, [Job(None, Needs(cpus=5))])] == ["1"]
        with pytest.raises(BackendError, match="a job wants 1 GPUs"):
            next(RayWorkers("auto").run(jobs.interval, [Job(0.1, Needs(gpus=1))]))
        monkeypatch.setattr(cluster, "__version__", "0.0.1")
        with pytest.raises(BackendError, match=r"cannot run jobs: bort_convert .* is installed there, 0\.0\.1 sent"):
            next(RayWorkers("auto").run(jobs.interval, [Job(0.1)]))
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ray_version": "2.1.0"}, "can be used: Ray version mismatch: cluster has Ray version 2.1.0 but local Ray"),
        (
            {"python_version": "3.9.1"},
            "does not take this process: Version mismatch: The cluster was started with: Ray",
        ),
    ],
)
def test_a_cluster_of_other_versions_is_refused(nodes: Cluster, change: dict[str, str], message: str) -> None:
    from ray._raylet import GcsClient  # noqa: PLC0415 - where it is installed

    store, key, room = GcsClient(address=nodes.address), b"CLUSTER_METADATA", b"cluster"
    kept = store.internal_kv_get(key, room)
    store.internal_kv_put(key, json.dumps(json.loads(kept) | change).encode(), True, room)  # noqa: FBT003
    try:
        with pytest.raises(BackendError, match=re.escape(message)):
            next(RayWorkers(nodes.address).run(jobs.interval, [Job(0.1)]))
    finally:
        store.internal_kv_put(key, kept, True, room)  # noqa: FBT003


@pytest.mark.ray
@pytest.mark.long
def test_closing_the_outcomes_stops_every_job_on_a_cluster(nodes: Cluster, tmp_path: Path) -> None:
    def coming() -> Iterator[Job[str]]:
        yield Job(str(tmp_path))
        yield Job(str(tmp_path))
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2, 60)
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(RayWorkers(nodes.address).run(jobs.hold, coming()))
    assert time.monotonic() - start < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ray
@pytest.mark.long
def test_a_machine_that_is_lost_costs_time_and_no_job(nodes: Cluster) -> None:
    second = nodes.start_node(1)
    outcomes = RayWorkers(nodes.address).run(jobs.sleep_and_tell, map(Job, [0.3] * 12))
    done = [next(outcomes)]
    nodes.kill_node(second)
    done += outcomes
    assert [one.result[0] for one in done] == [0.3] * 12

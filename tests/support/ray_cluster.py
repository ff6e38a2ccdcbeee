"""A Ray cluster on this machine: nodes on free ports, each in a session of its own, all ended at the end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from environment import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STARTED = re.compile(r"ray start --address='([^']+)'")
QUIET = ("--disable-usage-stats", "--include-log-monitor=false", f"--object-store-memory={80 << 20}")
HEAD = ("--head", "--port=0", "--include-dashboard=false")
PATIENCE = 300  # seconds
SOON = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray's settings by which a machine that is gone counts as lost, in seconds instead of half a minute."""


class Cluster:
    """Nodes of a Ray cluster on this machine.

    Args:
        folder: an empty folder, with a short name: Ray puts sockets there.
        paths: folders from which the nodes import.

    Attributes:
        address: HOST:PORT of the head.
    """

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self._folder, self._paths = folder, paths
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def start(self, count: int) -> None:
        """Start the head and further nodes, each with one processor, one by one: two would take the same sockets."""
        self._wait_for(self._launch(*HEAD, f"--temp-dir={self._folder}"))
        for _ in range(1, count):
            self._wait_for(self._launch(f"--address={self.address}"))

    def _launch(self, *words: str) -> Path:
        """Start a node; give the file with what it prints."""
        environment = unmeasured() | {
            "PYTHONPATH": os.pathsep.join(map(str, self._paths)),
            "RAY_USAGE_STATS_ENABLED": "0",
            **SOON,
        }
        environment.pop("OMP_NUM_THREADS", None)
        program = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", *QUIET, *words]
        log = self._folder / f"node-{len(self._nodes)}.log"
        with log.open("wb") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            self._nodes.append(
                subprocess.Popen(program, cwd=self._folder, env=environment, **streams, start_new_session=True)
            )
        return log

    def _wait_for(self, log: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while "running subprocesses are monitored" not in (said := log.read_text().lower()):
            assert all(node.poll() is None for node in self._nodes), said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        if not self.address:
            self.address = STARTED.findall(log.read_text())[0]

    def kill_node(self, number: int) -> None:
        """End every process of a node at once, as a machine that loses its power."""
        while found := processes_in(self._nodes[number].pid):
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        self._nodes[number].wait()

    def stop(self) -> None:
        """End all nodes."""
        for number in range(len(self._nodes)):
            self.kill_node(number)


def processes_in(session: int) -> list[int]:
    """Living processes of a session: a node's, and those of its jobs, which have process groups of their own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            found += [int(path.parent.name)] if int(of) == session and state != "Z" else []
    return found


@contextlib.contextmanager
def cluster(paths: Sequence[Path]) -> Iterator[Cluster]:
    """A cluster without nodes yet; at the end all that were started are gone, and so is their folder."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        nodes = Cluster(Path(folder), paths)
        try:
            yield nodes
        finally:
            nodes.stop()

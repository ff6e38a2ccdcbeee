"""A Ray cluster on this machine: nodes on free ports, each in a process group of its own, all ended at the end."""

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
QUIET = ("--disable-usage-stats", "--include-log-monitor=false")
HEAD = ("--head", "--port=0", "--include-dashboard=false")
PATIENCE = 60
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

    def start_node(self, cpus: int, program: Sequence[str] = ("-m", "ray.scripts.scripts")) -> int:
        """Start the head, or a further node; give its number.

        Args:
            cpus: processors that it offers.
            program: arguments for Python that run Ray's command line.
        """
        number = len(self._nodes)
        role = [f"--address={self.address}"] if self.address else [*HEAD, f"--temp-dir={self._folder}"]
        words = ["start", "--block", *role, *QUIET, f"--num-cpus={cpus}", f"--object-store-memory={80 << 20}"]
        environment = unmeasured() | {
            "PYTHONPATH": os.pathsep.join(map(str, self._paths)),
            "RAY_USAGE_STATS_ENABLED": "0",
            **SOON,
        }
        environment.pop("OMP_NUM_THREADS", None)
        log = self._folder / f"node-{number}.log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                [sys.executable, *program, *words],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._nodes.append(node)
        deadline = time.monotonic() + PATIENCE
        while "Ray runtime started" not in log.read_text():
            assert node.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        while not self.address:
            if found := STARTED.search(log.read_text()):
                self.address = found[1]
        return number

    def kill_node(self, number: int) -> None:
        """End every process of a node at once, as a machine that loses its power."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._nodes[number].pid, signal.SIGKILL)
        self._nodes[number].wait()

    def stop(self) -> None:
        """End all nodes."""
        for number in range(len(self._nodes)):
            self.kill_node(number)


@contextlib.contextmanager
def cluster(paths: Sequence[Path]) -> Iterator[Cluster]:
    """A cluster without nodes; at the end all that were started are gone, and so is their folder."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        nodes = Cluster(Path(folder), paths)
        try:
            yield nodes
        finally:
            nodes.stop()

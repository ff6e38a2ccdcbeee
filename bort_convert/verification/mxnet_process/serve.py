"""Do job after job in one process, which imports MXNet once: the script that starts `run.py`. Python 3.6 syntax.

    python serve.py

Each line of stdin is the path of a job for `run.py`. When it is done, a line `answer: STATUS` goes to stderr, behind
all that the job wrote there. The process ends with stdin; in the middle of a job too, for nobody waits for its answer.
"""

import importlib.util
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

MARK = "answer: "
# Each operation runs when it is asked for, in this thread: the same bits, and no second thread to wake for each.
os.environ.setdefault("MXNET_ENGINE_TYPE", "NaiveEngine")


def main() -> int:
    """Answer every job of stdin, in order; give the exit status of the process."""
    run = script_beside("run.py")
    jobs = queue.Queue()  # type: queue.Queue[str]
    busy = threading.Event()
    threading.Thread(target=read_jobs, args=(jobs, busy), daemon=True).start()
    for job in iter(jobs.get, ""):
        busy.set()
        sys.argv[1:] = [job]
        status = run.main()
        busy.clear()
        sys.stderr.write(f"\n{MARK}{status}\n")  # a line of its own, whatever a library left unfinished
        sys.stderr.flush()
    return 0


def read_jobs(jobs: "queue.Queue[str]", busy: threading.Event) -> None:
    """Queue the lines of stdin, and "" at its end."""
    for line in sys.stdin:
        jobs.put(line.rstrip("\n"))
    jobs.put("")
    if busy.is_set():
        os._exit(1)


def script_beside(name: str) -> "Any":  # noqa: ANN401 - a module
    """Import a script of this folder by its path: with PYTHONSAFEPATH set, the folder is not on the search path."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)  # noqa: PTH100, PTH118, PTH120 - Python 3.6
    spec = importlib.util.spec_from_file_location("run", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - one condition: the path ends in .py
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())

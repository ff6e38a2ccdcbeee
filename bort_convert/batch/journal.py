"""The journal of a batch: a line of JSON for each thing that happened, appended and stored before work goes on.

A run that is killed leaves at most one torn line, which the next run passes over. The journal is also the lock of its
folder (`flock`): the system frees it however a run ends. Where there are no such locks, as on Windows, nothing keeps a
second batch out.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bort_convert.batch.result import FAILED
from bort_convert.errors import OutputError
from bort_convert.files.atomic import sync
from bort_convert.files.streams import write_all
from bort_convert.files.system_errors import close_input, writing
from bort_convert.version import __version__

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows, a browser
    HAS_LOCKS = False

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from typing_extensions import Self

FILE_NAME: Final = "batch.journal"
BATCH, BEGIN, END = "batch", "begin", "end"
WORKER_DIED: Final = "WorkerDied"
"""Type of the error of a file whose worker died."""
_LOG: Final = logging.getLogger(__name__)


@dataclass
class Memory:
    """What a journal tells of one target.

    Attributes:
        state: that of the last conversion that began; None if none did.
        before: digest of the manifest that stood there when it began; "" for none.
        end: result of the last run that came to its end; None if none did.
        good: result of the last run that left the target as it should be; None if there was none, or if a check of the
            directory has failed since. A run that fails in another way leaves the target as it was.
        is_open: True if a conversion began, and nothing tells how far it came: the run was killed, or the worker died.
        is_ours: True if a conversion of the batch began where nothing stood: what stands there now may be replaced.
    """

    state: dict[str, Any] | None = None
    before: str = ""
    end: dict[str, Any] | None = None
    good: dict[str, Any] | None = None
    is_open: bool = False
    is_ours: bool = False


def read_memories(folder: Path) -> dict[str, Memory]:
    """Read the journal of a folder: target -> what is known of it; empty without a journal."""
    memories: dict[str, Memory] = {}
    for record in _records(folder / FILE_NAME):
        memory = memories.setdefault(str(record.get("name", "")), Memory())
        if record["event"] == BEGIN:
            memory.state, memory.before, memory.is_open = record["state"], record["before"], True
            memory.is_ours |= record["free"]
        elif record["event"] == END:
            memory.end = record["result"]
            if memory.end["status"] != FAILED:
                memory.good = memory.end
            elif memory.end.get("problems"):
                memory.good = None
            memory.is_open = memory.end["error"].get("type") == WORKER_DIED
    return memories


class Journal:
    """The journal of a folder, locked while the block runs.

    Args:
        folder: root of the batch; it is made if it is not there.

    Raises:
        OutputError: another batch holds the lock, or the journal cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        with writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: FileIO = self._path.open("a+b", buffering=0)

    def __enter__(self) -> Self:
        try:
            with writing(self._path):
                self._lock()
                self._mend()
                own = {"pid": os.getpid(), "host": platform.node(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
                self._append({"event": BATCH, "bort_convert": __version__, **own})
                sync(self._path.parent)
        except BaseException:
            close_input(self._file)
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        close_input(self._file)  # every line was stored when it was written

    def begin(self, name: str, state: dict[str, Any], *, before: str, free: bool) -> None:
        """Remember that the conversion to a target begins; see `Memory` for what stands there."""
        self._append({"event": BEGIN, "name": name, "state": state, "before": before, "free": free})

    def end(self, name: str, result: dict[str, Any]) -> None:
        """Remember how it ended."""
        self._append({"event": END, "name": name, "result": result})

    def _append(self, record: dict[str, Any]) -> None:
        with writing(self._path):
            write_all(self._file.fileno(), json.dumps(record).encode() + b"\n")
            os.fsync(self._file.fileno())

    def _lock(self) -> None:
        if not HAS_LOCKS:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder: dict[str, Any] = next(
                (record for record in reversed(_records(self._path)) if record["event"] == BATCH), {}
            )
            who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('time')}" if holder else "one"
            raise OutputError(
                f"{self._path.parent}: another batch writes there ({who}). Wait for its end, or choose another root"
            ) from error

    def _mend(self) -> None:
        """End a line that a killed run left torn, so that the next one stands by itself."""
        size = self._file.seek(0, os.SEEK_END)
        if size:
            self._file.seek(size - 1)
            if self._file.read(1) != b"\n":
                write_all(self._file.fileno(), b"\n")


def _records(path: Path) -> list[dict[str, Any]]:
    """The records of a journal; lines that are none, as a killed run leaves them, are passed over."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
    records = [record for line in filter(None, lines) if (record := _record(line))]
    if torn := sum(map(bool, lines)) - len(records):
        _LOG.info("%s: %d torn lines", path, torn)
    return records


def _record(line: bytes) -> dict[str, Any] | None:
    """A record with the entries that a later run relies on; None if the line is none."""
    try:
        record: dict[str, Any] = json.loads(line)
        if record["event"] == BEGIN:
            found = {"before": str(record["before"]), "free": bool(record["free"]), "state": dict(record["state"])}
        else:
            found = {"result": _checked(record["result"])} if record["event"] == END else {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return {**record, **found}


def _checked(result: dict[str, Any]) -> dict[str, Any]:
    """A result with the entries that a later run relies on."""
    texts = {name: str(result[name]) for name in ("status", "manifest", "sha256", "model")}
    return {**result, **texts, "size": int(result["size"]), **{name: dict(result[name]) for name in ("state", "error")}}

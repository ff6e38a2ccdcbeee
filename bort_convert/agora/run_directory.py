"""The directory of a run: what was asked for, the journal, made points, trials, the best model; and its lock.

agora.json            format, options, Theta, where the inputs are, and a digest of each
journal.jsonl         a line for each thing that happened, stored before the run goes on
made/0003.jsonl       points that round 3 made: text, label, the row that they come from and what made them
trials/0003-07/       spec and result of the trial of tuple 7 in round 3, and its model while it is the best
tests/0003.json       answers of the best model of round 3 on the test set, which the loop does not read
best/                 the best model so far
report.json           and report.html: the outcome
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bort_convert.agora.values import Example, MadePoint, TrialResult
from bort_convert.errors import AgoraError, OutputError
from bort_convert.files.atomic import new_file, sync
from bort_convert.files.places import named_path

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows, a browser
    HAS_LOCKS = False

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedRandom

    from typing_extensions import Self

FORMAT: Final = 1
SETTINGS: Final = "agora.json"
JOURNAL: Final = "journal.jsonl"
MARK: Final = "agora-trial.json"
"""File in `best/` that names its trial."""


class RunDirectory:
    """The directory of a run, locked while the block runs.

    Args:
        path: of the directory; it is made if it is not there.

    Raises:
        OutputError: another run holds the lock, or the directory cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = named_path(path).absolute()

    def __enter__(self) -> Self:
        journal = self.path / JOURNAL
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._file: BufferedRandom = journal.open("a+b")
        except OSError as error:
            raise OutputError(f"{journal} cannot be written: {error.strerror or error}") from error
        try:
            self._lock()
            self._drop_torn_line()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    @property
    def best(self) -> Path:
        """Directory of the best model."""
        return self.path / "best"

    def trial(self, name: str) -> Path:
        """Directory of a trial."""
        return self.path / "trials" / name

    def settings(self) -> dict[str, Any] | None:
        """What the run was started with; None in a new directory."""
        return read_settings(self.path)

    def start(self, settings: dict[str, Any]) -> None:
        """Keep what the run is started with."""
        self.write_json(SETTINGS, settings)

    def records(self) -> list[dict[str, Any]]:
        """The journal so far."""
        self._file.seek(0)
        return [json.loads(line) for line in self._file.read().splitlines()]

    def append(self, record: dict[str, Any]) -> None:
        """Append a record to the journal, and store it."""
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path / JOURNAL} cannot be written: {error.strerror or error}") from error

    def write_json(self, name: str, document: object) -> None:
        """Write a document whole, in place of an older one."""
        self.write_text(name, json.dumps(document, indent=1) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole, in place of an older one."""
        with new_file(self.path / name, force=True) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")

    def read_json(self, name: str) -> Any:  # noqa: ANN401 - whatever was written
        """Read a document that `write_json` wrote; None if it is not there."""
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise AgoraError(f"{self.path / name} cannot be read: {error}") from error

    def keep_made(self, number: int, points: Iterable[MadePoint]) -> None:
        """Write the points that a round made."""
        lines = [json.dumps(_point_to_dict(point), ensure_ascii=False) + "\n" for point in points]
        self.write_text(f"made/{number:04}.jsonl", "".join(lines))

    def made(self, number: int) -> list[MadePoint]:
        """The points that a round made; none before it is closed."""
        path = self.path / "made" / f"{number:04}.jsonl"
        lines = path.read_text("utf-8").split("\n") if path.is_file() else []
        return [_point_from_dict(json.loads(line)) for line in filter(None, lines)]

    def keep_result(self, result: TrialResult) -> None:
        """Write the result of a trial into its directory."""
        self.write_json(f"trials/{result.id}/result.json", {**vars(result), "weights": bool(result.weights)})

    def result(self, name: str) -> TrialResult:
        """The result of a trial.

        Raises:
            AgoraError: it is gone, or cannot be read.
        """
        found = self.read_json(f"trials/{name}/result.json")
        if found is None:
            raise AgoraError(f"{self.trial(name)}: the result of this trial is gone. Start a new run")
        return TrialResult(**{**found, "predictions": tuple(found["predictions"]), "weights": ""})

    def put_best(self, trial: str, files: dict[str, str]) -> None:
        """Give the model of a trial the place of the best one.

        A run that is killed between the two renames has no `best/`, and closes the round again.

        Raises:
            AgoraError: the model is gone.
        """
        mark = f"best/{MARK}"
        model, old = self.trial(trial) / "model", self.path / "best.old"
        if not model.is_dir():
            if (self.read_json(mark) or {}).get("trial") == trial:
                return  # killed after the renames
            raise AgoraError(f"{model}: the model of the best trial is gone. Start a new run")
        for name, text in {**files, MARK: json.dumps({"trial": trial}) + "\n"}.items():
            (model / name).write_text(text, encoding="utf-8", newline="\n")
            sync(model / name)
        delete(old)
        if self.best.exists():
            self.best.rename(old)
        model.rename(self.best)
        sync(self.path)
        delete(old)

    def _lock(self) -> None:
        if HAS_LOCKS:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(f"{self.path}: another run works there. Wait for its end") from error

    def _drop_torn_line(self) -> None:
        """Cut what a killed run has not written to its end."""
        self._file.seek(0)
        whole = self._file.read().rpartition(b"\n")
        if whole[2]:
            self._file.truncate(len(whole[0] + whole[1]))


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What the run in a directory was started with; None if none was.

    Raises:
        AgoraError: the file cannot be read, or has another format.
    """
    file = Path(path) / SETTINGS
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        number = found["format"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AgoraError(f"{file} cannot be read: {error}") from error
    if number != FORMAT:
        raise AgoraError(f"{file} has format {number}; expected {FORMAT}. Go on with the version that started the run")
    return found


def delete(path: Path) -> None:
    """Delete a directory with all that it holds, if it is there."""
    shutil.rmtree(path, ignore_errors=True)


def _point_to_dict(point: MadePoint) -> dict[str, Any]:
    example = point.example
    pair = {} if example.pair is None else {"pair": example.pair}
    soft = {} if example.probabilities is None else {"probabilities": list(example.probabilities)}
    return {"text": example.text, **pair, "label": example.label, **soft, "parent": point.parent, "how": point.how}


def _point_from_dict(found: dict[str, Any]) -> MadePoint:
    soft = tuple(found["probabilities"]) if "probabilities" in found else None
    example = Example(found["text"], found["label"], found.get("pair"), soft)
    return MadePoint(example, found["parent"], found["how"])

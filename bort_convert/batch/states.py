"""Tell whether a target is still what its entry asks for: by source, options, files that they name, and our version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert.batch.options import FILES
from bort_convert.errors import FormatError
from bort_convert.files.remote import place_of, redacted
from bort_convert.files.streams import sha256_of_file
from bort_convert.files.system_errors import reading
from bort_convert.model_dir.manifest import FILE_NAME, is_intact
from bort_convert.model_dir.read import read_manifest, read_manifest_text
from bort_convert.params import source_file
from bort_convert.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.batch.journal import Memory
    from bort_convert.batch.plan import Entry
    from bort_convert.files.remote import Place
    from bort_convert.model_dir.manifest import Manifest


def state_of(entry: Entry, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything beside the source that decides about a target, as JSON data.

    Args:
        entry: of the plan.
        settings: of the whole batch.
    """
    options = {name: value for name, value in entry.options.items() if name not in FILES}
    named = [name for name in FILES if name in entry.options and (name != "trace" or settings["verify"])]
    files = {name: digest_of(entry.options[name]) for name in named}
    return json.loads(json.dumps({"version": __version__, "options": options, "files": files, **settings}))  # type: ignore[no-any-return]


@lru_cache(maxsize=1024)
def digest_of(path: str) -> str:
    """SHA-256 of a file, or of the names and contents of the files of a folder; the text itself if there is neither."""
    place = Path(path)
    with reading(place):
        if place.is_dir():
            files = sorted(file for file in place.iterdir() if file.is_file())
            lines = "".join(f"{file.name}\0{sha256_of_file(file)}\n" for file in files)
            return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()
        return sha256_of_file(place) if place.is_file() else path


def manifest_digest(target: Place) -> str:
    """SHA-256 of a target's manifest; "" if there is none."""
    manifest = target / FILE_NAME
    with reading(manifest):
        return sha256_of_file(manifest) if manifest.is_file() else ""


def source_digest(source: Place) -> str:
    """SHA-256 of a source."""
    with reading(source):
        return sha256_of_file(source)


@dataclass(frozen=True)
class Source:
    """A source as it is now.

    Attributes:
        given: the file, or the folder with the one that is meant.
        place: the file.
        size: its bytes.
        marks: of one elsewhere, what tells its content from others; see `RemoteIdentity.lasting`.
    """

    given: Place
    place: Place
    size: int
    marks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, source: str) -> Source:
        """Look at a path or a URL.

        Raises:
            FormatError: nothing is there, or it may not be read.
        """
        given = place_of(source)
        try:
            if isinstance(given, Path):
                return cls(given, given, given.stat().st_size)
            place = source_file(given)
            assert not isinstance(place, Path)
            identity = place.identity()
            return cls(given, place, identity.size or 0, identity.lasting)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise FormatError(f"{redacted(source)}: cannot be read: {reason or error}") from error

    def was(self, end: Mapping[str, Any]) -> bool:
        """True if a result was made from this content; one elsewhere is not fetched for that."""
        if end["size"] != self.size:
            return False
        if not isinstance(self.place, Path):
            return bool(end.get("marks") == self.marks)
        return bool(end["sha256"] == source_digest(self.place))

    def made(self, manifest: Manifest) -> bool:
        """True if a manifest names this content; one elsewhere, a small one then, is fetched if nothing else tells."""
        if manifest.source.marks:
            return manifest.source.marks == self.marks
        return manifest.source.size == self.size and manifest.source.sha256 == source_digest(self.place)


def reason_to_convert(target: Place, state: dict[str, Any], memory: Memory, source: Source) -> str:
    """Say why a target is not what its entry asks for; "" if it is.

    Args:
        target: the directory.
        state: of the entry now.
        memory: of the journal.
        source: as it is now.
    """
    end = memory.good
    if end is None:
        return "failed before" if memory.end else "new"
    if not manifest_digest(target):
        return "the target is gone"
    if reason := _other_state(end["state"], state):
        return reason
    if not source.was(end):
        return "another source"
    return _reason_in_directory(target, end["manifest"])


def was_finished(target: Place, state: dict[str, Any], memory: Memory, source: Source) -> bool:
    """True if a killed run wrote a target whole, from this source by the present state, and had no time to say so.

    A verification's report is lost then, and is worth another run. So is a manifest without the source's digest.
    """
    digest = manifest_digest(target)
    if not (memory.is_open and memory.state == state and digest not in {"", memory.before}) or state["verify"]:
        return False
    return not _reason_in_directory(target, digest) and source.made(read_manifest(target))


def _other_state(old: dict[str, Any], state: dict[str, Any]) -> str:
    """Say what is another one than when a target was written; "" if nothing is. A proof more does not count."""
    if old.get("version") != state["version"]:
        return f"bort_convert {old.get('version')} wrote it"
    if old.get("options") != state["options"]:
        return "other options"
    if state["verify"] and old.get("verify") != state["verify"]:
        return "not verified so before" if old.get("verify") else "not verified before"
    changed = [name for name in state["files"] if old.get("files", {}).get(name) != state["files"][name]]
    return f"another {' and '.join(changed)}" if changed else ""


def _reason_in_directory(target: Place, digest: str) -> str:
    """Say what is wrong with a directory, as far as names and the manifest tell; "" if nothing is."""
    try:
        text = read_manifest_text(target)
        manifest = read_manifest(target)
    except FormatError:
        return "the target's manifest cannot be read"
    if manifest_digest(target) != digest or not is_intact(text):
        return "the target's manifest was changed"
    if isinstance(target, Path):
        with reading(target):
            there = {path.name for path in target.iterdir() if path.is_file()}
    else:
        there = target.names()
    missing = sorted(manifest.files.keys() - there)
    return f"the target lacks {missing[0]}" if missing else ""

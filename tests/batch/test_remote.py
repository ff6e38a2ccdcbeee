"""Batches of what is elsewhere, into a folder and into a store: a few files of what `make fleet` does with 200."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fleet import Ship, launch, write_plan
from remote_fleet import conversions, put_in_store, put_on_web, targets
from servers import Proxy

import bort_convert
from bort_convert.batch.journal import FILE_NAME
from bort_convert.errors import OptionError, PlanError
from bort_convert.files.fetched import INCOMPLETE
from bort_convert.files.remote import RemotePath
from bort_convert.workers.jobs import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from servers import Nginx

    from bort_convert import BatchResult
    from bort_convert.workers.jobs import Job

pytestmark = [pytest.mark.remote, pytest.mark.long]
GOOD, BROKEN = 14, 8


class Here:
    """Workers that run every job in this process."""

    def run(self, function: Callable[[object], object], jobs: Iterable[Job[object]]) -> Generator[object]:
        for job in jobs:
            yield Outcome(job, function(job.argument), 0.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)  # a job sets it, for its process
    monkeypatch.setattr("bort_convert.files.remote.PAUSES", (0.001,) * 6)


@pytest.fixture
def ships(tmp_path: Path) -> list[Ship]:
    (tmp_path / "in").mkdir()
    return launch(tmp_path / "in", GOOD, BROKEN)


def run(ships: list[Ship], folder: Path, out: str | Path, **options: Any) -> BatchResult:  # noqa: ANN401
    plan = bort_convert.read_plan(write_plan(folder / "plan.jsonl", ships))
    return bort_convert.convert_batch(plan, out, **{"workers": Here(), **options})


@pytest.fixture
def expected(ships: list[Ship], tmp_path: Path) -> dict[str, bytes]:
    run(ships, tmp_path, tmp_path / "local")
    return targets(tmp_path / "local")


def check(result: BatchResult, ships: list[Ship]) -> None:
    assert Counter(map(bool, result.files)) == {True: GOOD, False: BROKEN}
    for ship, file in zip(ships, result.files, strict=True):
        assert ship.refusal in file.error.get("message", "")


@pytest.fixture(params=["web", "store"])
def there(request: pytest.FixtureRequest, ships: list[Ship], web: Nginx, s3: str) -> list[Ship]:
    """The fleet on a web server, and in a store."""
    bucket = f"{s3.removeprefix('s3://')}-fleet"
    return put_on_web(ships, web, web.url) if request.param == "web" else put_in_store(ships, bucket)


def test_files_elsewhere_are_converted_as_files_of_this_machine(
    there: list[Ship], ships: list[Ship], expected: dict[str, bytes], tmp_path: Path, web: Nginx
) -> None:
    web.forget()
    check(run(there, tmp_path, tmp_path / "out"), ships)
    assert targets(tmp_path / "out") == expected
    methods = [line.split()[1] for line in web.requests() if "broken" not in line]
    assert methods in ([], ["HEAD", "GET", "HEAD"] * GOOD)  # what it is, its bytes, and whether it is still that
    web.forget()
    again = run(there, tmp_path, tmp_path / "out")
    assert again.counts == {"up to date": GOOD, "failed": BROKEN}
    assert not [line for line in web.requests() if "GET" in line and "broken" not in line]


def test_another_object_in_the_place_of_a_source_is_converted_anew(
    ships: list[Ship], tmp_path: Path, web: Nginx
) -> None:
    good = [ship for ship in ships if not ship.refusal][:2]
    there = put_on_web(good, web, web.url)
    run(there, tmp_path, tmp_path / "out")
    file = web.root / Path(there[0].source).name
    os.utime(file, (1, 1))  # the time is part of nginx's ETag
    assert [result.reason for result in run(there, tmp_path, tmp_path / "out").files] == ["another source", ""]


def test_a_folder_a_pattern_and_a_plan_elsewhere(s3: str, web: Nginx, fixtures: Path, tmp_path: Path) -> None:
    name = "bort_4_8_24_32.params"
    (tmp_path / "plan.csv").write_text(f"source,name\n../in/a/{name},here\n{web.url}/x/{name},there\n")
    for path in (f"{s3}/in/a/{name}", f"{s3}/in/other.params"):
        RemotePath(path).upload(fixtures / name)
    RemotePath(f"{s3}/plans/plan.csv").upload(tmp_path / "plan.csv")
    (web.root / "in").mkdir()
    (web.root / "in" / name).write_bytes((fixtures / name).read_bytes())

    def entries(plan: str) -> dict[str, str]:
        return {entry.name: entry.source for entry in bort_convert.read_plan(plan)}

    a = {"a/bort_4_8_24_32": f"{s3}/in/a/{name}"}
    assert entries(f"{s3}/in") == {**a, "other": f"{s3}/in/other.params"}
    assert entries(f"{s3}/in/*/*.params") == a
    assert entries(f"{s3}/in/**/bort*.params") == a
    assert entries(f"{s3}/in/other.params") == {"other": f"{s3}/in/other.params"}
    assert entries(f"{web.url}/in/") == {"bort_4_8_24_32": f"{web.url}/in/{name}"}
    assert entries(f"{s3}/plans/plan.csv") == {
        "here": f"{s3}/in/a/{name}",
        "there": f"{web.url}/x/{name}",
    }


def test_a_root_in_a_store(s3: str, ships: list[Ship], expected: dict[str, bytes], tmp_path: Path) -> None:
    out = f"{s3}/out"
    with pytest.raises(OptionError, match="the root is elsewhere, and a journal is not"):
        run(ships, tmp_path, out)
    check(run(ships, tmp_path, out, journal=tmp_path / "journal"), ships)
    root = RemotePath(f"{out}/")
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*")}
    assert found == expected
    again = run(ships, tmp_path, out, journal=tmp_path / "journal", check=True)
    assert again.counts == {"up to date": GOOD, "failed": BROKEN}
    victim = next(name for name in expected if name.endswith("config.json"))
    (root / victim).unlink()
    third = run(ships, tmp_path, out, journal=tmp_path / "journal")
    assert third.counts == {"converted": 1, "up to date": GOOD - 1, "failed": BROKEN}
    assert (root / victim).read_bytes() == expected[victim]


class _Killed(BaseException):
    pass


def test_a_batch_into_a_store_that_is_killed_goes_on(
    s3: str, ships: list[Ship], expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded, left = RemotePath.upload, [11]

    def upload(self: RemotePath, *words: Any) -> None:  # noqa: ANN401
        if not left[0]:
            raise _Killed
        left[0] -= 1
        uploaded(self, *words)

    monkeypatch.setattr(RemotePath, "upload", upload)
    with pytest.raises(_Killed):
        run(ships, tmp_path, f"{s3}/out", journal=tmp_path / "journal")
    monkeypatch.setattr(RemotePath, "upload", uploaded)
    root = RemotePath(f"{s3}/out/")
    assert any(path.name == INCOMPLETE for path in root.rglob("*"))
    check(run(ships, tmp_path, f"{s3}/out", journal=tmp_path / "journal"), ships)
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*")} == expected
    assert set(conversions(tmp_path / "journal").values()) == {1}


def test_connections_that_are_cut_after_any_number_of_bytes_cost_nothing_in_the_end(
    ships: list[Ship], expected: dict[str, bytes], tmp_path: Path, web: Nginx
) -> None:
    with Proxy(web) as proxy:
        there = put_on_web(ships, web, proxy.url)
        for number in (200, 700, 6_000, 40_000):
            proxy.cut_after = number
            run(there[::4], tmp_path, tmp_path / "out")
        proxy.cut_after = None
        check(run(there, tmp_path, tmp_path / "out"), ships)
    assert targets(tmp_path / "out") == expected
    assert set(conversions(tmp_path / "out").values()) == {1}


def test_a_server_that_stops_and_comes_back(
    ships: list[Ship], expected: dict[str, bytes], tmp_path: Path, web: Nginx
) -> None:
    there = put_on_web(ships, web, web.url)
    seen = []

    def stop(result: object) -> None:
        seen.append(result)
        if len(seen) == GOOD // 2:
            web.stop()

    assert not run(there, tmp_path, tmp_path / "out", progress=stop)
    web.start()
    check(run(there, tmp_path, tmp_path / "out"), ships)
    assert targets(tmp_path / "out") == expected
    assert set(conversions(tmp_path / "out").values()) == {1}


def test_no_credential_is_kept_in_journal_or_result(ships: list[Ship], tmp_path: Path, web: Nginx) -> None:
    url = web.url.replace("http://", "http://anna:hunter2@")
    there = [replace(ship, source=f"{ship.source}?key=0123abcd") for ship in put_on_web(ships[:6], web, url)]
    result = run(there, tmp_path, tmp_path / "out")
    kept = (tmp_path / "out" / FILE_NAME).read_text() + str(result.to_dict())
    assert "...@" in kept
    assert not any(word in kept for word in ("anna", "hunter2", "0123abcd"))


def test_a_plan_that_cannot_be_listed_is_refused(web: Nginx) -> None:
    with pytest.raises(PlanError, match=r"holds no checkpoint|cannot be listed"):
        bort_convert.read_plan(f"{web.url}/")

"""A fleet elsewhere: what `make fleet` measures, and the parts of it that tests run on a few files.

The checkpoints of `fleet` are put on nginx and on an S3 server, and a batch converts them from there; then the same
with servers that stop, connections that break, and a target in the store.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleet import Ship, content, launch, write_plan
from servers import S3, Nginx, Proxy, missing_servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servers import Server


CUTS = [300, 600, 1_000, *(2_000 * 2**step for step in range(8)), *range(30_000, 120_000, 10_000)]
"""Bytes after which each connection is cut, one batch each: some too few for any answer, some enough for most."""


def put_on_web(ships: Sequence[Ship], server: Nginx, url: str) -> list[Ship]:
    """Put the files of a fleet into the folder of a web server, and give the fleet with URLs."""
    for ship in ships:
        shutil.copy(ship.source, server.root)
    return [replace(ship, source=f"{url}/{Path(ship.source).name}") for ship in ships]


def put_in_store(ships: Sequence[Ship], bucket: str) -> list[Ship]:
    """Put the files of a fleet into a new bucket, and give the fleet with URLs; the environment names the store."""
    import s3fs  # noqa: PLC0415 - few environments have it

    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    store.mkdir(bucket)
    for ship in ships:
        store.put_file(str(ship.source), f"{bucket}/in/{Path(ship.source).name}")
    return [replace(ship, source=f"s3://{bucket}/in/{Path(ship.source).name}") for ship in ships]


def batch(ships: Sequence[Ship], folder: Path, out: str | Path, *words: str) -> tuple[int, float, str]:
    """Run `bort-convert batch` as users do: exit code, seconds, and what it prints on stderr."""
    plan = write_plan(folder / "plan.jsonl", list(ships))
    command = [sys.executable, "-m", "bort_convert", "batch", plan, "--out", out, "--json", *words]
    start = time.perf_counter()
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=os.environ)
    return process.returncode, time.perf_counter() - start, process.stderr


def targets(out: Path) -> dict[str, bytes]:
    """Every file of every target, and what else stands there but the journal and the result."""
    return {name: data for name, data in content(out).items() if not name.startswith("batch.")}


def conversions(out: Path) -> dict[str, int]:
    """How often each target was converted to its end, by the journal."""
    from bort_convert.batch.journal import FILE_NAME, _records  # noqa: PLC0415 - a private reader of a private file

    counts: dict[str, int] = {}
    for record in _records(out / FILE_NAME):
        if record["event"] == "end" and record["result"]["status"] == "converted":
            counts[record["name"]] = counts.get(record["name"], 0) + 1
    return counts


def transfer(ships: Sequence[Ship], folder: Path) -> float:
    """Seconds to fetch all files, as a client of these protocols does that."""
    from fsspec.core import url_to_fs  # noqa: PLC0415 - few environments have it

    start = time.perf_counter()
    for number, ship in enumerate(ships):
        system, path = url_to_fs(str(ship.source))
        system.get_file(path, str(folder / f"{number}"))
    return time.perf_counter() - start


def check(name: str, *, passed: bool, detail: str) -> bool:
    """Print a line of the table."""
    print(f"{'PASS' if passed else 'FAIL'}  {name}: {detail}", flush=True)  # noqa: T201 - a script
    return passed


def main() -> int:
    """Run everything with 180 good and 20 broken checkpoints."""
    if missing := missing_servers():
        raise SystemExit(missing)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("in", "web", "nginx", "fetched"):
            (folder / part).mkdir()
        ships = launch(folder / "in", 180, 20)
        good = len([ship for ship in ships if not ship.refusal])
        with Nginx(folder / "web", folder / "nginx") as web, S3() as store:
            os.environ |= store.environment
            batch(ships, folder, folder / "warm")
            code, local_seconds, _ = batch(ships, folder, folder / "local")
            expected = targets(folder / "local")
            passed = check("from files of this machine", passed=code == 1, detail=f"{local_seconds:.1f} s")
            for kind, sources in (
                ("nginx", put_on_web(ships, web, web.url)),
                ("S3", put_in_store(ships, "fleet")),
            ):
                shutil.rmtree(folder / "fetched")
                (folder / "fetched").mkdir()
                fetching = transfer(sources, folder / "fetched")
                code, seconds, _ = batch(sources, folder, folder / f"from-{kind}")
                same = targets(folder / f"from-{kind}") == expected
                ratio = seconds / (local_seconds + fetching)
                detail = f"{seconds:.1f} s, transfer alone {fetching:.1f} s: {ratio:.2f} x; exit code {code}"
                detail += f", {good} equal: {same}"
                passed &= check(f"from {kind}", passed=same and code == 1 and ratio <= 1.5, detail=detail)
            with Proxy(web) as proxy:
                there = Disturbed("nginx", put_on_web(ships, web, proxy.url), proxy, web)
                passed &= interrupted(there, folder, expected)
                passed &= stopped(there, folder, expected)
            with Proxy(store) as proxy:
                there = Disturbed("S3", put_in_store(ships, "disturbed"), proxy, proxy)
                os.environ["AWS_ENDPOINT_URL"] = proxy.url
                passed &= interrupted(there, folder, expected)
                passed &= stopped(there, folder, expected)
            with Proxy(store) as proxy:
                os.environ["AWS_ENDPOINT_URL"] = proxy.url
                passed &= into_store(ships, folder, proxy, expected)
    return 0 if passed else 1


@dataclass(frozen=True)
class Disturbed:
    """A fleet behind a proxy.

    Attributes:
        kind: of server.
        ships: the fleet, with URLs of the proxy.
        proxy: the proxy.
        stops: what stops and starts again: the server or, where it would forget its objects, the proxy.
    """

    kind: str
    ships: Sequence[Ship]
    proxy: Proxy
    stops: Server | Proxy


def interrupted(there: Disturbed, folder: Path, expected: dict[str, bytes]) -> bool:
    """Batches in one root whose connections are cut after N bytes, other files for each N; then one without cuts."""
    out = folder / f"cut-{there.kind}"
    for index, number in enumerate(CUTS):
        there.proxy.cut_after = number
        batch(there.ships[index :: len(CUTS)], folder, out)
    there.proxy.cut_after = None
    batch(there.ships, folder, out)
    return whole_in_the_end(f"{there.kind}, connections cut after {len(CUTS)} numbers of bytes", out, expected)


def stopped(there: Disturbed, folder: Path, expected: dict[str, bytes]) -> bool:
    """A batch that is killed, and one whose server stops in the middle; then one with the server."""
    out = folder / f"stopped-{there.kind}"
    plan = write_plan(folder / "plan.jsonl", [ship for ship in there.ships if not ship.refusal])
    command = [sys.executable, "-m", "bort_convert", "batch", str(plan), "--out", str(out), "--json"]
    statuses = []
    for words in ([], ["--fail-fast"]):
        process = subprocess.Popen(
            [*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(there.proxy, sum(map(len, expected.values())) // 4)
        if words:
            there.stops.stop()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        statuses.append(process.wait())
    there.stops.start()
    batch(there.ships, folder, out)
    detail = f"exit codes {statuses[0]} and {statuses[1]}"
    passed = check(f"{there.kind}, a batch killed, and one without its server", passed=all(statuses), detail=detail)
    return whole_in_the_end(f"{there.kind}, the next batch", out, expected) and passed


def wait_for(proxy: Proxy, count: int) -> None:
    """Wait until so many more bytes have come through."""
    begin, end = proxy.received, time.monotonic() + 120
    while proxy.received - begin < count and time.monotonic() < end:
        time.sleep(0.01)


def into_store(ships: Sequence[Ship], folder: Path, proxy: Proxy, expected: dict[str, bytes]) -> bool:
    """A batch into the store, killed in the middle; one of some that are there while the store is away; then all."""
    import s3fs  # noqa: PLC0415 - few environments have it

    words = ["--journal", str(folder / "journal")]
    plan = write_plan(folder / "plan.jsonl", list(ships))
    command = [sys.executable, "-m", "bort_convert", "batch", str(plan), "--out", "s3://fleet/out", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    for _ in range(len(ships) // 3):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    proxy.stop()
    finished = [ship for ship in ships if ship.name in conversions(folder / "journal")][:3]
    away, _, _ = batch(finished, folder, "s3://fleet/out", *words)
    proxy.start()
    code, seconds, _ = batch(ships, folder, "s3://fleet/out", *words)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    there = {path.removeprefix("fleet/out/"): store.cat_file(path) for path in store.find("fleet/out")}
    twice = {name: count for name, count in conversions(folder / "journal").items() if count > 1}
    detail = f"{seconds:.1f} s, exit codes {away} and {code}, {len(there)} objects equal: {there == expected}"
    passed = there == expected and (away, code) == (1, 1) and not twice
    return check("into S3, killed, and away in between", passed=passed, detail=f"{detail}; twice: {len(twice)}")


def whole_in_the_end(name: str, out: Path, expected: dict[str, bytes]) -> bool:
    """Look at a root after the last run: every target right, none converted twice, nothing left over."""
    found, counts = targets(out), conversions(out)
    twice = [target for target, count in counts.items() if count > 1]
    detail = f"{len(counts)} converted, equal: {found == expected}, twice: {len(twice)}"
    return check(name, passed=found == expected and not twice, detail=detail)


if __name__ == "__main__":
    raise SystemExit(main())

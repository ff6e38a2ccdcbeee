"""Every command on what is elsewhere: real servers on loopback, which count what they send."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import run
from fleet import content
from servers import Proxy

import bort_convert
from bort_convert.errors import BackendError, FormatError, OutputError, ParityError
from bort_convert.files.fetched import INCOMPLETE
from bort_convert.files.remote import RemotePath

if TYPE_CHECKING:
    from servers import S3, Nginx

pytestmark = pytest.mark.remote
NAME = "bort_4_8_24_32.params"
BORT: dict[str, Any] = {"family": "bort", "heads": 8}


@pytest.fixture
def local(fixtures: Path, tmp_path: Path) -> Path:
    """The conversion of the same file of this machine."""
    bort_convert.convert(fixtures / NAME, tmp_path / "local", **BORT)
    return tmp_path / "local"


@pytest.fixture
def source(web: Nginx, fixtures: Path) -> str:
    shutil.copy(fixtures / NAME, web.root)
    return f"{web.url}/{NAME}"


def remote_contents(url: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in RemotePath(url).iterdir()}


def test_a_source_of_a_web_server_gives_the_bytes_of_a_local_one(source: str, local: Path, tmp_path: Path) -> None:
    bort_convert.convert(source, tmp_path / "out", **BORT)
    assert content(tmp_path / "out") == content(local)


def test_a_small_source_is_fetched_once(source: str, web: Nginx, fixtures: Path, tmp_path: Path) -> None:
    bort_convert.convert(source, tmp_path / "out", **BORT)
    assert (fixtures / NAME).stat().st_size < web.bytes_sent() < (fixtures / NAME).stat().st_size + 2048
    assert [request.split()[1] for request in web.requests()] == ["HEAD", "GET", "HEAD"]


def test_source_and_target_in_a_store_give_the_bytes_of_local_ones(s3: str, fixtures: Path, local: Path) -> None:
    RemotePath(f"{s3}/in/{NAME}").upload(fixtures / NAME)
    bort_convert.convert(f"{s3}/in/{NAME}", f"{s3}/out", **BORT)
    assert remote_contents(f"{s3}/out") == content(local)


def test_a_folder_in_a_store_is_a_source_with_the_vocabulary_in_it(s3: str, fixtures: Path, tmp_path: Path) -> None:
    for name in ("little_bort.params", "little_bort.vocab", "little_bort_ranks.txt"):
        RemotePath(f"{s3}/in/{name}").upload(fixtures / "little_bort" / name)
    here = bort_convert.convert(fixtures / "little_bort", tmp_path / "here", family="bort", heads=4)
    there = bort_convert.convert(f"{s3}/in", tmp_path / "there", family="bort", heads=4)
    assert there.tokenizer
    assert there.tokenizer == here.tokenizer
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_every_single_command_takes_urls(s3: str, fixtures: Path, local: Path, tmp_path: Path) -> None:
    source, out = f"{s3}/in/{NAME}", f"{s3}/out"
    RemotePath(source).upload(fixtures / NAME)
    assert run(source, out, "--family", "bort", "--heads", 8).exit_code == 0
    inspected = json.loads(run("inspect", source, "--family", "bort", "--heads", 8, "--json").output)
    assert (inspected["path"], inspected["fit"]["family"]) == (source, "bort")
    assert run("check", out, "--source", source).exit_code == 0
    assert run("export", out, f"{s3}/back.params").exit_code == 0
    assert run("export", local, tmp_path / "back.params").exit_code == 0
    assert RemotePath(f"{s3}/back.params").read_bytes() == (tmp_path / "back.params").read_bytes()
    assert run("extract", source, f"{s3}/arrays.safetensors").exit_code == 0
    assert run("extract", fixtures / NAME, tmp_path / "arrays.safetensors").exit_code == 0
    assert RemotePath(f"{s3}/arrays.safetensors").read_bytes() == (tmp_path / "arrays.safetensors").read_bytes()


def test_a_tokenizer_is_added_to_a_directory_in_a_store(s3: str, fixtures: Path, tmp_path: Path) -> None:
    little = fixtures / "little_bort"
    files = {"vocab": little / "little_bort.vocab", "bpe_ranks": little / "little_bort_ranks.txt"}
    for target in (f"{s3}/out", tmp_path / "out"):
        bort_convert.convert(little / "little_bort.params", target, family="bort", heads=4)
        bort_convert.add_tokenizer(target, **files)
    assert remote_contents(f"{s3}/out") == content(tmp_path / "out")
    assert "tokenizer.json" in remote_contents(f"{s3}/out")


def test_what_will_be_proved_is_fetched_first_and_the_proof_sees_the_copy(s3: str, source: str, fixtures: Path) -> None:
    def refuse(copy: Any, folder: Path) -> Any:  # noqa: ANN401 - a verifier of ours
        assert Path(copy).read_bytes() == (fixtures / NAME).read_bytes()
        raise ParityError(f"{copy} is not {folder.name}")

    with pytest.raises(ParityError, match=f"^{source} is not "):
        bort_convert.convert(source, f"{s3}/out", verify=refuse, **BORT)
    assert not RemotePath(f"{s3}/out").exists()


@pytest.mark.torch
@pytest.mark.mxnet
def test_a_verification_fetches_source_and_directory(s3: str, source: str) -> None:
    bort_convert.convert(source, f"{s3}/out", **BORT)
    report = bort_convert.verify(source, f"{s3}/out")
    assert report.passed
    assert report.call == f"bort_convert.verify('{source}', '{s3}/out')"
    assert bort_convert.load_pretrained(f"{s3}/out").config.num_hidden_layers == 4


@pytest.mark.slow
@pytest.mark.mxnet
def test_headers_and_one_copy_of_a_tied_tensor_cross_the_wire(full_size: Path, web: Nginx, tmp_path: Path) -> None:
    (web.root / full_size.name).symlink_to(full_size)
    url, size = f"{web.url}/{full_size.name}", full_size.stat().st_size
    bort_convert.inspect(url)
    assert web.bytes_sent() < 1_000_000
    web.forget()
    manifest = bort_convert.convert(url, tmp_path / "out")
    assert web.bytes_sent() <= 0.62 * size
    assert not manifest.source.sha256
    assert manifest.source.marks["etag"]
    assert any("decoder.3.weight: not fetched" in note for note in manifest.notes)
    bort_convert.convert(full_size, tmp_path / "local", checksums=False)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "local")]
    assert weights[0] == weights[1]


def test_what_is_not_there_or_not_known_is_refused(s3: str, web: Nginx) -> None:
    with pytest.raises(FormatError, match=r"s3://[^ ]+/gone.params: there is no such file"):
        bort_convert.inspect(f"{s3}/gone.params")
    with pytest.raises(FormatError, match="there is no such file"):
        bort_convert.inspect(f"{web.url}/gone.params")
    with pytest.raises(FormatError, match=r"nosuch://x/y.params: .*expected a protocol that fsspec knows"):
        bort_convert.inspect("nosuch://x/y.params")
    with pytest.raises(FormatError, match=r"s3://[^ ]+/gone: there is no such folder"):
        bort_convert.check(f"{s3}/gone")


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(BackendError, match=r"pip install .*\[remote\]"):
        bort_convert.inspect("s3://bucket/x.params")


def test_no_credential_of_a_url_is_shown_or_kept(web: Nginx, source: str, tmp_path: Path) -> None:
    secret = source.replace("http://", "http://anna:hunter2@") + "?signature=0123abcd"
    bort_convert.convert(secret, tmp_path / "out", **BORT)
    kept = b"".join(content(tmp_path / "out").values())
    web.stop()
    shown = run("inspect", source.replace("http://", "http://anna:hunter2@") + "?signature=0123abcd")
    assert shown.exit_code == 3
    assert NAME in shown.stderr
    for text in (kept.decode("latin-1"), shown.stderr, shown.output):
        assert not any(word in text for word in ("anna", "hunter2", "0123abcd"))


def test_a_target_is_not_replaced_unless_asked_to(s3: str, fixtures: Path) -> None:
    target = f"{s3}/out"
    bort_convert.convert(fixtures / NAME, target, **BORT)
    with pytest.raises(OutputError, match="is not empty"):
        bort_convert.convert(fixtures / NAME, target, **BORT)
    bort_convert.convert(fixtures / NAME, target, force=True, dtype="float16", **BORT)
    assert bort_convert.check(target)
    (RemotePath(target) / "notes.txt").upload(fixtures / "README.md")
    with pytest.raises(OutputError, match=r"holds notes.txt, which no conversion wrote"):
        bort_convert.convert(fixtures / NAME, target, force=True, **BORT)
    with pytest.raises(OutputError, match="a web server takes no files"):
        bort_convert.convert(fixtures / NAME, "http://127.0.0.1:9/out", **BORT)
    with pytest.raises(OutputError, match=r"is inside s3://[^ ]+/out, a converted directory"):
        bort_convert.extract(fixtures / NAME, f"{target}/arrays.safetensors")


def test_progress_counts_the_bytes_that_are_sent_to_a_store(s3: str, fixtures: Path, local: Path) -> None:
    seen: list[tuple[int, int]] = []
    bort_convert.convert(fixtures / NAME, f"{s3}/out", **BORT, progress=lambda *counts: seen.append(counts))
    total = sum(len(data) for data in content(local).values())
    sent = [done for done, of in seen if of == total]
    assert sent == sorted(sent)
    assert len(set(sent)) >= len(content(local))
    assert seen[-1] == (total, total)
    seen.clear()
    bort_convert.export(f"{s3}/out", f"{s3}/back.params", progress=lambda *counts: seen.append(counts))
    size = RemotePath(f"{s3}/back.params").identity().size
    assert seen[-1] == (size, size)


class _Killed(BaseException):
    pass


def test_a_target_whose_upload_is_cut_off_at_any_file_is_refused_and_can_be_written_again(
    s3: str, fixtures: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = RemotePath.upload
    files = len(content(local)) + 1
    for count in range(1, files):
        target, left = f"{s3}/out-{count}", [count]

        def upload(self: RemotePath, source: Path, *sent: Any, left: list[int] = left) -> None:  # noqa: ANN401
            if not left[0]:
                raise _Killed
            left[0] -= 1
            uploaded(self, source, *sent)

        monkeypatch.setattr(RemotePath, "upload", upload)
        with pytest.raises(_Killed):
            bort_convert.convert(fixtures / NAME, target, **BORT)
        monkeypatch.undo()
        assert INCOMPLETE in remote_contents(target)
        assert "conversion.json" not in remote_contents(target)
        for refuses in (bort_convert.check, lambda url: bort_convert.export(url, f"{s3}/never.params")):
            with pytest.raises(FormatError, match=f"{target}: is not whole: its upload was cut off"):
                refuses(target)
        bort_convert.convert(fixtures / NAME, target, **BORT)
        assert remote_contents(target) == content(local)


def test_the_marker_comes_last(s3_server: S3, s3: str, fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    uploaded = RemotePath.upload
    monkeypatch.setattr(RemotePath, "upload", lambda self, *words: (order.append(self.name), uploaded(self, *words))[1])
    bort_convert.convert(fixtures / NAME, f"{s3}/out", **BORT)
    assert (order[0], order[-1]) == (INCOMPLETE, "conversion.json")
    assert len(order) == len(set(order))
    assert s3_server.url


@pytest.mark.usefixtures("source")
def test_a_connection_that_is_cut_again_and_again_costs_no_byte(
    web: Nginx, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bort_convert.files.remote.PAUSES", (0.01,) * 6)
    with Proxy(web) as proxy:
        proxy.cut_after = 30_000
        bort_convert.convert(f"{proxy.url}/{NAME}", tmp_path / "out", **BORT)
        assert content(tmp_path / "out") == content(local)
        proxy.cut_after = 100
        with pytest.raises(FormatError, match=f"{NAME}: cannot be read at byte 0: ServerDisconnectedError"):
            bort_convert.convert(f"{proxy.url}/{NAME}", tmp_path / "none", **BORT)
    assert not (tmp_path / "none").exists()


def test_another_object_in_the_place_of_the_source_is_noticed(source: str, web: Nginx, tmp_path: Path) -> None:
    with bort_convert.open_params(source, mapped=False) as params:
        (web.root / NAME).write_bytes(b"another")
        with pytest.raises(FormatError, match=f"{NAME}: changed while it was read: it had 140,626 bytes and has 7 now"):
            params.check_unchanged()
    assert not list(tmp_path.iterdir())

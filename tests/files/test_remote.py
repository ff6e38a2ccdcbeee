"""Paths and open files elsewhere: names, retries, identity, and servers that give no ranges."""

from __future__ import annotations

import errno
import functools
import http.server
import os
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from servers import HOST, Proxy

from bort_convert.errors import FormatError, OutputError
from bort_convert.files.atomic import new_directory, new_file
from bort_convert.files.fetched import fetched
from bort_convert.files.identity import RemoteIdentity
from bort_convert.files.remote import RemotePath, as_os_error, beside, is_final, is_remote, place_of, redacted, tried
from bort_convert.files.remote_file import WHOLE, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Nginx

pytestmark = pytest.mark.remote
LARGE = bytes(range(251)) * ((WHOLE + (2 << 20)) // 251)


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("s3://b/x", True),
        ("https://h/x", True),
        ("hf://org/model/x.params", True),
        ("zip::s3://b/x.zip", True),
        ("x.params", False),
        ("C:\\x", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_what_is_a_url(text: str, remote: bool) -> None:  # noqa: FBT001 - a column
    assert is_remote(text) is remote
    assert isinstance(place_of(text), RemotePath) is remote


def test_a_url_has_the_parts_of_a_path() -> None:
    path = RemotePath("https://u:p@host/a/b.c.params?sign=1")
    assert (path.name, path.stem, path.suffix, path.scheme) == ("b.c.params", "b.c", ".params", "https")
    assert path.parent.url == "https://u:p@host/a?sign=1"
    assert path.with_suffix(".yml").url == "https://u:p@host/a/b.c.yml?sign=1"
    assert (path.parent / "x").url == "https://u:p@host/a/x?sign=1"
    assert [str(parent) for parent in RemotePath("s3://b/a/c").parents] == ["s3://b/a", "s3://b"]
    assert (str(path), os.fspath(path)) == ("https://...@host/a/b.c.params?...", path.url)
    assert RemotePath("s3://b/a/c/d").relative_to(RemotePath("s3://b/a")) == PurePosixPath("c/d")


def test_a_name_in_a_file_of_a_folder_elsewhere() -> None:
    folder = RemotePath("s3://b/plans/new")
    assert beside(folder, "../x/./y") == RemotePath("s3://b/plans/x/y")
    assert beside(folder, "/here/x") == Path("/here/x")
    assert beside(folder, "gs://c/x") == RemotePath("gs://c/x")
    assert beside(Path("here"), "x") == Path("here/x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://a:b@h/x?key=1&s=2 failed", "GET https://...@h/x?... failed"),
        ("('s3://b/x?versionId=7')", "('s3://b/x?...')"),
        ("is it there? no", "is it there? no"),
    ],
)
def test_credentials_of_urls_are_left_out_of_any_text(text: str, shown: str) -> None:
    assert redacted(text) == shown


class _AnsweredError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"<answer {status}>")
        self.status = status


def test_what_another_attempt_may_change_is_tried_again() -> None:
    calls = []

    def fails(*errors: Exception) -> str:
        calls.append(1)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return "done"

    broken = ConnectionResetError(errno.ECONNRESET, "reset"), _AnsweredError(503), _AnsweredError(429)
    assert tried(functools.partial(fails, *broken), "x", (0, 0, 0)) == "done"
    assert len(calls) == 4
    for error in (FileNotFoundError(2, "x"), _AnsweredError(403), _AnsweredError(404), ValueError("x")):
        calls.clear()
        assert is_final(error)
        with pytest.raises(OSError, match="label"):
            tried(functools.partial(fails, error), "label", (0, 0, 0))
        assert len(calls) == 1
    assert isinstance(as_os_error(_AnsweredError(404), "x"), FileNotFoundError)
    assert as_os_error(_AnsweredError(500), "x").strerror == "the server answered 500"


def test_marks_that_last_are_those_of_the_content() -> None:
    one = RemoteIdentity.of({"size": 3, "ETag": '"a"', "LastModified": "monday"})
    assert one.lasting == {"etag": '"a"'}
    assert RemoteIdentity.of({"size": 3, "mtime": 7}).lasting == {"modified": "7"}


def test_ranges_of_a_large_file_are_fetched_and_those_of_a_small_one_once(web: Nginx) -> None:
    (web.root / "large").write_bytes(LARGE)
    file = RemoteFile(RemotePath(f"{web.url}/large"))
    buffer = memoryview(bytearray(100))
    assert file.read_at(buffer, WHOLE + 5) == 100
    assert bytes(buffer) == LARGE[WHOLE + 5 : WHOLE + 105]
    assert not file.is_whole
    assert web.bytes_sent() < 2000
    assert file.read_at(buffer, len(LARGE) - 10) == 10
    file.close()


def test_an_object_that_is_replaced_between_two_reads_is_refused(web: Nginx) -> None:
    (web.root / "large").write_bytes(LARGE)
    file = RemoteFile(RemotePath(f"{web.url}/large"))
    file.read_at(memoryview(bytearray(10)), 0)
    (web.root / "large").write_bytes(LARGE[::-1])
    os.utime(web.root / "large", (5, 5))
    with pytest.raises(FormatError, match=r"large: changed while it was read: another object took its place"):
        file.read_at(memoryview(bytearray(10)), 2 << 20)
    with pytest.raises(FormatError, match=r"large: changed while it was read: another etag and modified"):
        file.identity.check(file.path)
    file.close()


def test_an_object_that_is_replaced_in_a_store_between_two_reads_is_refused(s3: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(LARGE)
    path = RemotePath(f"{s3}/large")
    path.upload(tmp_path / "x")
    file = RemoteFile(path)
    file.read_at(memoryview(bytearray(10)), 0)
    (tmp_path / "x").write_bytes(LARGE[::-1])
    path.upload(tmp_path / "x")
    with pytest.raises(FormatError, match=r"large: changed while it was read"):
        file.read_at(memoryview(bytearray(10)), 2 << 20)
    file.close()


def test_a_store_is_asked_once_what_an_object_is_and_once_more_if_it_still_is(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs  # noqa: PLC0415 - few environments have it

    (tmp_path / "x").write_bytes(b"abc")
    path = RemotePath(f"{s3}/small")
    path.upload(tmp_path / "x")
    call, asked = s3fs.S3FileSystem._call_s3, []  # noqa: SLF001 - where every request passes

    async def seen(self: object, method: str, *words: object, **options: object) -> object:
        asked.append((method, options.get("IfMatch")))
        return await call(self, method, *words, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", seen)
    file = RemoteFile(RemotePath(path))
    buffer = memoryview(bytearray(3))
    assert (file.read_at(buffer, 0), bytes(buffer)) == (3, b"abc")
    file.identity.check(file.path)
    etag = file.identity.marks["etag"]
    assert asked == [("head_object", None), ("get_object", etag), ("head_object", None)]
    file.close()


@pytest.mark.parametrize("count", [20_000, 300_000])
def test_a_large_file_comes_whole_through_connections_that_break(
    count: int, web: Nginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bort_convert.files.remote.PAUSES", (0.001,) * 12)
    (web.root / "large").write_bytes(LARGE)
    with Proxy(web) as proxy:
        proxy.cut_after = count
        proxy.cuts_left = 40
        with fetched(f"{proxy.url}/large") as copy:
            assert copy.name == "large"
            assert copy.read_bytes() == LARGE
        assert proxy.cuts_left < 40
    assert not list(tmp_path.iterdir())


def test_a_filesystem_with_retries_of_its_own_is_asked_for_less_until_it_gives_something(
    web: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bort_convert.files.remote_file.pauses_of", lambda _system: ())
    (web.root / "large").write_bytes(LARGE)
    with Proxy(web) as proxy:
        file = RemoteFile(RemotePath(f"{proxy.url}/large"))
        proxy.cut()
        proxy.cut_after = 6000
        buffer = memoryview(bytearray(100_000))
        assert (file.read_at(buffer, 7), bytes(buffer)) == (100_000, LARGE[7:100_007])
        proxy.cut_after = 600
        with pytest.raises(FormatError, match="cannot be read at byte 3,000,000"):
            file.read_at(buffer, 3_000_000)
        file.close()


class _WithoutRanges(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[str]:
    """A server that takes no ranges: Python's own."""
    handler = functools.partial(_WithoutRanges, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()


def test_a_server_without_ranges_gives_the_file_whole(plain_server: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    file = RemoteFile(RemotePath(f"{plain_server}/large"))
    buffer = memoryview(bytearray(9))
    assert (file.read_at(buffer, 5 << 20), bytes(buffer)) == (9, LARGE[5 << 20 : (5 << 20) + 9])
    assert file.is_whole
    file.close()


def test_where_there_are_folders_a_file_is_renamed_into_place(tmp_path: Path) -> None:
    with new_file(f"file://{tmp_path}/a/b/x.txt") as path:
        path.write_text("x")
        assert not (tmp_path / "a").exists()
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["x.txt"]
    with pytest.raises(OutputError, match=r"x.txt is there already"), new_file(f"file://{tmp_path}/a/b/x.txt"):
        pass


def test_a_large_file_is_counted_while_it_is_sent(tmp_path: Path) -> None:
    size = 9 << 20
    (tmp_path / "large").write_bytes(bytes(size))
    target, sent = RemotePath("memory://counted/large"), []
    target.upload(tmp_path / "large", sent.append)
    target.unlink()
    assert sent == sorted(sent)
    assert sent[-1] == size
    assert len({count for count in sent if 0 < count < size}) >= 2


def test_a_failed_block_uploads_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_directory(f"file://{tmp_path}/out", marker="last") as folder:
            (folder / "last").write_text("x")
            raise FormatError("no")

    with pytest.raises(FormatError, match="no"):
        fail()
    assert not list(tmp_path.iterdir())

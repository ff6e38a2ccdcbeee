from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest

from bort_convert import check, convert, export, open_params
from bort_convert.errors import FormatError, OutputError
from bort_convert.files.system_errors import close_input, reading, reading_back, writing
from bort_convert.model_dir.read import read_model_dir

FIXTURE = Path(__file__).parents[2] / "fixtures" / "bort_4_8_24_32.params"


def fails(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    convert(FIXTURE, tmp_path / "out", family="bort", heads=8)
    return tmp_path / "out"


def test_an_input_that_cannot_be_read_is_named() -> None:
    with (
        pytest.raises(FormatError, match=r"^model: cannot be read: Input/output error\. Is its disk in order\?$"),
        reading("model"),
    ):
        fails()
    with pytest.raises(FormatError, match=r"^model/config.json: cannot be read: "), reading("model"):
        raise OSError(errno.EIO, "Input/output error", "model/config.json")


def test_an_output_that_cannot_be_written_is_named_with_a_way_out() -> None:
    with (
        pytest.raises(OutputError, match=r"^out: cannot be written: No space left.*Free some space"),
        writing(Path("out")),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_output_that_cannot_be_read_back_is_no_unreadable_input() -> None:
    with (
        pytest.raises(OutputError, match=r"^model: cannot be read again after it was written: Input/output error$"),
        reading_back(Path("out/model")),
        reading("x"),
    ):
        fails()
    with pytest.raises(OutputError, match=r"after it was written: cut short$"), reading_back(Path("out/model")):
        raise FormatError("cut short")


def test_what_was_read_stands_whatever_closing_says() -> None:
    class Unclosable(io.BytesIO):
        fault = fails

        def close(self) -> None:
            self.fault()

    file = Unclosable(b"x")
    close_input(file)
    assert file.read() == b"x"
    file.fault = super(Unclosable, file).close  # type: ignore[method-assign] # Python closes it once more at its end


def test_a_source_whose_size_the_system_does_not_tell_is_an_unreadable_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bort_convert.params.reader.whole_span", fails)
    with pytest.raises(FormatError, match=r"bort_4_8_24_32.params: cannot be read"):
        open_params(FIXTURE)


@pytest.mark.parametrize("function", ["iterdir", "is_file", "stat"])
def test_a_directory_that_cannot_be_listed_is_an_unreadable_one(
    converted: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setattr(Path, function, fails)
    with pytest.raises(FormatError, match="cannot be read: Input/output error"):
        check(converted)


def test_weights_whose_status_the_system_does_not_tell_are_unreadable(
    converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = read_model_dir(converted)
    monkeypatch.setattr("bort_convert.model_dir.read.Identity.of", fails)
    with pytest.raises(FormatError, match="cannot be read: Input/output error"), directory.open_weights():
        pass
    with pytest.raises(FormatError, match="cannot be read: Input/output error"):
        export(converted, tmp_path / "back.params")
    assert not (tmp_path / "back.params").exists()


def test_a_file_that_cannot_be_hashed_after_it_was_written_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_path: Path) -> str:
        with reading("config.json"):
            fails()
        return ""

    monkeypatch.setattr("bort_convert.model_dir.assemble.file_digest", unreadable)
    with pytest.raises(OutputError, match="cannot be read again after it was written"):
        convert(FIXTURE, tmp_path / "out", family="bort", heads=8)
    assert list(tmp_path.iterdir()) == []

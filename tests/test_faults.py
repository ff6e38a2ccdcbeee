from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import faults
import pytest

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and /proc"), pytest.mark.long]


@pytest.mark.parametrize("command", [command.name for command in faults.COMMANDS])
def test_whatever_call_fails_the_output_is_absent_old_or_new_and_the_message_is_ours(command: str) -> None:
    program = [sys.executable, Path(faults.__file__), "--only", command, "--most", "1", "--jobs", "1"]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    count = re.search(r"^([\d,]+) injections into (\d+) calls, 0 broken outputs$", done.stdout, re.MULTILINE)
    assert count, done.stdout
    assert int(count[1]) > int(count[2]) >= 8
    assert re.search(r"  EIO +[134]  ", done.stdout), "no call failed"

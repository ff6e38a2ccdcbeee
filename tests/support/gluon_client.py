"""Ask a GluonNLP tokenizer that runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Gluon:
    """A program beside this file that answers each line of JSON with one.

    Attributes:
        process: the running program.
        first: its first line, which answers no question.
        defaults: keys that are added to every question.
    """

    def __init__(self, script: str, *arguments: str | Path) -> None:
        self.defaults: dict[str, Any] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", Path(__file__).with_name(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self.read()

    def read(self) -> Any:  # noqa: ANN401 - any JSON
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, **question: Any) -> Any:  # noqa: ANN401
        assert self.process.stdin
        print(json.dumps({**self.defaults, **question}), file=self.process.stdin, flush=True)
        return self.read()

    def ids(self, text: str) -> Any:  # noqa: ANN401
        return self.ask(text=text)

    def close(self) -> None:
        self.process.communicate()

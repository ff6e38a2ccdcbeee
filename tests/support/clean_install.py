"""Install the wheel with the newest of all that it needs into a fresh environment, and use it: `make clean-install`.

The environment has a home of its own and sees neither this checkout nor the caller's variables, but those of pip and of
certificates. torch alone is pinned, as in constraints.txt.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
LITTLE = FIXTURES / "little_bort" / "little_bort"
BORT = FIXTURES / "bort_4_8_24_32.params"
TORCH = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)[0]
KEPT = ("PIP_", "UV_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY")
LOAD = """
from transformers import pipeline
ask = pipeline("fill-mask", model="alice", tokenizer="alice")
assert ask("The White <mask> looked at his watch.")[0]["token_str"].strip() == "Rabbit"
import bort_convert
assert type(bort_convert.load_pretrained("out")).__name__ == "BertForMaskedLM"
"""


def environment(folder: Path) -> dict[str, str]:
    """An environment with an empty home, and with pip's settings."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    path = os.pathsep.join([str(folder / "venv" / "bin"), "/usr/bin", "/bin"])
    home = {"HOME": str(folder), "PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin")}
    return {**kept, **home, "PATH": path, "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1", "UV_PYTHON": sys.executable}


def main(dist: Path, folder: Path) -> None:
    """Make the environment and run every step in it; the first that fails ends all."""
    (wheel,) = dist.glob("*.whl")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "work").mkdir(parents=True)
    venv.create(folder / "venv", with_pip=True)
    environ = environment(folder)

    def run(*command: object) -> None:
        print("$", *command, flush=True)  # noqa: T201
        words = list(map(str, command))
        program = shutil.which(words[0], path=environ["PATH"])
        assert program, words[0]
        subprocess.run([program, *words[1:]], cwd=folder / "work", env=environ, check=True)

    convert = ("bort-convert", "convert", "--family", "bort", "--quiet")
    run("python", "-m", "pip", "install", "-q", f"{wheel}[torch]", TORCH)
    run("python", "-m", "pip", "check")
    run("bort-convert", "env")
    run(
        *convert,
        f"{LITTLE}.params",
        "alice",
        "--heads",
        4,
        "--vocab",
        f"{LITTLE}.vocab",
        "--bpe-ranks",
        f"{LITTLE}_ranks.txt",
    )
    run(*convert, BORT, "out", "--heads", 8)
    run("bort-convert", "check", "alice")
    run("python", "-c", LOAD)
    run("bort-convert", "verify", FIXTURES / "traces" / "bort_4_8_24_32.safetensors", "out")
    run("python", "-m", "pip", "install", "-q", "pipx", "uv")
    run("uvx", "--from", wheel, "bort-convert", "inspect", BORT, "--family", "bort", "--heads", 8, "--summary")
    run("pipx", "run", "--spec", wheel, "bort-convert", "--version")
    run("pipx", "install", "-q", wheel)
    run(folder / "bin" / "bort-convert", *convert[1:], BORT, "by-pipx", "--heads", 8)


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:3]))

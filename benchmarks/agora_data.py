"""Real texts with a rating for the study of Agora: those of the source distribution of `vaderSentiment` 3.3.2.

Tweets, Amazon sentences, sentences of film reviews and of newspapers, each with the mean of 20 people's ratings from -4
to 4; here they are positive from 1 on and negative from -1 on, and what lies between is left out. The texts are other
people's: they are fetched into build/ to measure with, and never committed.

Source: C.J. Hutto and E.E. Gilbert, VADER, ICWSM 2014; the package's licence is MIT.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "agora"
ARCHIVE = "vaderSentiment-3.3.2.tar.gz"
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
FILES = {
    "tweets": "tweets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "films": "movieReviewSnippets_GroundTruth.txt",
    "newspaper": "nytEditorialSnippets_GroundTruth.txt",
}
LEAST_RATING = 1.0


def fetch() -> None:
    """Fetch the archive into build/agora and unpack the four files, unless they are there."""
    if all((WORK / file).exists() for file in FILES.values()):
        return
    WORK.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    pip += ["--no-build-isolation", "--no-binary", ":all:", "-d", str(WORK), "vaderSentiment==3.3.2"]
    subprocess.run(pip, check=True)
    with tarfile.open(WORK / ARCHIVE) as outer:
        (name,) = [name for name in outer.getnames() if name.endswith(INNER)]
        with tarfile.open(fileobj=outer.extractfile(name)) as inner:
            for member in inner.getmembers():
                file = Path(member.name).name
                if file in FILES.values() and (content := inner.extractfile(member)):
                    (WORK / file).write_bytes(content.read())


def rated(name: str) -> list[tuple[str, float]]:
    """Texts of a set with their mean ratings, in the order of the file, each text once."""
    fetch()
    lines = (WORK / FILES[name]).read_text("utf-8", errors="replace").splitlines()
    rows = [line.split("\t", 2) for line in lines if line.count("\t") > 1]
    return list({" ".join(text.split()): float(rating) for _, rating, text in rows if text.strip()}.items())


def labelled(name: str) -> list[tuple[str, int]]:
    """Texts that are clearly negative (0) or positive (1)."""
    return [(text, int(rating > 0)) for text, rating in rated(name) if abs(rating) >= LEAST_RATING]

"""Put the table of families into README.md, between its two marks: python tests/readme_table.py, or `make readme`."""

from __future__ import annotations

from pathlib import Path

from bort_convert import families

README = Path(__file__).parents[2] / "README.md"
FIRST = "<!-- Made from the families by `make readme`; change nothing here. -->\n\n"
LAST = "\n\n<!-- As far as here. -->\n"


def with_table(text: str) -> str:
    """A page with the table as it has to be; ValueError where a mark is missing or stands there twice."""
    before, rest = text.split(FIRST)
    _, after = rest.split(LAST)
    return f"{before}{FIRST}{text.families_markdown(families().values())}{LAST}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8", newline="\n")

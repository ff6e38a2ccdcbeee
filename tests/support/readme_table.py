"""Write the table of model families into README.md, between its two marks: `make readme`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bort_convert import families

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bort_convert.mapping.family import Family

README = Path(__file__).parents[2] / "README.md"
FIRST = "<!-- Made from the families by `make readme`; change nothing here. -->\n\n"
LAST = "\n\n<!-- As far as here. -->\n"


def families_markdown(known: Iterable[Family]) -> str:
    """A Markdown table: one row for each target class of each family, and for each reason to refuse a form."""
    lines = ["| family | published sizes | checkpoint | becomes |", "|---|---|---|---|"]
    for family in known:
        sizes = ", ".join(f"`{variant.name}`" for variant in family.variants)
        first = (f"{family.title} (`{family.name}`)", sizes)
        forms: dict[str, list[str]] = {}
        for table in family.tables:
            for name, *groups in table.architectures:
                forms.setdefault(name, []).append(f"{table.title} with {', '.join(groups)}" if groups else table.title)
        becomes = {f"`{name}`": "; ".join(checkpoints) for name, checkpoints in forms.items()}
        for refusal in dict.fromkeys(table.refusal for table in family.tables if table.refusal):
            titles = "; ".join(table.title for table in family.tables if table.refusal == refusal)
            becomes[f"refused: {refusal}"] = titles
        for name, checkpoints in becomes.items():
            lines.append(f"| {' | '.join(first)} | {checkpoints} | {name} |")
            first = ("", "")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the current table; ValueError where a mark is missing or stands there twice."""
    before, rest = page.split(FIRST)
    _, after = rest.split(LAST)
    return f"{before}{FIRST}{families_markdown(families().values())}{LAST}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8", newline="\n")

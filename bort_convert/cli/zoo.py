"""The command that lists the files that GluonNLP published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import bort_convert
from bort_convert.cli.command import Command
from bort_convert.cli.options import FAMILY, JSON
from bort_convert.cli.output import show
from bort_convert.plain_table import TextTable
from bort_convert.zoo import find_entries
from bort_convert.zoo.parity import parity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bort_convert.zoo import ZooEntry

TITLES = ("NAME", "MB", "FAMILY", "CHECKPOINT", "TEXT", "BECOMES", "LICENCE", "FLOAT64", "FLOAT32")
NOT_STATED = "not stated"


@click.command(cls=Command, short_help="List the files that GluonNLP published, or show one.")
@click.argument("name", required=False)
@FAMILY
@JSON
def zoo(*, name: str | None, family: str | None, as_json: bool) -> None:
    """List the files that GluonNLP published, of 0.x and of 1.0, with our parity figures.

    NAME is a file, as the list has it, or a model with all of its files: everything that is known of it is shown then.
    `inspect` and `convert` tell such a file by its SHA-1.
    """
    found: Sequence[ZooEntry] = find_entries(name) if name else bort_convert.zoo_entries()
    if family:
        found = [entry for entry in found if entry.family == family]
    show(
        lambda: {"entries": [entry_dict(entry) for entry in found]},
        lambda: [*details(found)] if name else [listing(found)],
        as_json=as_json,
        quiet=False,
    )


def entry_dict(entry: ZooEntry) -> dict[str, object]:
    """An entry as JSON data, with our parity figures."""
    parity = parity_of(entry)
    return {**entry.to_dict(), "parity": parity.to_dict() if parity else None}


def listing(entries: Sequence[ZooEntry]) -> TextTable:
    """A table with a row for each entry."""
    rows = []
    for entry in entries:
        parity = parity_of(entry)
        figures = (f"{parity.float64:.1e}", f"{parity.float32_hidden:.1e}") if parity else ("-", "-")
        rows.append(
            (
                *(entry.name, f"{entry.size / 1e6:,.1f}" if entry.size else "-", entry.family or "-"),
                *(entry.form or "-", casing(entry), entry.architecture or "-"),
                *(entry.origin.license or NOT_STATED, *figures),
            )
        )
    return TextTable(TITLES, rows, optional=("LICENCE", "CHECKPOINT", "TEXT", "FLOAT32"))


def details(entries: Sequence[ZooEntry]) -> Iterator[str | TextTable]:
    """Everything that is known of each entry."""
    for number, entry in enumerate(entries):
        yield from [""] * bool(number)
        yield f"{entry.name}: GluonNLP {entry.gluonnlp}"
        yield TextTable((), [(f"  {key}", value) for key, value in _facts(entry)])


def casing(entry: ZooEntry) -> str:
    """The text that a model reads: "lower case" or "cased"; "characters" for a model without a vocabulary."""
    return {True: "lower case", False: "cased", None: "characters"}[entry.lower_case]


def _facts(entry: ZooEntry) -> Iterator[tuple[str, str]]:
    """What is known of an entry, by its name in the listing."""
    origin, vocabulary, parity = entry.origin, entry.vocabulary, parity_of(entry)
    yield "file", entry.file
    yield "sha1", entry.sha1
    yield "bytes", f"{entry.size:,}" if entry.size else NOT_STATED
    if entry.family:
        yield "family", f"{entry.family}, {entry.variant}"
        yield "checkpoint", ", ".join((entry.form, *entry.parts))
        yield "becomes", entry.architecture
    else:
        yield "not converted", entry.refusal
    if vocabulary:
        yield "vocabulary", f"{vocabulary.file}, {vocabulary.size:,} tokens, sha1 {vocabulary.sha1}"
        yield "tokenizer", f"{vocabulary.tokenizer}, {casing(entry)}"
    yield "languages", ", ".join(origin.languages)
    yield "trained on", ", ".join(origin.datasets) or NOT_STATED
    yield "licence", f"{origin.license}, as {origin.license_source} states" if origin.license else NOT_STATED
    yield "cite", origin.paper or NOT_STATED
    if origin.base_model:
        yield "on the Hub", origin.base_model
    if parity:
        heads = "" if parity.float32_heads is None else f", heads {parity.float32_heads:.1e}"
        what = f"{parity.checkpoint}, {'at full size' if parity.full_size else 'a small model of the family'}"
        yield "parity", f"float64 {parity.float64:.1e}, float32 {parity.float32_hidden:.1e}{heads}"
        yield "measured on", f"{what}, random values; {parity.reference}"

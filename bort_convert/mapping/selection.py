"""Select the tensors of a file that are the model's, where the file holds others too.

A network of somebody's own has other parts beside the model. They are never left out in silence: the user ignores
them by patterns, or has them kept beside the model, or the file is refused.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from bort_convert.errors import OptionError, OtherTensorsError, VariantError, printable
from bort_convert.mapping.candidates import (
    closest_of,
    compare_at_places,
    compare_with_file,
    largest_parts,
    no_table_fits,
)
from bort_convert.mapping.source_names import bare_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bort_convert.dtypes import TensorSpec
    from bort_convert.mapping.candidates import Candidate, KnownTable

    Specs = Mapping[str, TensorSpec | None]

_SHOWN: Final = 4
"""Number of names that a message shows."""
_SHOWN_CHARACTERS: Final = 60
_VOWELS: Final = "AEIOX"
"""First letters of a title that "an" stands before."""


@dataclass(frozen=True)
class Selection:
    """What a user says about the tensors of a file.

    Attributes:
        prefix: place of the model, where several stand in the file; None to find it.
        ignore: patterns of names, with `*`, `?` and `[...]` as in a shell, of tensors to leave out.
        keep_extra: keep all other tensors beside the model.
    """

    prefix: str | None = None
    ignore: tuple[str, ...] = ()
    keep_extra: bool = False

    def ignored(self, names: Iterable[str]) -> dict[str, str]:
        """Find the names that are to be left out, each with its pattern.

        Raises:
            OptionError: a pattern matches no name.
        """
        found: dict[str, str] = {}
        names = list(names)
        for pattern in self.ignore:
            matches = re.compile(translate(pattern)).match
            matched = [name for name in names if matches(name) or matches(bare_name(name))]
            if not matched:
                raise OptionError("ignore", [pattern], "matches no tensor of the file; `inspect` lists their names")
            found |= {name: pattern for name in matched if name not in found}
        return found

    def part(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Choose the candidates that fit, take most tensors and stand at one place; empty if none fits.

        Raises:
            OptionError: nothing stands under `prefix`.
            VariantError: models stand at several places.
        """
        fitting = [candidate for candidate in candidates if candidate.fits]
        here = fitting
        if self.prefix is not None:
            here = [candidate for candidate in fitting if candidate.prefix == self.prefix] or [
                candidate for candidate in fitting if candidate.prefix.startswith(self.prefix)
            ]
        parts = largest_parts(here)
        if len(parts) == 1:
            return parts[0]
        if parts:
            raise _several_places(parts)
        if fitting:
            places = _listed([standing(part) for part in largest_parts(fitting)])
            raise OptionError("prefix", self.prefix, f"no model stands there; {places}")
        return []

    def check_whole(self, chosen: Sequence[Candidate], tables: Sequence[KnownTable], specs: Specs) -> None:
        """Refuse patterns that match a part of a model: without it the rest may pass for another model.

        Args:
            chosen: the candidates that fit without the ignored tensors; none if no table does.
            tables: the tables to compare with all tensors.
            specs: every tensor of the file.

        Raises:
            OptionError: a pattern matches tensors that the model needs.
        """
        ignored = self.ignored(specs)
        models = [known for known in tables if not known[1].refusal]
        whole = [candidate for candidate in compare_at_places(specs, models) if candidate.fits]
        if chosen:
            prefix, taken = chosen[0].prefix, chosen[0].taken
            whole = [candidate for candidate in whole if candidate.prefix == prefix and candidate.taken & taken]
        for part in largest_parts(whole):
            if own := [name for name in specs if name in ignored and name in part[0].required]:
                patterns = list(dict.fromkeys(ignored[name] for name in own))
                raise OptionError(
                    "ignore", patterns, f"matches tensors of the model's own: {shown_names(own)}; {standing(part)}"
                )


WHOLE: Final = Selection()
"""Every tensor is the model's."""


def select(
    specs: Specs, tables: Sequence[KnownTable], selection: Selection
) -> tuple[list[Candidate], dict[str, str], tuple[str, ...]]:
    """Find the model in a file, as a whole or at a place of it.

    Args:
        specs: name in the file -> dtype and shape; None for a record without a value.
        tables: the tables to try.
        selection: what the user says.

    Returns:
        The candidates that fit, all of which take the same tensors; each name that is left out, with its pattern; and
        the names that are kept beside the model.

    Raises:
        MappingError: no table fits.
        OptionError: a pattern matches nothing, or a part of the model; or nothing stands under the prefix.
        OtherTensorsError: there are other tensors, and they are neither left out nor kept.
        VariantError: models stand at several places.
    """
    ignored = selection.ignored(specs)
    computed = [known for known in tables if not known[1].refusal]
    if selection.keep_extra:  # of a form that no class computes the head is kept
        tables = computed
    whole = [known for known in computed if not known[1].keeps_extra]  # a form with two heads may lose one
    kept = {name: spec for name, spec in specs.items() if name not in ignored}
    candidates = [] if selection.prefix else compare_with_file(kept, tables)
    chosen = [candidate for candidate in candidates if candidate.fits]
    if not chosen:
        candidates += compare_at_places(kept, tables)
        chosen = selection.part(candidates)
    if ignored:
        selection.check_whole(chosen, whole, specs)
    if not chosen:
        raise no_table_fits(candidates, "file")
    taken = chosen[0].taken
    rest = [name for name in kept if name not in taken]
    if rest and not selection.keep_extra:
        sentence, closest = _refusal(chosen, rest, specs), closest_of(candidates)
        found = no_table_fits([closest], "file") if closest.distance < len(rest) else None
        raise OtherTensorsError(
            f"{found}\nOr else {sentence}" if found else sentence,
            found.disagreements if found else (),
            prefix=chosen[0].prefix,
            others=rest,
        )
    return chosen, ignored, tuple(rest)


def standing(part: Sequence[Candidate], *, form: bool = False) -> str:
    """A clause on a model in a file: "a BERT stands under `bert_model.`"; if asked, with the form of its checkpoint."""
    titles = list(dict.fromkeys(candidate.family.title for candidate in part))
    article = "" if "'s " in titles[0] else "an " if titles[0][0] in _VOWELS else "a "
    table = f" ({part[0].table.title})" if form else ""
    prefix = part[0].prefix
    where = f"under `{printable(prefix)}`" if prefix else "at the top of the file"
    return f"{article}{' or '.join(titles)}{table} stands {where}"


def shown_names(names: Sequence[str], specs: Specs | None = None) -> str:
    """The first of some names for a message, with their shapes, and the number of the rest."""
    first = [_shown(name, (specs or {}).get(name)) for name in names[:_SHOWN]]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "")


def _shown(name: str, spec: TensorSpec | None) -> str:
    shape = f" ({', '.join(map(str, spec.shape))})" if spec else ""
    return f"{printable(name, _SHOWN_CHARACTERS)}{shape}"


def _refusal(part: Sequence[Candidate], rest: Sequence[str], specs: Specs) -> str:
    """The sentence that refuses other tensors, and the ways on."""
    patterns = _patterns(rest, part[0].taken)
    can_be_typed = len(patterns) <= _SHOWN and all(map(str.isprintable, patterns))
    ignoring = f"`ignore={patterns!r}`" if can_be_typed else "`ignore=...`"
    plural, them = ("", "it") if len(rest) == 1 else ("s", "them")
    return (
        f"{standing(part)}; {len(rest):,} other tensor{plural}: {shown_names(rest, specs)}. Pass {ignoring} to leave "
        f"{them} out, or `keep_extra=True` to keep {them} in a file beside the model. To give {them} a place in a "
        "class, draft a table: `inspect` with `write_table='own.toml'`"
    )


def _patterns(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Patterns for all of these names and none of the model's: one for each part of the network where that will do."""
    parts = {part for name in taken for part in _parts(name)}
    found = []
    for name in names:
        part = next((part for part in _parts(name) if part not in parts), None)
        found.append(f"{glob.escape(part)}*" if part else glob.escape(name))
    return list(dict.fromkeys(found))


def _parts(name: str) -> list[str]:
    """What a name begins with, up to each of its dots; in a prefixed name, up to each underscore."""
    bare = bare_name(name)
    return [bare[: match.end()] for match in re.finditer("[.]" if "." in bare else "_", bare)]


def _several_places(parts: Sequence[Sequence[Candidate]]) -> VariantError:
    prefixes = list(dict.fromkeys(part[0].prefix for part in parts))
    clauses = _listed([standing(part, form=len(prefixes) < len(parts)) for part in parts])
    options = " or ".join(f"`prefix={prefix!r}`" for prefix in prefixes[:_SHOWN]) if len(prefixes) > 1 else ""
    rest = "`ignore=...` or `keep_extra=True` for the tensors of the rest"
    advice = f"{options}, and {rest}" if options else "`ignore=...` for the tensors of the rest"
    return VariantError(
        f"{len(parts):,} models stand in the file: {clauses}. Pass {advice}", missing=("prefix",), candidates=prefixes
    )


def _listed(clauses: Sequence[str]) -> str:
    more = f" and {len(clauses) - _SHOWN:,} more" if len(clauses) > _SHOWN else ""
    return ", ".join(clauses[:_SHOWN]) + more

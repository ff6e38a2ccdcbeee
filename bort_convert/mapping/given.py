"""Hyperparameters that are not a family's own: what a user, a vocabulary or a manifest says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bort_convert.mapping.family import HEADS, LAYERS, SPECIAL_TOKEN_IDS, UNSEEN_SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family


@dataclass(frozen=True)
class Given:
    """Hyperparameters that are not the family's: what a user, a vocabulary or a manifest says.

    Attributes:
        heads: number of attention heads; None to take the published size's.
        layers: number of layers, where the layers share their weights; None to take the published size's.
        hyperparameters: by their names, or by `SYNONYMS`.
        special_token_ids: those of a vocabulary, and no others; None without one, for the family's own.
    """

    heads: int | None = None
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)
    special_token_ids: Mapping[str, int] | None = None
    layers: int | None = None

    def sizes(self, family: Family) -> dict[str, int]:
        """Those of `UNSEEN_SIZES` that the user gives, as arguments or among the hyperparameters."""
        chosen = self.chosen(family)
        given = {HEADS: self.heads, LAYERS: self.layers}
        found = {name: chosen.get(name) if given[name] is None else given[name] for name in UNSEEN_SIZES}
        return {name: int(number) for name, number in found.items() if number is not None}

    def of(self, family: Family) -> dict[str, Hyperparameter]:
        """The family's hyperparameters with these in their places.

        Raises:
            OptionError: the family has no such hyperparameter, or GluonNLP no such value.
        """
        known = dict(family.hyperparameters)
        if self.special_token_ids is not None:
            known = {name: value for name, value in known.items() if name not in SPECIAL_TOKEN_IDS}
            known |= self.special_token_ids
        return {**known, **self.chosen(family)}

    def chosen(self, family: Family) -> dict[str, Hyperparameter]:
        """The user's own, checked; see `Family.checked_hyperparameters`."""
        return family.checked_hyperparameters(self.hyperparameters)


def recorded_hyperparameters(family: Family, recorded: Mapping[str, Hyperparameter]) -> Given:
    """The hyperparameters of a manifest, for another fit of the same checkpoint.

    Args:
        family: the family for the gluonnlp version of the conversion.
        recorded: `Manifest.hyperparameters`; release 0.1 recorded no special token ids.
    """
    ids = {name: int(value) for name, value in recorded.items() if name in SPECIAL_TOKEN_IDS}
    own = {
        name: value
        for name, value in recorded.items()
        if name in family.hyperparameters and name not in SPECIAL_TOKEN_IDS
    }
    return Given(hyperparameters=own, special_token_ids=ids or None)

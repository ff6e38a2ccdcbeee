"""Compare config.json, key by key, with the source and with what a conversion would write now."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from bort_convert.errors import OptionError, VariantError
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS, SYNONYMS, module_overrides
from bort_convert.model_dir.config import expected_config
from bort_convert.model_dir.manifest import FILE_NAME as MANIFEST
from bort_convert.model_dir.manifest import is_intact
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.family import Family
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.model_dir.read import ModelDir

HARMLESS: Final = ("transformers_version", "_name_or_path", "use_cache", "return_dict", "task_specific_params")
"""Keys that no conversion writes and that change no output; so are those that begin with `output_`."""


def config_problems(directory: ModelDir, provenance: Mapping[str, str]) -> list[str]:
    """Compare config.json and conversion.json with the source, and config.json with what a conversion would write.

    Special token ids follow from the vocabulary, which the source does not hold; conversion.json has them.

    Args:
        directory: the converted directory.
        provenance: of the reference; see `Trace`.

    Returns:
        A line for each key that is missing, different, or unknown and perhaps not harmless.
    """
    manifest, source = directory.conversion, provenance["source"]
    family = manifest.known_family
    by_ids = _keys_of_special_tokens(family)
    expected = {"architectures": [provenance["architecture"]], **json.loads(provenance["config"])}
    expected = {key: value for key, value in expected.items() if key not in by_ids}
    problems = list(_disagreements("config.json", directory.config, expected, source))
    problems += _disagreements(MANIFEST, manifest.hyperparameters, _comparable(manifest, provenance), source)
    problems += _disagreements(MANIFEST, manifest.dims, json.loads(provenance["dims"]), source)
    if not is_intact(directory.manifest_text or ""):
        problems.append(f"{MANIFEST}: is not as it was written")
    if family is None:
        return [*problems, f"{MANIFEST}: family is {manifest.family!r}, expected one of {', '.join(families())}"]
    try:
        written = expected_config(manifest, family)
    except (KeyError, TypeError, ValueError) as error:
        return [*problems, f"{MANIFEST}: {error!r}: config.json cannot be compared with it"]
    problems += _unexplained(manifest, family)
    rest = {key: value for key, value in written.items() if key not in expected}
    problems += _disagreements("config.json", directory.config, rest, MANIFEST)
    return problems + [
        f"config.json: {key} is {directory.config[key]!r}, expected no such key: no conversion writes it"
        for key in directory.config
        if key not in {*written, *HARMLESS} and not key.startswith("output_")
    ]


def _comparable(manifest: Manifest, provenance: Mapping[str, str]) -> dict[str, Hyperparameter]:
    """Hyperparameters of the source that the manifest must have.

    Another release may have recorded others. Those in config.json are compared there, module overrides are only here.
    """
    known = json.loads(provenance["hyperparameters"])
    flags = {name for name, value in known.items() if value is True}  # such as the order of biases in 0.9
    names = {*manifest.hyperparameters, *module_overrides(known), *flags} - {*SPECIAL_TOKEN_IDS}
    return {name: value for name, value in known.items() if name in names}


def _unexplained(manifest: Manifest, family: Family) -> Iterator[str]:
    """Recorded hyperparameters that neither the family, a published size nor an option of the conversion gives.

    Release 0.1 took GPT-2's activation from a release of gluonnlp.
    """
    options = manifest.options
    given = {SYNONYMS.get(name, name) for name in options.get("hyperparameters", {})}
    given |= {*manifest.told, *options.get("original_config", {}).get("values", {})}
    with suppress(OptionError, VariantError):
        version = options.get("gluonnlp_version")
        family = family.for_version(version) if version is not None else family
    for name, default in family.hyperparameters.items():
        known = {default, *(variant.hyperparameters.get(name, default) for variant in family.variants)}
        value = manifest.hyperparameters.get(name, default)
        if name not in {*given, *SPECIAL_TOKEN_IDS} and value not in known:
            yield f"{MANIFEST}: {name} is {value!r}, expected {default!r}: no option of the conversion says otherwise"


def _keys_of_special_tokens(family: Family | None) -> set[str]:
    """Keys of the config whose value depends on a special token id."""
    keys = family.config if family else ()
    return {key.name for key in keys if {key.source, key.after} & {*SPECIAL_TOKEN_IDS}} | {*SPECIAL_TOKEN_IDS}


def _disagreements(file: str, found: Mapping[str, Any], expected: Mapping[str, Any], source: str) -> Iterable[str]:
    for key, value in expected.items():
        if key not in found:
            yield f"{file}: {key} is missing, expected {value!r} by {source}"
        elif type(found[key]) is not type(value) or found[key] != value:
            yield f"{file}: {key} is {found[key]!r}, expected {value!r} by {source}"

"""From a `.params` file to a directory that transformers loads: open, fit, write, and say what was done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from bort_convert.errors import ParityError
from bort_convert.files.atomic import new_directory, write_text
from bort_convert.model_dir import config
from bort_convert.model_dir.assemble import finish, tokenizer_for, write_tokenizer
from bort_convert.model_dir.model_card import FILE_NAME as CARD
from bort_convert.model_dir.shards import DEFAULT_SIZE, size_in_bytes
from bort_convert.models.registry import fit_source
from bort_convert.params import MAX_ARRAYS, open_params
from bort_convert.tokenizer import TokenizerOptions
from bort_convert.weights.from_checkpoint import convert_weights
from bort_convert.weights.statistics import check_finite, statistics_of_arrays

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bort_convert.mapping.family import Hyperparameter
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.verification.report import Report


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    gluonnlp_version: str | None = None,
    vocab: str | os.PathLike[str] | None = None,
    bpe_ranks: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    roberta_pairs: bool = False,
    lower_case: bool | None = None,
    labels: Sequence[str] | None = None,
    problem_type: str | None = None,
    dtype: str | None = None,
    allow_overflow: bool = False,
    max_shard_size: str = DEFAULT_SIZE,
    license: str | None = None,  # noqa: A002 - the Hub's word for it
    strict: bool = False,
    max_arrays: int = MAX_ARRAYS,
    checksums: bool = True,
    verify: Callable[[str | os.PathLike[str], Path], Report] | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Convert a GluonNLP checkpoint to a directory that `transformers.AutoModel.from_pretrained` loads.

    Neither MXNet nor torch is imported. Every tensor keeps its dtype and its bits, unless `dtype` asks for another.
    The directory appears whole or not at all.

    Args:
        source: a `.params` file, or a model-zoo archive that holds one.
        target: the directory to write; absent or empty, unless `force` is given.
        family: name of the family, where a file fits two.
        variant: insist on this published size.
        heads: attention heads, for a size that was never published.
        gluonnlp_version: the release of gluonnlp that trained it, such as "0.9.2", where releases compute differently; no file
            tells. By default what 0.8 computes, except where a family says otherwise.
        vocab: GluonNLP's vocabulary, a JSON file, for the tokenizer, or a BERT's vocab.txt or SentencePiece
            model; by default, not of a BERT, the one that GluonNLP keeps in `$MXNET_HOME/models` or `~/.mxnet/models`,
            if it is there.
        bpe_ranks: GluonNLP's BPE ranks, a text file, for a Bort, a RoBERTa or a GPT-2; the same default.
        tokenizer: a directory with a tokenizer of transformers, or its name on the Hub, in place of those files.
        roberta_pairs: two `</s>` between the segments of a pair, as RoBERTa has it, in a Bort too, which has one.
        lower_case: whether a BERT's tokenizer lower-cases text and strips its accents; by default what the files of
            `tokenizer` say, or what the vocabulary proves.
        labels: names of a classifier's outputs, in their order.
        problem_type: what a classifier does, "regression" or "single_label_classification" or
            "multi_label_classification"; by default a regression where it has one output, else one label of many.
        dtype: a floating-point one for every tensor, such as "float16"; rounded to nearest even.
        allow_overflow: let values that are too large for `dtype` become infinite.
        max_shard_size: of each file of weights, such as "2GB"; past it there are more of them, and an index.
        license: the checkpoint's licence by its name on the Hub, for the model card.
        strict: refuse NaN and infinite values, before anything is written.
        max_arrays: see `open_params`.
        checksums: hash the source and every tensor for the manifest.
        verify: run on the source and the finished directory before that takes its place, such as
            `bort_convert.verify`; what it finds goes into the model card.
        force: replace what stands at `target`.
        progress: told from time to time the bytes written and the bytes to write.

    Raises:
        FormatError: the source or a file of the vocabulary cannot be read, or the source changed while it was read.
        MappingError: no table fits the source: all disagreements with the closest one. Or tensors that the receiving
            model ties are not equal, or values do not fit into `dtype`, or `strict` refuses them.
        VariantError: what shapes cannot show is not known, or what was given contradicts the file. Or a vocabulary was
            given for a family whose tokenizer cannot be made or is of another kind, or does not tell about letters.
        ParityError: `verify` did not pass; nothing was written.
        OutputError: the target cannot be written.
    """
    limit = size_in_bytes(max_shard_size)
    files = TokenizerOptions(vocab, bpe_ranks, tokenizer, roberta_pairs, lower_case)
    options = _given(
        family=family,
        variant=variant,
        heads=heads,
        **files.options,
        gluonnlp_version=gluonnlp_version,
        labels=",".join(labels or ()) or None,
        problem_type=problem_type,
        dtype=dtype,
        max_shard_size=max_shard_size if max_shard_size != DEFAULT_SIZE else None,
        license=license,
    )
    with open_params(source, max_arrays=max_arrays, mapped=False) as params:
        found = fit_source(params.specs, family=family, variant=variant, heads=heads, gluonnlp_version=gluonnlp_version)
        receiving = config.config_of(found, dtype=dtype, labels=labels, problem_type=problem_type)
        words = tokenizer_for(found.family, found.plan.dims, files)
        if strict:
            check_finite(statistics_of_arrays(params))
        with new_directory(target, source=source, force=force) as folder:
            written = convert_weights(
                folder,
                params,
                found,
                max_bytes=limit,
                dtype=dtype,
                allow_overflow=allow_overflow,
                checksums=checksums,
                progress=progress,
            )
            write_text(folder / config.FILE_NAME, json.dumps(receiving, indent=2, sort_keys=True) + "\n")
            if words:
                write_tokenizer(folder, words)
                written = replace(written, tokenizer=words.sources, notes=words.notes)
            written = replace(written, options=options)
            manifest = finish(folder, written, [path.name for path in folder.iterdir()])
            params.check_unchanged()
            return _proved(verify(source, folder), folder, manifest) if verify else manifest


def _given(**options: Hyperparameter | None) -> dict[str, Hyperparameter]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _proved(proof: Report, folder: Path, manifest: Manifest) -> Manifest:
    """Put what a verification found into the manifest and the model card.

    Raises:
        ParityError: it did not pass.
    """
    if not proof.passed:
        raise ParityError(f"{proof.headline}. Nothing was written")
    (folder / CARD).unlink()
    return finish(folder, replace(manifest, parity=proof.summary), ())

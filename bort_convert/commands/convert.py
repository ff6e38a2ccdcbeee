"""Convert a `.params` file to a directory that transformers loads."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from bort_convert.arguments import version_argument
from bort_convert.errors import FormatError, ParityError, printable
from bort_convert.files.atomic import new_directory, write_text
from bort_convert.files.fetched import fetched, small_files
from bort_convert.files.remote import place_of
from bort_convert.files.streams import is_cheap, sha256_of_file
from bort_convert.mapping.family import stock_differences
from bort_convert.model_dir.assemble import finish, tokenizer_for, write_tokenizer
from bort_convert.model_dir.config import FILE_NAME as CONFIG
from bort_convert.model_dir.config import GENERATION, dtype_notes, generation_config_of, json_text, target_config
from bort_convert.model_dir.config_beside import fit_file
from bort_convert.model_dir.manifest import FILE_NAME as MANIFEST
from bort_convert.model_dir.manifest import ids_last
from bort_convert.model_dir.model_card import FILE_NAME as CARD
from bort_convert.model_dir.own_table import open_table
from bort_convert.model_dir.ownership import reason_to_keep_directory
from bort_convert.model_dir.published import check_convertible, published_file, vocabulary_notes, with_casing
from bort_convert.model_dir.shards import DEFAULT_SIZE, shard_bytes
from bort_convert.params import MAX_ARRAYS, open_params
from bort_convert.tokenizer import KINDS, TokenizerOptions
from bort_convert.tokenizer.beside import options_beside
from bort_convert.weights.from_checkpoint import convert_weights
from bort_convert.weights.statistics import check_finite, statistics_of_arrays

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from bort_convert.arguments import FamilyName, FloatDtype, ProblemType
    from bort_convert.dtypes import Hyperparameter
    from bort_convert.mapping.fit import Fit
    from bort_convert.model_dir.manifest import Manifest
    from bort_convert.params import ParamsFile
    from bort_convert.tokenizer import Tokenizer
    from bort_convert.verification import Report
    from bort_convert.zoo import ZooEntry

    Verifier = Callable[[str | os.PathLike[str], Path], Report]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: FamilyName | None = None,
    table: str | os.PathLike[str] | None = None,
    variant: str | None = None,
    heads: int | None = None,
    layers: int | None = None,
    gluonnlp_version: str | None = None,
    producer: str | None = None,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    prefix: str | None = None,
    ignore: Sequence[str] = (),
    keep_extra: bool = False,
    symbol: str | os.PathLike[str] | None = None,
    tokenizer_options: TokenizerOptions | None = None,
    vocab: str | os.PathLike[str] | None = None,
    bpe_ranks: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    roberta_pairs: bool = False,
    lower_case: bool | None = None,
    labels: Sequence[str] | None = None,
    problem_type: ProblemType | None = None,
    dtype: FloatDtype | None = None,
    allow_overflow: bool = False,
    max_shard_size: str = DEFAULT_SIZE,
    license: str | None = None,  # noqa: A002 - the Hub's word for it
    strict: bool = False,
    max_arrays: int = MAX_ARRAYS,
    checksums: bool = True,
    recognise: bool = True,
    verify: Verifier | bool | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Convert a GluonNLP checkpoint to a directory that `transformers.AutoModel.from_pretrained` loads.

    Neither MXNet nor torch is imported, unless `verify` needs them. Every tensor keeps its dtype and its bits, unless
    `dtype` asks for another dtype. The directory appears whole or not at all.

    Args:
        source: a `.params` file; or an archive that holds one, as a model zoo or SageMaker writes it; or a directory
            with one, where a tokenizer's files count too if none are given and their names leave no doubt; or the URL
            of any of these.
        target: the directory to write, or its URL; absent or empty, unless `force` is true.
        family: name of the model family, for a file that fits two.
        table: a TOML file with a table of your own, which extends a family by a head; see docs/your-own-head.md.
        variant: name of the published size that the file must have.
        heads: number of attention heads, for a size that was never published.
        layers: number of layers, for a size of ALBERT that was never published: its layers share their weights.
        gluonnlp_version: version of gluonnlp that trained the checkpoint, such as "0.9.2"; no file tells, and versions
            compute differently. By default 0.8, but for families that it does not have.
        producer: old name of `gluonnlp_version`.
        hyperparameters: properties that neither the file nor a published size tells, such as `{"activation": "gelu"}`,
            and special token ids, such as `{"pad_token_id": 1}`.
        prefix: what precedes the model's names, where several models stand in the file: `"teacher."`. A model alone is
            found wherever it stands.
        ignore: patterns of names of tensors that are not the model's and are left out, such as `["tag_classifier.*"]`.
            Each must match something, and nothing that the model needs. The manifest lists the tensors.
        keep_extra: keep the other tensors that are not the model's, bit for bit, in `extra.safetensors` beside the
            model, where `export` finds them. Without it a file that holds any is refused.
        symbol: the network itself, a `-symbol.json` that was exported from it: attention heads, activations and
            epsilons come from there, and no argument may contradict it. It runs only where `verify` is true.
        tokenizer_options: files and settings of the tokenizer; its fields are also accepted as the five arguments that
            follow.
        vocab: GluonNLP's vocabulary, a JSON file; for a BERT also a vocab.txt; for a KoBERT, a KoGPT2, an XLNet, an
            ALBERT, an XLM-R or a T5 the SentencePiece model. By default, for a Bort, a RoBERTa, a GPT-2 or an XLNet,
            the published file in `$MXNET_HOME/models` or `~/.mxnet/models`, if GluonNLP keeps it there.
        bpe_ranks: GluonNLP's BPE ranks, a text file, for a Bort, a RoBERTa, a GPT-2 or a BART; with the same default.
        tokenizer: in place of these files, a directory with a transformers tokenizer, or its name on the Hub.
        roberta_pairs: put two `</s>` between the texts of a pair, as RoBERTa does, for a Bort too, which has one.
        lower_case: True if a BERT's tokenizer lower-cases text and strips its accents; by default the files of
            `tokenizer` or the vocabulary decide. An XLNet's is lower-cased only if this is True.
        labels: names of the outputs of a classifier or a tagger, in their order.
        problem_type: task of a classifier; by default "regression" for one output, else "single_label_classification".
        dtype: dtype of every written tensor; values are rounded to nearest even.
        allow_overflow: let values that are too large for `dtype` become infinite.
        max_shard_size: largest size of a weights file, such as "2GB"; larger weights become several files and an index.
        license: the checkpoint's licence by its name on the Hub, for the model card.
        strict: refuse NaN and infinite values, before anything is written.
        max_arrays: see `open_params`.
        checksums: hash the source and every tensor for the manifest.
        recognise: tell by its SHA-1 if the source is a file that GluonNLP published. Then its casing counts, and the
            model card says what is known of it. A file of such a size is read once more for that.
        verify: True to run `bort_convert.verify` on the finished directory before it takes its place, or a function to
            call with the source and the directory instead. The outcome goes into manifest and model card.
        force: replace a directory at `target` that an earlier conversion wrote, and that holds nothing else.
        progress: called with the bytes written so far and the bytes in all; then, for a target elsewhere, with the
            bytes sent so far and the bytes to send.

    Returns:
        The manifest that was written to conversion.json.

    Raises:
        FormatError: the source or a file of the tokenizer cannot be read, or the source changed while it was read.
        MappingError: no table fits the source, or it holds other tensors (`OtherTensorsError`); or tensors that the
            target model ties are not equal, values do not fit into `dtype`, or `strict` refuses them.
        OptionError: an argument is wrong, contradicts the file or another argument, or does not go with the model. A
            TableError has every mistake in `table`.
        VariantError: a property that shapes do not show is not known, such as the attention heads or lower-casing; or
            several models stand in the file.
        ParityError: the verification did not pass; nothing was written.
        OutputError: the target cannot be written.

    Examples:
        >>> manifest = bort_convert.convert("fixtures/bort_4_8_24_32.params", "out", family="bort", heads=8)
        >>> manifest.architecture, manifest.parameters
        ('BertForMaskedLM', 29688)
        >>> manifest.tensors["bert.embeddings.LayerNorm.weight"].sources
        ('encoder.layer_norm.gamma',)
    """
    keywords = TokenizerOptions(vocab, bpe_ranks, tokenizer, roberta_pairs, lower_case)
    tokenizer_options = tokenizer_options.joined(keywords) if tokenizer_options else keywords
    properties = _Properties(
        table=None if table is None else open_table(table, family).text,
        variant=variant,
        heads=heads,
        layers=layers,
        gluonnlp_version=version_argument(gluonnlp_version, producer),
        hyperparameters=dict(hyperparameters) if hyperparameters else None,
        prefix=prefix,
        ignore=ignore if isinstance(ignore, str) else list(ignore),
        keep_extra=keep_extra,
        symbol=symbol,
    )
    with _wanted(source, verify) as given, open_params(given, max_arrays=max_arrays, mapped=False) as params:
        found = _fit(params, family, properties, tokenizer_options, given, recognise=recognise)
        config = target_config(found.fit, dtype=dtype, labels=labels, problem_type=problem_type)
        check_finite(statistics_of_arrays(params) if strict else {})
        options = _specified(
            **{"family": family, **properties, "symbol": _graph_record(symbol, found.fit)},
            labels=list(labels or found.fit.table.labels) or None,
            problem_type=problem_type,
            dtype=dtype,
            license=license,
            max_shard_size=max_shard_size if max_shard_size != DEFAULT_SIZE else None,
            **tokenizer_options.settings,
        )
        with _new_model_dir(target, source=params.path, force=force, progress=progress) as folder:
            manifest = convert_weights(
                folder,
                params,
                found.fit,
                max_bytes=shard_bytes(max_shard_size),
                dtype=dtype,
                allow_overflow=allow_overflow,
                checksums=checksums,
                progress=progress,
            )
            manifest = _complete(folder, _with_fit(manifest, found, options), config, found.tokenizer)
            return _with_parity(verify, params.path, folder, manifest, symbol)


_new_model_dir = partial(new_directory, reason_to_keep=reason_to_keep_directory, marker=MANIFEST)


def _wanted(
    source: str | os.PathLike[str],
    verify: Verifier | bool | None,  # noqa: FBT001 - the argument of `convert`
) -> AbstractContextManager[str | os.PathLike[str]]:
    """The source; fetched whole if it is elsewhere and a proof will read every byte."""
    return fetched(source) if verify else nullcontext(source)


class _Properties(TypedDict):
    """Properties of a model that a user gives; see `convert`."""

    table: str | None
    variant: str | None
    heads: int | None
    layers: int | None
    gluonnlp_version: str | None
    hyperparameters: dict[str, Hyperparameter] | None
    prefix: str | None
    ignore: Sequence[str]
    keep_extra: bool
    symbol: str | os.PathLike[str] | None


class _Found(NamedTuple):
    """What a source is: its fit, its tokenizer, remarks on the files of that, and the published file that it is."""

    fit: Fit
    tokenizer: Tokenizer | None
    notes: tuple[str, ...]
    published: ZooEntry | None


def _fit(
    params: ParamsFile,
    family: str | None,
    properties: _Properties,
    options: TokenizerOptions,
    source: str | os.PathLike[str],
    *,
    recognise: bool,
) -> _Found:
    """Fit the source, and make its tokenizer, whose special token ids count for the fit."""
    published = published_file(params) if recognise else None
    check_convertible(published)
    fit = fit_file(params.path, params.specs, family=family, **properties)
    options = with_casing(options, published)
    if params.path == place_of(source):
        tokenizer, notes = _tokenizer(fit, options, None, published)
    else:
        with small_files(params.path.parent) as folder:
            tokenizer, notes = _tokenizer(fit, options, folder, published)
    notes += _transfer_notes(params, fit)
    if tokenizer is None:
        return _Found(fit, None, notes, published)
    ids = tokenizer.special_token_ids
    fit = fit_file(params.path, params.specs, family=fit.family.name, special_token_ids=ids, **properties)
    return _Found(fit, tokenizer, notes, published)


def _transfer_notes(params: ParamsFile, fit: Fit) -> tuple[str, ...]:
    """A remark on tied tensors of a source elsewhere, of which one copy is fetched."""
    copies = [] if is_cheap(params.file) else [fit.names[name] for name, _ in fit.plan.aliases]
    listed = printable(", ".join(copies))
    remark = f"{listed}: not fetched, and not compared with the tensor that it is tied to; `check` with the source does"
    return (remark,) if copies else ()


def _tokenizer(
    fit: Fit, options: TokenizerOptions, folder: Path | None, published: ZooEntry | None
) -> tuple[Tokenizer | None, tuple[str, ...]]:
    """Make the tokenizer from the user's files, from those in the source's directory, or from GluonNLP's cache."""
    found = options
    notes: tuple[str, ...] = ()
    if folder is not None and fit.family.tokenizer:
        found, notes = options_beside(folder, KINDS[fit.family.tokenizer], options)
    try:
        return tokenizer_for(fit.family, fit.plan.dims, found), (*notes, *vocabulary_notes(found, published))
    except FormatError as error:
        if found is options:
            raise
        return None, (f"no tokenizer is made from the files in the source's directory: {error}",)


def _with_fit(manifest: Manifest, found: _Found, options: dict[str, object]) -> Manifest:
    """Put what a source is, remarks, and the user's options into the manifest."""
    fit, published = found.fit, found.published
    beside = fit.original_config
    return replace(
        manifest,
        options=options | ({"original_config": {"name": beside.name, "values": dict(beside.values)}} if beside else {}),
        published=published.name if published else "",
        notes=found.notes,
        hyperparameters=ids_last(fit.hyperparameters),
        assumed=fit.assumed,
        stock_differences=stock_differences(fit.architecture, fit.hyperparameters),
    )


def _specified(**options: object) -> dict[str, object]:
    """The options that say something; an empty prefix does."""
    return {name: value for name, value in options.items() if not (value is None or value is False or value == [])}


def _graph_record(symbol: str | os.PathLike[str] | None, fit: Fit) -> dict[str, object] | None:
    """An exported network and the hyperparameters that it told, for the manifest; None without one."""
    if symbol is None:
        return None
    name = Path(symbol).name.encode("utf-8", "backslashreplace").decode()
    return {"name": name, "sha256": sha256_of_file(Path(symbol)), "hyperparameters": dict(fit.told)}


def _complete(folder: Path, manifest: Manifest, config: dict[str, object], new_tokenizer: Tokenizer | None) -> Manifest:
    """Write config, tokenizer, model card and manifest beside the weights."""
    write_text(folder / CONFIG, json_text(config))
    generation = generation_config_of(config)
    if generation is not None:
        write_text(folder / GENERATION, json_text(generation))
    notes = (*manifest.notes, *dtype_notes(tensor.dtype for tensor in manifest.tensors.values()))
    if new_tokenizer:
        write_tokenizer(folder, new_tokenizer)
        notes += new_tokenizer.notes
        manifest = replace(manifest, tokenizer=new_tokenizer.sources)
    manifest = replace(manifest, notes=notes)
    return finish(folder, manifest, [path.name for path in folder.iterdir()])


def _with_parity(
    verify: Verifier | bool | None,  # noqa: FBT001 - the argument of `convert`
    source: str | os.PathLike[str],
    folder: Path,
    manifest: Manifest,
    symbol: str | os.PathLike[str] | None,
) -> Manifest:
    """Verify a finished directory if asked to, and put the outcome into its manifest and model card.

    Raises:
        ParityError: the verification did not pass.
    """
    if not verify:
        return manifest
    if verify is True:
        from bort_convert import verification  # noqa: PLC0415 - imports NumPy, which most conversions do without

        report = verification.verify(source, folder, symbol=symbol)
    else:
        report = verify(source, folder)
    if not report.passed:
        raise ParityError(f"{report.headline}. Nothing was written")
    (folder / CARD).unlink()
    return finish(folder, replace(manifest, parity=report.summary), ())

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from bort_convert import params
from bort_convert.arguments import FamilyName, ProblemType
from bort_convert.batch.options import typed_value
from bort_convert.files.remote import is_remote, place_of
from bort_convert.mapping.family import SYNONYMS
from bort_convert.model_dir.shards import DEFAULT_SIZE
from bort_convert.models.registry import families

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bort_convert.dtypes import Hyperparameter

    Function = TypeVar("Function", bound=Callable[..., object])


class InputPath(click.Path):
    """Path or URL of an input."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own signature
        """Convert a word of the command line to a path."""
        return place_of(value) if is_remote(value) else super().convert(value, param, ctx)


class OutputPath(InputPath):
    """Path or URL of an output; an empty text stays one, for the library to refuse: `Path("")` is this directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own signature
        """Convert a word of the command line to a path."""
        return value if value == "" else super().convert(value, param, ctx)


if TYPE_CHECKING:
    TextChoice = click.Choice[str]
else:
    TextChoice = click.Choice  # click before 8.2 has no type arguments


class FamilyChoice(TextChoice):
    """The families of this package, and those of installed packages, which are looked up for a name of no other."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own signature
        """Take the name of a family."""
        choices = self if value in self.choices else TextChoice(list(families()))
        return TextChoice.convert(choices, value, param, ctx)


def _hyperparameters(
    _ctx: click.Context, _option: click.Parameter, words: Sequence[str]
) -> dict[str, Hyperparameter] | None:
    """Hyperparameters by name from words such as `activation=gelu`; None without any."""
    values: dict[str, Hyperparameter] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if not (name and equals and text):
            raise click.BadParameter(f"{word!r} is no NAME=VALUE such as activation=gelu")
        name = name.replace("-", "_")
        if SYNONYMS.get(name, name) in {SYNONYMS.get(other, other) for other in values}:
            raise click.BadParameter(f"{name} is set twice")
        values[name] = typed_value(text)
    return values or None


def _symbol_inputs(_ctx: click.Context, _option: click.Parameter, words: Sequence[str]) -> dict[str, str] | None:
    """Inputs of an exported network by name, from words such as `data0=ids`; None without any."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, role = (part.strip() for part in word.partition("="))
        if not (name and equals and role):
            raise click.BadParameter(f"{word!r} is no NAME=INPUT such as data0=ids")
        if name in values:
            raise click.BadParameter(f"{name} is set twice")
        values[name] = role
    return values or None


FILE = InputPath(path_type=Path)
OUTPUT = OutputPath(path_type=Path)

SOURCE = click.argument("source", type=FILE)
OUT = click.argument("out", type=OUTPUT)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document; everything else goes to stderr.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
FORCE = click.option(
    "--force", is_flag=True, help="Replace a file that exists, or a directory that holds a conversion and nothing else."
)
MXNET_PYTHON = click.option(
    "--mxnet-python", metavar="PATH", help="Python interpreter with mxnet and gluonnlp; by default this one."
)
GLUONNLP = click.option(
    "--gluonnlp", metavar="DIR", help="Directory with another version of gluonnlp, in place of the installed one."
)
SYMBOL = click.option(
    "--symbol",
    type=FILE,
    metavar="FILE",
    help="The network itself, a -symbol.json that was exported from it: it tells attention heads, activation and "
    "epsilons, and where MXNet runs, it runs in place of GluonNLP's classes.",
)
SYMBOL_INPUTS = click.option(
    "--input",
    "symbol_inputs",
    metavar="NAME=INPUT",
    multiple=True,
    callback=_symbol_inputs,
    help="An input of the --symbol that its use does not tell, as ids, types, valid_length or masked_positions: "
    "--input data1=types; repeatable.",
)
MAX_ARRAYS = click.option(
    "--max-arrays",
    type=click.IntRange(min=1),
    default=params.MAX_ARRAYS,
    show_default=True,
    help="Refuse a file with more arrays.",
)
FAMILY = click.option(
    "--family",
    type=FamilyChoice(get_args(FamilyName)),
    help="Model family; needed where a file fits more than one.",
)

IGNORE = click.option(
    "--ignore",
    metavar="GLOB",
    multiple=True,
    help="Leave out the tensors whose names match, such as --ignore 'tag_classifier.*'; repeatable.",
)
PREFIX = click.option(
    "--prefix",
    metavar="PATH",
    help="What precedes the model's names, such as teacher., where several stand in the file.",
)


LAYERS = click.option(
    "--layers",
    type=click.IntRange(min=1),
    help="Number of layers; needed for a size of ALBERT that was not published.",
)


RECOGNISE = click.option(
    "--recognise/--no-recognise",
    default=True,
    help="Tell by its SHA-1 if SOURCE is a file that GluonNLP published; one of such a size is read whole for that.",
)
KEEP_EXTRA = click.option(
    "--keep-extra", is_flag=True, help="Keep tensors that are not the model's, bit for bit, in a file beside it."
)
STRICT = click.option("--strict", is_flag=True, help="Refuse NaN and infinite values.")
CHECKSUMS = click.option(
    "--checksums/--no-checksums", default=True, help="Hash the source and every tensor for the manifest."
)


def writing_options(function: Function) -> Function:
    """Add the options of a command that writes a directory: its config, its weights and its model card."""
    for option in (
        click.option(
            "--license", metavar="NAME", help="Licence of the checkpoint, as the Hub spells it, for the model card."
        ),
        click.option(
            "--max-shard-size", default=DEFAULT_SIZE, show_default=True, help="Largest size of a weights file."
        ),
        click.option("--allow-overflow", is_flag=True, help="Let values too large for --dtype become infinite."),
        click.option(
            "--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="Precision of all tensors."
        ),
        click.option(
            "--problem-type",
            type=click.Choice(get_args(ProblemType)),
            help="Task of a classifier; by default regression for one output, else a single label.",
        ),
        click.option(
            "--labels",
            help="Names of a classifier's or tagger's outputs, in order: a,b,c, or a text file with one name on each "
            "line.",
        ),
    ):
        function = option(function)
    return function


def fit_options(function: Function) -> Function:
    """Add the options of a command that finds out which model a checkpoint holds."""
    for option in (
        KEEP_EXTRA,
        IGNORE,
        PREFIX,
        SYMBOL,
        click.option(
            "--set",
            "hyperparameters",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_hyperparameters,
            help="Set a hyperparameter that nothing in the file tells, such as --set activation=gelu for a GPT-2 that "
            "was trained with the exact GELU; repeatable.",
        ),
        click.option(
            "--heads",
            type=click.IntRange(min=1),
            help="Number of attention heads; needed for a size that was not published.",
        ),
        click.option(
            "--gluonnlp-version",
            "--producer",
            "gluonnlp_version",
            metavar="VERSION",
            help="GluonNLP version that trained the checkpoint: 0.8, 0.9.1, 0.9.2 or 0.10. No checkpoint names it.",
        ),
        click.option(
            "--table",
            type=FILE,
            metavar="FILE.toml",
            help="Table of your own, which extends a family by a head; `inspect --write-table` drafts one.",
        ),
        click.option("--variant", metavar="NAME", help="Published size that the file must have; see `families`."),
        FAMILY,
    ):
        function = option(function)
    return function


def tokenizer_options(function: Function) -> Function:
    """Add the options of a command that writes a tokenizer."""
    for option in (
        click.option(
            "--lower-case/--cased",
            default=None,
            help="BERT: the tokenizer lower-cases text, or not; by default as its vocabulary shows.",
        ),
        click.option("--roberta-pairs", is_flag=True, help="Write two </s> between the texts of a pair; Bort has one."),
        click.option(
            "--tokenizer",
            metavar="DIR_OR_HUB_ID",
            help="Tokenizer of transformers, in place of --vocab and --bpe-ranks.",
        ),
        click.option(
            "--bpe-ranks", type=FILE, help="BPE ranks of a Bort, RoBERTa or GPT-2; by default from GluonNLP's cache."
        ),
        click.option(
            "--vocab",
            type=FILE,
            help="GluonNLP's vocabulary; by default from GluonNLP's cache. A BERT has no default; its vocab.txt will "
            "do too. Where the model has one: the SentencePiece model (.spiece, .model; .vocab of a T5).",
        ),
    ):
        function = option(function)
    return function

"""A published file as data: what it is called, how it is recognised, what it holds, and who made it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary that GluonNLP publishes, and how text is split for it.

    Attributes:
        file: its name in GluonNLP's model cache; of several files, that with the tokens.
        sha1: its SHA-1 according to GluonNLP, as hexadecimal digits.
        size: rows of a word embedding for it.
        tokenizer: "WordPiece", "SentencePiece" or "byte-level BPE"; "words" where text comes in words.
        lower_case: True if text is lower-cased for it.
    """

    file: str
    sha1: str
    size: int
    tokenizer: str
    lower_case: bool = False


@dataclass(frozen=True)
class Origin:
    """What is known of a model beside its file; "" and () stand for what no source states.

    Attributes:
        paper: authors, year, and where to find it.
        languages: codes of ISO 639-1, or "multilingual".
        datasets: texts that it was trained on, by their names on the Hub where they have one.
        license: licence by its name on the Hub.
        license_source: who states the licence.
        base_model: the same model on the Hub, from its authors' own release.
    """

    paper: str = ""
    languages: tuple[str, ...] = ("en",)
    datasets: tuple[str, ...] = ()
    license: str = ""
    license_source: str = ""
    base_model: str = ""


@dataclass(frozen=True)
class ZooEntry:
    """A `.params` file that GluonNLP publishes.

    Attributes:
        name: the model's name; in 1.0, where a model has several files, that of the file behind a slash.
        gluonnlp: "0.x" or "1.0".
        file: name of the file in GluonNLP's model cache.
        sha1: its SHA-1 according to GluonNLP, as hexadecimal digits.
        size: its bytes. GluonNLP 1.0 states them; those of 0.x follow from our table and the format. 0 if neither.
        arrays: number of its arrays; 0 where they were not counted.
        vocabulary: the vocabulary that goes with it; None where text comes in characters.
        family: our model family; "" if no family has it.
        form: title of the family's table.
        variant: the family's published size.
        architecture: the target class in transformers.
        refusal: why there is no target class; "" if there is one.
        parts: the table's optional parts that are in the file.
        copies: number of names under which a tied tensor is stored; 0 for a file without one.
        container: "list" (MXNet's own format) or "zip" (of MXNet 2).
        origin: what is known of the model.

    Examples:
        >>> inspection = bort_convert.inspect("fixtures/bert_tiny.params")
        >>> print(inspection.published)
        None
    """

    name: str
    gluonnlp: str
    file: str
    sha1: str
    size: int = 0
    arrays: int = 0
    vocabulary: Vocabulary | None = None
    family: str = ""
    form: str = ""
    variant: str = ""
    architecture: str = ""
    refusal: str = ""
    parts: tuple[str, ...] = ()
    copies: int = 0
    container: str = "list"
    origin: Origin = field(default_factory=Origin)

    @property
    def model(self) -> str:
        """Name of the model, which is that of all its files."""
        return self.name.partition("/")[0]

    def to_dict(self) -> dict[str, object]:
        """The entry as JSON data, with what is known of the model and with its vocabulary."""
        return {**asdict(self), "lower_case": self.lower_case}

    @property
    def lower_case(self) -> bool | None:
        """True if text is lower-cased for the model; None where text comes in characters."""
        return None if self.vocabulary is None else self.vocabulary.lower_case

"""Read a table of one's own: a TOML document that extends a family by a head, which is data and runs nothing.

    extends = "bert"                     # the family whose backbone is in the checkpoint
    backbone = "bert_model."             # where it stands there, an attribute path
    class = "BertForTokenClassification" # what the checkpoint becomes
    rows = [
      {linear = "tag_classifier", to = "classifier", axes = "labels hidden_size"},
    ]
    labels = ["O", "B-PER", "I-PER"]

    [config]
    classifier_dropout = 0.1

`title` names the form in messages, `form` chooses another form of the family for the backbone's rows, and `with` takes
optional groups of that form, such as "pooler". Rows are described in `table_words`. Every mistake is found at once, and
each has its line.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bort_convert.errors import TableError, printable
from bort_convert.mapping.backbone import backbone_rows
from bort_convert.mapping.family import SPECIAL_TOKEN_IDS, ConfigKey
from bort_convert.mapping.rows import under
from bort_convert.mapping.source_names import placeholder_pattern
from bort_convert.mapping.table_words import axis_names, name_problem, placeholder_of, rows_of, shown
from bort_convert.mapping.toml_lines import line_numbers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bort_convert.mapping.family import Family, Table
    from bort_convert.mapping.rows import Row, Rows
    from bort_convert.mapping.toml_lines import Place

MAX_BYTES: Final = 1 << 18
MAX_ROWS: Final = 1000
_KEYS: Final = {
    "extends": "the name of a family",
    "class": "the target class in transformers",
    "rows": "the rows of the head",
    "backbone": "the path of the backbone in the checkpoint",
    "form": "the form of the family whose rows the backbone has",
    "with": "optional groups of that form",
    "title": "a name for this form",
    "labels": "names of the outputs",
    "config": "keys of config.json",
}
_REQUIRED: Final = ("extends", "class")
_TITLE: Final = "own table"
_LONGEST_TITLE: Final = 80
_CLASS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_CONFIG_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_OWN_CONFIG: Final = frozenset(
    {
        "architectures", "model_type", "dtype", "torch_dtype", "id2label", "label2id", "num_labels", "pruned_heads",
        "is_decoder", "is_encoder_decoder", "add_cross_attention", "tie_word_embeddings", "transformers_weights",
    }
)  # fmt: skip
"""Keys of config.json that follow from the checkpoint, or that make the target class another model."""
_CODE: Final = frozenset({"auto_map", "custom_pipelines", "quantization_config", "per_layer_config"})
"""Keys of config.json with which transformers runs more than the class and the weights."""
_INT64: Final = 1 << 63


@dataclass(frozen=True)
class OwnTable:
    """A table of one's own.

    Attributes:
        family: the extended family, whose only table this is.
        text: the document.
    """

    family: Family
    text: str


def read_table(content: bytes, families: Mapping[str, Family], name: str) -> OwnTable:
    """Read a table of one's own.

    Args:
        content: a TOML document.
        families: the families that it can extend, by name.
        name: of the document, for messages.

    Raises:
        TableError: the document is no table; the error holds every mistake with its line.
    """
    if len(content) > MAX_BYTES:
        raise TableError(name, [f"it has {len(content):,} bytes, expected at most {MAX_BYTES:,}"])
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else "is no TOML"
        raise TableError(name, [f"it {kind}: {printable(str(error), 200)}"]) from error
    reader = _Reader(document, line_numbers(text), families)
    found = reader.table()
    if found is None:
        raise TableError(name, [f"line {line}: {problem}" if line else problem for line, problem in reader.sorted()])
    return OwnTable(found, text)


class _Reader:
    """The reading of one document.

    Attributes:
        mistakes: line, 0 for none, and text of each mistake so far.
        rows: rows without mistakes, each with its number in the document.
        rows_are_right: True if no row has a mistake of its own.
    """

    def __init__(
        self, document: Mapping[str, object], lines: Mapping[Place, int], families: Mapping[str, Family]
    ) -> None:
        self.document = document
        self.lines = lines
        self.families = families
        self.mistakes: list[tuple[int, str]] = []
        self.rows = self._rows()
        self.rows_are_right = not self.mistakes

    def sorted(self) -> list[tuple[int, str]]:
        """The mistakes in the order of their lines; those without one come first."""
        return sorted(dict.fromkeys(self.mistakes), key=lambda mistake: mistake[0])

    def table(self) -> Family | None:
        """The extended family; None where a mistake leaves nothing to extend."""
        for key in self.document:
            if key not in _KEYS:
                self._mistake((key,), f"unknown key {shown(key)}; expected one of {', '.join(_KEYS)}")
        for key in _REQUIRED:
            if key not in self.document:
                self._mistake((), f"{key} is missing: {_KEYS[key]}")
        title = self._text("title", _TITLE)
        name = self._text("extends", "")
        family = self.families.get(name)
        if family is None:
            if isinstance(self.document.get("extends"), str):
                self._mistake(("extends",), f"there is no family {shown(name)}; expected one of {self._known()}")
            return None
        if title in {table.title for table in family.tables}:
            self._mistake(("title",), f"title is {shown(title)}, which {family.title} has; expected another")
        architecture = self._architecture(family)
        prefix, form, groups = self._prefix(), self._form(family), self._groups(family)
        backbone = under(prefix, backbone_rows(family, form, groups))
        self._check_names(family, backbone)
        self._check_axes(backbone)
        self._check_references(family, backbone)
        labels = self._labels()
        config = self._config(family)
        if self.mistakes:
            return None
        head = tuple(row for _, row in self.rows)
        own = frozenset(source.name for row in head for source in row.sources)
        equal = {group: sizes for group, sizes in form.equal_unless.items() if group not in groups}
        table = replace(
            form,
            title=title,
            all_rows=(*backbone, *head),
            architectures=((architecture,),),
            refusal="",
            equal_unless=equal,
            backbone=prefix,
            own=own,
            labels=labels,
        )
        return replace(family, tables=(table,), config=config)

    def _mistake(self, place: Place, problem: str) -> None:
        """Add a mistake at a place, or at the nearest one around it that has a line."""
        while place and place not in self.lines:
            place = place[:-1]
        self.mistakes.append((self.lines.get(place, 0), problem))

    def _known(self) -> str:
        return ", ".join(self.families)

    # Values at the top

    def _text(self, key: str, default: str) -> str:
        value = self.document.get(key, default)
        if isinstance(value, str) and len(value) <= _LONGEST_TITLE and value.isprintable() and (value or not default):
            return value
        self._mistake((key,), f"{key} is {shown(value)}, expected a text of at most {_LONGEST_TITLE} characters")
        return default

    def _list_of_texts(self, key: str) -> list[str]:
        value = self.document.get(key, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        self._mistake((key,), f"{key} is {shown(value)}, expected a list of texts")
        return []

    def _architecture(self, family: Family) -> str:
        value, prefix = self.document.get("class"), family.base_class.removesuffix("Model")
        if value is None:
            return ""
        if not (isinstance(value, str) and _CLASS.fullmatch(value) and value.startswith(prefix)):
            example = f"{prefix}ForTokenClassification"
            expected = f"a class of transformers whose name begins with {prefix}, such as {example}"
            self._mistake(("class",), f"class is {shown(value)}, expected {expected}")
            return ""
        targets = [target for _, row in self.rows for target in row.targets]
        outside = [target for target in targets if not target.startswith(family.base)]
        if value == family.base_class and outside:
            self._mistake(("class",), f"{value} is the backbone alone and has no place for {outside[0]}")
        return value

    def _prefix(self) -> str:
        value = self.document.get("backbone", "")
        if value == "":
            return ""
        if isinstance(value, str) and not name_problem(value) and not placeholder_of(value):
            return value.removesuffix(".") + "."
        expected = 'an attribute path such as "bert_model."'
        self._mistake(("backbone",), f"backbone is {shown(value)}, expected {expected}")
        return ""

    def _form(self, family: Family) -> Table:
        forms = {table.title: table for table in family.tables}
        title = self._text("form", family.tables[0].title)
        if title not in forms:
            self._mistake(("form",), f"{family.title} has no form {shown(title)}; expected one of {', '.join(forms)}")
        return forms.get(title, family.tables[0])

    def _groups(self, family: Family) -> frozenset[str]:
        form = self._form(family)
        known = dict.fromkeys(row.group for row in form.all_rows if row.group)
        groups = self._list_of_texts("with")
        for group in groups:
            if group not in known:
                expected = f"expected one of {', '.join(known)}" if known else "it has none"
                self._mistake(("with",), f"'{form.title}' has no optional group {shown(group)}; {expected}")
        return frozenset(groups)

    def _labels(self) -> tuple[str, ...]:
        names = self._list_of_texts("labels")
        axes = {name for _, row in self.rows for source in row.sources for name in axis_names(source.axes)}
        if names and "labels" not in axes and self.rows_are_right:
            self._mistake(("labels",), "labels name the outputs, and no row has an axis `labels`")
        return tuple(names)

    def _config(self, family: Family) -> tuple[ConfigKey, ...]:
        value = self.document.get("config", {})
        if not isinstance(value, dict):
            self._mistake(("config",), f"config is {shown(value)}, expected keys of config.json with their values")
            return ()
        derived = {key.name for key in family.config if key.source} | {*SPECIAL_TOKEN_IDS, *_OWN_CONFIG}
        for key, setting in value.items():
            if not _CONFIG_KEY.fullmatch(key):
                problem = "is no key of a config: expected small letters, digits and underscores"
            elif key in _CODE:
                problem = "makes transformers run more than the class; a table cannot set it"
            elif key in derived:
                problem = "follows from the checkpoint and the options; leave it out"
            elif not _is_plain(setting):
                problem = f"is {shown(setting)}, expected a text, a number, true, false or a list of these"
            else:
                continue
            self._mistake(("config", key), f"config: {shown(key)} {problem}")
        own = tuple(ConfigKey(key, constant=setting) for key, setting in value.items())
        return (*(key for key in family.config if key.name not in value), *own)

    # Rows

    def _rows(self) -> list[tuple[int, Row]]:
        value = self.document.get("rows", [])
        if not isinstance(value, list) or len(value) > MAX_ROWS or not all(isinstance(row, dict) for row in value):
            expected = f"a list of at most {MAX_ROWS:,} rows {{WORD = ...}}"
            self._mistake(("rows",), f"rows is {shown(value)}, expected {expected}")
            return []
        found: list[tuple[int, Row]] = []
        for number, row in enumerate(value):
            made, mistakes = rows_of(row)
            for key, problem in mistakes:
                self._mistake(("rows", number, key), problem)
            found += [(number, one) for one in made]
        return found

    def _check_names(self, family: Family, backbone: Rows) -> None:
        """Find tensors that two rows take or make, or that a row and the backbone do."""
        first: dict[tuple[str, str], int] = {}
        sources = [placeholder_pattern(source.name) for row in backbone for source in row.sources]
        taken = {source.name for row in backbone for source in row.sources}
        made = {target for row in backbone for target in row.targets}
        for number, row in self.rows:
            for kind, name in _names_of(row):
                earlier = first.setdefault((kind, name), number)
                if earlier != number:
                    line = self.lines["rows", earlier]
                    self._mistake(("rows", number), f"{kind} {name} a second time, after line {line}")
                elif name in (taken if kind == "takes" else made) or (
                    kind == "takes" and any(pattern.fullmatch(name) for pattern in sources)
                ):
                    self._mistake(("rows", number), f"{kind} {name}, and so does the backbone of {family.title}")

    def _check_axes(self, backbone: Rows) -> None:
        """Find sizes of constants that no tensor shows, and placeholders that give a size the name of another."""
        every = [*backbone, *(row for _, row in self.rows)]
        sources = [source for row in every for source in row.sources]
        bound = {name for source in sources for name in axis_names(source.axes)}
        placeholders = {placeholder_of(source.name) for source in sources}
        for number, row in self.rows:
            names = {name for axes in _initialised_axes(row) for name in axis_names(axes)}
            if unbound := sorted(names - bound):
                self._mistake(("rows", number), f"no tensor of the table shows the size {unbound[0]!r}")
            for name in {placeholder_of(name) for _, name in _names_of(row)} - {""}:
                if name not in placeholders:
                    self._mistake(("rows", number), f"no tensor of the checkpoint has the placeholder {{{name}}}")
                if f"{name}s" in bound:
                    self._mistake(("rows", number), f"{{{name}}} would count {name}s, which is the name of an axis")

    def _check_references(self, family: Family, backbone: Rows) -> None:
        """Find rows that name a hyperparameter or an original that is not there."""
        originals = {name for row in (*backbone, *(row for _, row in self.rows)) for name in _originals(row)}
        whole = [name for name, value in family.hyperparameters.items() if type(value) is int]
        for number, row in self.rows:
            after = getattr(row.op, "after", "")
            if after and after not in whole:
                expected = f"expected one of {', '.join(whole)}"
                self._mistake(("rows", number, "after"), f"{family.title} has no number {shown(after)}; {expected}")
            if row.tied_to and row.tied_to not in originals:
                problem = f"tied_to is {row.tied_to}; expected a tensor without a placeholder that another row takes"
                self._mistake(("rows", number, "tied_to"), problem)


def _names_of(row: Row) -> Iterator[tuple[str, str]]:
    """What a row takes and makes: a verb and a name each."""
    yield from (("takes", source.name) for source in row.sources)
    yield from (("makes", target) for target in row.targets)


def _originals(row: Row) -> Iterator[str]:
    """Sources that an alias can be tied to."""
    if not row.tied_to:
        yield from (source.name for source in row.sources if not placeholder_of(source.name))


def _initialised_axes(row: Row) -> Iterator[str]:
    """Axes that an operation has by itself, and not from a tensor."""
    axes = getattr(row.op, "axes", "")
    if axes:
        yield axes


def _is_plain(value: object, *, nested: bool = False) -> bool:
    """True for a value that JSON has and that is no table."""
    if isinstance(value, list):
        return not nested and len(value) <= MAX_ROWS and all(_is_plain(item, nested=True) for item in value)
    if isinstance(value, str):
        return len(value) <= MAX_ROWS and value.isprintable()
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    return isinstance(value, int) and -_INT64 <= value < _INT64

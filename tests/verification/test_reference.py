from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jobs import lives, wait_until

import bort_convert
from bort_convert.errors import BackendError, OptionError
from bort_convert.params import open_params, save_params
from bort_convert.verification.compare import compare
from bort_convert.verification.inputs import default_inputs
from bort_convert.verification.reference import (
    SCRIPT,
    LiveReference,
    ReferenceOptions,
    fit_checkpoint,
    run_reference,
)
from bort_convert.verification.reference_process import _advice
from bort_convert.verification.trace import Trace

FIXTURES = Path(__file__).parents[2] / "fixtures"
CORPUS = {"bort_1_3_96_96": 3, "bort_2_4_48_64": 4, "bort_3_2_80_32": 2}


def interpreter(folder: Path, script: str) -> str:
    """A program that stands in for a Python interpreter."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def run_with(bort: Path, python: str, timeout: float = 600.0, lines: list[str] | None = None) -> tuple[str, list[str]]:
    """The error of a run under an interpreter, and the progress before it."""
    lines = [] if lines is None else lines
    fit, options = fit_checkpoint(bort, family="bort", heads=4), ReferenceOptions(python, timeout=timeout)
    reference = LiveReference(bort, fit, options, lines.append)
    with pytest.raises(BackendError) as caught:
        run_reference(reference, default_inputs(reference.fit.plan.dims))
    assert caught.value.exit_code == 5
    return str(caught.value), lines


def test_the_error_without_mxnet_says_what_to_install(bort: Path, tmp_path: Path) -> None:
    hidden = "import runpy, sys\nsys.modules['mxnet'] = sys.modules['gluonnlp'] = None\n"
    run = "sys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    python = interpreter(tmp_path, hidden + run)
    message, _ = run_with(bort, python)
    assert message.startswith(
        f"the live reference needs mxnet and gluonnlp, which {python} has not (import of gluonnlp"
    )
    assert ': pip install ".[mxnet]" in a clone of bort_convert, or verify against a trace that was rec' in message
    assert message.endswith("recorded where they are")
    assert "\n" not in message


def test_the_error_without_mxnet_names_a_python_that_is_too_new_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 1))
    assert _advice(sys.executable) == (
        "mxnet 1.9.1 has no wheel for Python 3.13. Pass `mxnet_python=...`, a Python 3.10 to 3.12 with both"
    )
    for python, version in ((sys.executable, (3, 12, 9)), ("/usr/bin/python3.11", (3, 13, 1))):
        monkeypatch.setattr(sys, "version_info", version)
        assert _advice(python) == 'pip install ".[mxnet]" in a clone of bort_convert'


@pytest.mark.mxnet
def test_a_checkpoint_whose_name_is_no_utf_8_runs(tmp_path: Path) -> None:
    source = tmp_path / os.fsdecode(b"n\xe9g.params")
    try:
        source.write_bytes((FIXTURES / "bert_2_2_8_8.params").read_bytes())
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    trace = bort_convert.record(source, tmp_path / "trace", dtype="float32", family="bert", heads=2)
    assert trace.provenance["source"] == r"n\udce9g.params"


def test_an_abort_shows_the_last_lines(bort: Path, tmp_path: Path) -> None:
    python = interpreter(
        tmp_path,
        "import os, sys\nfor n in range(50): print('line', n, file=sys.stderr)\n"
        "print('progress: float32', file=sys.stderr, flush=True)\nos.abort()\n",
    )
    message, progress = run_with(bort, python)
    assert message.startswith("MXNet died of SIGABRT; the last lines of its stderr:\n")
    assert "\n  line 49\n  float32" in message
    assert "line 42" not in message
    assert progress == ["float32"]


def test_a_kill_hints_at_a_lack_of_memory(bort: Path, tmp_path: Path) -> None:
    python = interpreter(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    message, _ = run_with(bort, python)
    assert message == "MXNet died of SIGKILL; out of memory?; the last lines of its stderr:\n  (nothing)"


def test_another_exit_status_is_in_the_message(bort: Path, tmp_path: Path) -> None:
    message, _ = run_with(bort, interpreter(tmp_path, "import sys\nsys.exit('libgfortran is missing')\n"))
    assert message == "MXNet ended with status 1; the last lines of its stderr:\n  libgfortran is missing"


def test_a_hang_is_ended_with_all_that_it_started(bort: Path, tmp_path: Path, said: list[str]) -> None:
    child, end = tmp_path / "child", tmp_path / "its own end"
    sleeper = f"import time; time.sleep(60); open({str(end)!r}, 'w')"
    python = interpreter(
        tmp_path,
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {sleeper!r}])\n"
        f"open({str(child)!r}, 'w').write(str(child.pid))\n"
        "print('progress: thinking', file=sys.stderr, flush=True)\ntime.sleep(60)\n",
    )
    message, _ = run_with(bort, python, timeout=0.5, lines=said)
    assert message == "MXNet was stopped after 0.5 s; the last lines of its stderr:\n  thinking"
    wait_until(lambda: not lives(int(child.read_text())))
    assert not end.exists()


def test_an_interpreter_that_does_not_exist_is_an_error(bort: Path, tmp_path: Path) -> None:
    message, _ = run_with(bort, str(tmp_path / "nowhere"))
    assert message.startswith(
        f"{tmp_path / 'nowhere'}: cannot be started (No such file or directory); `mxnet_python` must"
    )


@pytest.mark.parametrize("script", sorted(SCRIPT.parent.glob("[!_]*.py")), ids=lambda script: script.stem)
def test_the_scripts_import_no_package_of_ours_and_have_the_syntax_of_python_3_6(script: Path) -> None:
    tree = ast.parse(script.read_text(), feature_version=(3, 6))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= {
        *(
            "builtins",
            "hashlib",
            "importlib",
            "json",
            "math",
            "os",
            "platform",
            "sys",
            "time",
            "warnings",
            "typing",
            "collections",
        ),
        *("itertools", "queue", "threading", "types", "unicodedata"),
        *("numpy", "mxnet", "gluonnlp", "sentencepiece"),
    }
    assert "pickle" not in script.read_text().replace("allow_pickle=False", "")


def test_no_script_has_the_name_of_a_module_of_python() -> None:
    assert not {script.stem for script in SCRIPT.parent.glob("[!_]*.py")} & sys.stdlib_module_names


@pytest.mark.mxnet
def test_no_script_hides_a_module_that_mxnet_or_gluonnlp_import() -> None:
    """Python puts the folder of `run.py` first on its search path."""
    code = "import numpy; numpy.bool = bool; import mxnet, gluonnlp, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True)
    imported = set(run.stdout.split())
    assert {"mxnet", "gluonnlp", "numpy"} <= imported
    assert not imported & {script.stem for script in SCRIPT.parent.glob("[!_]*.py")}


def test_reference_options_may_be_grouped_or_keywords_but_not_both() -> None:
    assert ReferenceOptions().with_keywords(gluonnlp="x", timeout=5.0) == ReferenceOptions(gluonnlp="x", timeout=5.0)
    assert ReferenceOptions("py").with_keywords(mxnet_python=None, timeout=5.0) == ReferenceOptions("py", timeout=5.0)
    with pytest.raises(OptionError, match=r"`timeout=6\.0`: stands in `reference_options` too") as caught:
        ReferenceOptions(timeout=5.0).with_keywords(gluonnlp="x", timeout=6.0)
    assert (caught.value.option, caught.value.exit_code) == ("timeout", 2)


@pytest.mark.mxnet
def test_a_file_with_other_names_is_refused(bort: Path, tmp_path: Path) -> None:
    with open_params(bort) as params:
        values = dict(params)
    reference = LiveReference(bort, fit_checkpoint(bort, family="bort", heads=4))
    swapped = tmp_path / "swapped.params"
    values["more"] = values.pop("encoder.layer_norm.beta")
    save_params(swapped, values)
    with pytest.raises(BackendError, match=r"the live reference cannot be run: .*other names than the"):
        run_reference(LiveReference(swapped, reference.fit), default_inputs(reference.fit.plan.dims))


@pytest.mark.mxnet
def test_one_error_lists_all_that_does_not_fit_the_model(bort: Path, tmp_path: Path) -> None:
    with open_params(bort) as params:
        values = dict(params)
    values["encoder.layer_norm.beta"] = values["encoder.layer_norm.beta"][1:]
    values["decoder.3.weight"] = values["decoder.3.weight"] + 1
    save_params(tmp_path / "bad.params", values)
    fit = fit_checkpoint(bort, family="bort", heads=4)
    with pytest.raises(BackendError) as caught:
        run_reference(LiveReference(tmp_path / "bad.params", fit), default_inputs(fit.plan.dims))
    message = str(caught.value)
    assert "encoder.layer_norm.beta: shape (31,), expected (32,) by gluonnlp" in message
    assert "word_embed.0.weight: differs from decoder.3.weight, with which gluonnlp ties it" in message


@pytest.mark.mxnet
@pytest.mark.parametrize("name", [path.stem for path in sorted(FIXTURES.glob("*_[0-9]_*.params"))])
def test_every_naming_scheme_of_a_checkpoint_runs(name: str) -> None:
    path = FIXTURES / f"{name}.params"
    fit = fit_checkpoint(path, family=name.partition("_")[0], heads=int(name.split("_")[2]))
    masked = 4 if fit.architecture.endswith(("MaskedLM", "PreTraining", "LMHeadModel")) else None
    inputs = default_inputs(fit.plan.dims, masked=masked)
    trace = run_reference(LiveReference(path, fit), inputs, dtypes=("float64",), attentions=True)
    pooled = ["pooled"] * any(name.endswith("pooler.weight") for name in fit.names)
    heads = {
        "BertForMaskedLM": ["mlm_logits"],
        "BertForPreTraining": ["next_sentence", "mlm_logits"],
        "BertForQuestionAnswering": ["span_logits"],
        "BertForTokenClassification": ["tag_logits"],
        "BertForSequenceClassification": ["logits"],
        "BertModel": [],
        "GPT2LMHeadModel": ["final_norm", "lm_logits"],
        "RobertaForMaskedLM": ["mlm_logits"],
        "RobertaForSequenceClassification": ["logits"],
        "RobertaModel": [],
        "XLNetForQuestionAnswering": ["span_logits", "no_answer"],
        "XLNetLMHeadModel": ["lm_logits"],
        "XLNetModel": [],
    }
    layers = [f"{kind}.{number}" for number in range(fit.plan.dims["layers"]) for kind in ("attention", "layer")]
    expected = ["embeddings", *layers, *pooled, *heads[fit.architecture]]
    if fit.table.title == "language model without next-sentence head":
        expected.remove("next_sentence")
    assert list(trace.outputs["float64"]) == expected
    attention = trace.outputs["float64"]["attention.0"]
    valid = np.arange(inputs["input_ids"].shape[1]) < inputs["valid_length"][:, None]
    sums = attention.sum(axis=-1)[valid]
    assert np.allclose(sums, 1)
    assert trace.provenance["mxnet"]
    assert trace.attention_heads == int(name.split("_")[2])


@pytest.mark.mxnet
@pytest.mark.shared
@pytest.mark.parametrize("python", dict.fromkeys([None, os.environ.get("BORT_CONVERT_ORIGINAL_PYTHON")]))
@pytest.mark.parametrize("name", CORPUS)
def test_the_outputs_of_the_original_code_come_out_again(shared: Path, name: str, python: str | None) -> None:
    """The corpus was run on mxnet 1.5.0; see `make original` for a second pass on that very release."""
    path = shared / "corpus" / "bort" / f"{name}.params"
    fit = fit_checkpoint(path, family="bort", heads=CORPUS[name])
    with np.load(path.with_suffix(".npz")) as stored:
        original = {key: stored[key] for key in stored.files}
    for batch in ("one", "mixed", "full", "short"):
        names = ("input_ids", "valid_length", "masked_positions")
        inputs = {key: original[f"{batch}.{key}"].astype(np.int64) for key in names}
        layers = range(fit.plan.dims["layers"])
        outputs = {key: original[f"{batch}.{key}"] for key in ("embeddings", "mlm_logits")}
        outputs |= {f"layer.{number}": original[f"{batch}.layer{number}"] for number in layers}
        live = run_reference(LiveReference(path, fit, ReferenceOptions(python)), inputs)
        (run,) = compare(Trace(inputs, {"float32": outputs}, live.provenance), {"float32": live.outputs["float32"]})
        assert run.passed, run.failures
        assert max(layer.max_abs for layer in run.layers) < 2e-5

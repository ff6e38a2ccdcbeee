"""Fine-tune a Bort by Agora: rounds of trials over hyperparameters, and new training points where the best one errs.

The first open implementation of the published description; what that leaves open is an option. `core` and `deletion`
are the algorithm, pure; `run` has the loop, `training` runs trials through workers, `trial` is one; `generation` makes
points and `teacher` labels them; `baselines` is what a run is compared with. `run_directory` is how it goes on after a
kill, and `report` what came of it. See docs/agora.md and docs/decisions/0047-agora.md.

Importing this package imports no torch; each name is imported when it is first used.
"""

from importlib import import_module

_PUBLIC = {
    "run": "BestModel Run agora",
    "core": "Agora replay",
    "options": "Options",
    "report": "Figure",
    "theta": "grid",
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = [*_MODULES]  # noqa: PLE0604 - all are strings


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # the next look-up finds it without this function
    return value

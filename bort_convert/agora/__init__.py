"""Fine-tune a Bort by Agora: rounds of trials over hyperparameters, and new training points where the best one errs.

The first open implementation of the published description; what that leaves open is an option. `core` and `deletion`
are the algorithm, pure; `run` has the loop, `training` runs trials through workers, `trial` is one; `generation` makes
points and `teacher` labels them; `baselines` is what a run is compared with. `run_directory` is how it goes on after a
kill, and `report` what came of it. See docs/agora.md and docs/decisions/0047-agora.md.

Importing this package imports no torch; each name is imported when it is first used.
"""

from bort_convert.public_names import import_on_demand

_PUBLIC = {
    "run": "BestModel Run agora",
    "core": "Agora replay",
    "options": "Options",
    "report": "Figure",
    "theta": "grid",
}
__all__, __getattr__, __dir__ = import_on_demand(__name__, _PUBLIC)

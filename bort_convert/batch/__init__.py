"""Convert many checkpoints by a plan, with a journal to go on after an interruption, and reports of the whole.

`options` and `plan_file` read plans, `plan` makes entries of them; `job` is what a worker does with an entry; `journal`
remembers, and `states` tells what has to be done again; `run` has the order of it all. `result` is the outcome, and
`render` writes it. See docs/decisions/0036-batch.md.
"""

"""Run jobs on workers: a function, and the argument of each job; results come in the order in which jobs are done.

`jobs` has the interface, `Workers`, and what goes through it; `processes` implements it with processes of this machine,
and `serving` is what runs there; `cluster` implements it with a Ray cluster, and `node` is what runs there. Nothing
here knows what a job does. See docs/decisions/0035-workers.md and 0046-ray.md.
"""

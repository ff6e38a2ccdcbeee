"""Fine-tune a Bort by Agora: rounds of trials over hyperparameters, and new training points where the best one errs.

The first open implementation of the published description; what that leaves open is an option. `values` has what passes
between the parts. See docs/decisions/0047-agora.md.
"""

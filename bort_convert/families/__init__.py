"""One module for each family of models: a table, its variants, its config. Adding a family is adding one.

What several families share stands in modules whose names begin with an underscore.
"""

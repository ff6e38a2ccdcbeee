"""One module for each model family: a table, its published sizes, its config. Adding a family is adding a module.

Rows that several families share stand in modules whose names begin with an underscore."""

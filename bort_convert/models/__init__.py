"""The model families, one module each: add a module to add a family. `registry` finds them.

A module whose name begins with an underscore holds rows that several families share.
"""

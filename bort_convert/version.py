"""The version, here and nowhere else; reading it from the installed package's metadata would cost each start 15 ms."""

__version__ = "0.2.0"
"""Version of this package.

Examples:
    >>> bort_convert.__version__.count(".") >= 2
    True
"""

"""Pythons that lack modules, calls and threads, as those of other systems and of a browser do."""

from __future__ import annotations

CALLS = ("os.copy_file_range", "os.sendfile", "os.preadv", "os.pread", "os.posix_fadvise", "os.fsync")
BROWSER = ("numpy", "ml_dtypes", "threads", "mmap", "fcntl", *CALLS)
"""What a browser's Python lacks."""

TAKE_AWAY = """
import json, os, sys, threading

def refuse(*_):
    raise RuntimeError("can't start new thread")

for name in json.loads(sys.argv[1]):
    if name == "threads":
        threading.Thread.start = refuse
    elif name.startswith("os."):
        vars(os).pop(name[3:], None)
    else:
        sys.modules[name] = None
"""
"""First part of a program: take away what its first argument, a JSON list, names."""

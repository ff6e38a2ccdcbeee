"""Prove a conversion: names and shapes, bits, and every layer in both frameworks.

Importing this package imports neither torch nor mxnet.
"""

from bort_convert.verification.findings import CheckResult
from bort_convert.verification.published import verify_published
from bort_convert.verification.recorder import record
from bort_convert.verification.reference import ReferenceOptions
from bort_convert.verification.report import Report
from bort_convert.verification.trace import Trace
from bort_convert.verification.trace_file import is_trace, load_trace, save_trace
from bort_convert.verification.verifier import verify

__all__ = [
    "CheckResult",
    "ReferenceOptions",
    "Report",
    "Trace",
    "is_trace",
    "load_trace",
    "record",
    "save_trace",
    "verify",
    "verify_published",
]

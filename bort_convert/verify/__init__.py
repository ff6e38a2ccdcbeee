"""Proof that a conversion is right: both frameworks, every layer, float32 and float64.

Importing this imports neither torch nor mxnet.
"""

from bort_convert.verify.published import verify_published
from bort_convert.verify.result import Report
from bort_convert.verify.trace import Trace, load_trace, save_trace
from bort_convert.verify.verifier import is_trace, record, verify

__all__ = ["Report", "Trace", "is_trace", "load_trace", "record", "save_trace", "verify", "verify_published"]

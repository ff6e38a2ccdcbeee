"""The safetensors format: a writer in one pass, and a reader that reads an array when it is asked for.

A file is an unsigned 64-bit little-endian length N, N bytes of JSON, and the tensors' bytes without holes. The JSON
maps each name to `{"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}`, offsets counted from the end of the
header; the key `__metadata__` maps strings to strings. All sizes are known before the first byte of data, so the
header is written first, and no values are held in memory or written twice.

Source: huggingface/safetensors, README.md, "Format".
"""

from bort_convert.safetensors.header import CODES
from bort_convert.safetensors.reader import TensorFile, open_tensors
from bort_convert.safetensors.writer import save_tensors, write_tensors

__all__ = ["CODES", "TensorFile", "open_tensors", "save_tensors", "write_tensors"]

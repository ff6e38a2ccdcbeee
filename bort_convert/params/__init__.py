"""The `.params` format of MXNet and Gluon: its bytes, and how to read and write them.

The MXNet releases named below were seen to write or read the bytes described.

Purpose
-------
A `.params` file holds named arrays: the weights of a network, and nothing else. Three containers go by that suffix:

==========  ===========================  =============================================================================
kind        first bytes                  written by
==========  ===========================  =============================================================================
list file   12 01 00 00 00 00 00 00      MXNet 0.x and 1.x (`mx.nd.save`, `save_parameters`, `export`, Module)
zip         50 4B 03 04 or 50 4B 05 06   MXNet 2 under np semantics; also a model-zoo download around one `.params`
npy         93 4E 55 4D 50 59            MXNet 2, `npx.save` of one array
==========  ===========================  =============================================================================

Capabilities
------------
- Arrays of 13 types, of 0 to 32 dimensions, with zero-size axes; dense, by rows (row_sparse) or compressed (csr).
- Names are free text: empty, with dots, slashes, colons or NUL. A list file may have no names.
- The header of each array gives its size, so that a reader steps from header to header and maps the values.

Limitations
-----------
- A list file has no checksum, no alignment, no padding, no table of offsets, no compression and no version of its
  writer.
- The names of a list file stand behind all values: a file that was cut short has no names.
- No configuration, vocabulary, gradient or optimizer state; no sign that two arrays were one parameter.
- Some forks keep bit-packed weights under the type float64 or float32. Nothing in the file shows it.

List file
---------
All numbers are little-endian and packed. i32, u32, i64 and u64 are integers by sign and bits::

    u64   0x112
    u64   reserved: writers put 0, readers ignore it
    u64   N, the number of arrays
          N records
    u64   K, the number of names: 0 (a file without names) or N
          K times: u64 length in bytes, then that many bytes of UTF-8
          end of file

The smallest file, of no arrays, has 32 bytes.

Records
-------
The first u32 of a record gives the version of that record::

    0xF993FAC8   version 1   MXNet 0.11
    0xF993FAC9   version 2   MXNet 0.12 to 1.9, and `mx.nd.save` of 2.0
    0xF993FACA   version 3   MXNet 1.5 to 2.0 under np shape semantics
    0 to 32      version 0   MXNet up to 0.10: the first u32 is the number of dimensions

A dense array goes on as follows; n is the number of dimensions::

    version 0                version 1                versions 2 and 3
                                                      i32      storage type: 0 dense, 1 row_sparse, 2 csr
                             u32      n               i32      n
    n * u32  dimensions      n * i64  dimensions      n * i64  dimensions
    i32      device type     i32      device type     i32      device type
    i32      device number   i32      device number   i32      device number
    i32      type flag       i32      type flag       i32      type flag
             values                   values                   values

Values are in C order, as many bytes as dimensions and type require. The device held the array when it was saved; a
reader ignores it.

Without dimensions: a record of version 0 or 1 ends behind n, and is an array without a value ("none"). Versions 2 and
3 have a scalar: device, type and one value follow. (MXNet's own reader takes version 2 for "none" and then loses its
place, so no MXNet reads back the scalars that it wrote.) A reader MAY read all version 2 records without dimensions as
"none", only if reading them as scalars does not end at the end of the file.

Sparse arrays, version 2 alone; "shape" is an i32 and as many i64::

    u32    0xF993FAC9
    i32    1 (row_sparse)                             2 (csr)
    shape  of the data:   (r, d1, d2, ...)            (v,)
    shape  of the array:  (d0, d1, d2, ...)           (rows, columns)
    i32    device type
    i32    device number
    i32    type flag of the data
                                                      i32, shape   of indptr: type flag, (rows + 1,)
    i32, shape   of indices: type flag, (r,)          i32, shape   of indices: type flag, (v,)
           data: r rows                               data: v values
                                                      indptr: where each row starts among the values, and their end
           indices: the number of each row            indices: the column of each value

Indices are int64. All other elements are zero. A csr array that was never filled may have an indptr of shape (0,).

Type flags::

    0 float32    1 float64    2 float16    3 uint8     4 int32     5 int8       6 int64
    7 bool       8 int16      9 uint16    10 uint32   11 uint64   12 bfloat16

0 to 4 are in all releases, 5 and 6 since 0.11, 7 since 1.6, 12 since 1.7; 8 to 11 in 2.0 only. A bool is a byte, 0 or
1. A bfloat16 is the upper half of a float32.

Zip
---
Members `NAME.npy`, stored; one `.npy` is taken off the end of a name, and a slash is a part of it. MXNet 2 writes
sizes and checksum behind the data and zeros into the local header, so the central directory is what counts. Readers
accept deflated members and Fortran order, too. The `.npy` header is NumPy's, with two additions for bfloat16: the
descr `[('bfloat16', '<u2')]`, or `'<b2'`.

A sparse array NAME is a folder of exactly these members: `NAME/data.npy`, `NAME/indices.npy`, for csr
`NAME/indptr.npy`, `NAME/shape.npy` (int64) and `NAME/format.npy`, which has a header that does not parse and behind
it the text `row_sparse` or `csr`. Any other folder holds dense arrays.

What a reader must not do
-------------------------
- It MUST NOT allocate, or step, by a number from the file that has not been compared with the bytes that are left,
  nor multiply dimensions in 64 bits: real readers load 2**32 x 2**32 x 2**32 as an empty array.
- It MUST NOT use a sparse index that it has not checked: in range, each row or column once, indptr from 0 to the
  number of values without a fall.
- It MUST NOT unpickle (object arrays, `.states` files), nor take names of members for paths of files.
- It SHOULD refuse files that MXNet reads and that are most likely damaged: bytes behind the end, two arrays of one
  name, other bools than 0 and 1.

What a writer should do
-----------------------
- It SHOULD write version 2 records, which most releases read. It MUST NOT write 0-d arrays in them.
- It SHOULD make the file appear complete, under its name, at once.

This reader
-----------
`open_params` refuses every file that is not as above, with the place and the reason. It refuses some files that MXNet
reads: trailing bytes and repeated names (`allow_trailing`, `allow_duplicates`), sparse indices out of place, wrong
bools, members whose names lead out of their archive. It reads some files that MXNet refuses: version 2 scalars,
versions 2 and 3 side by side, old "none" records.

A `.params` file in a tar archive, gzipped or not, is unpacked to a file without a name, and the checksums of both are
verified; links, devices and folders in the archive are passed over. In a directory it stands for the directory.

Opening checks all headers, all names, the shapes of sparse arrays, the structure of an archive, and the checksum of a
`.params` file inside one. Sparse indices, bools and the checksum of a member are checked when an array is asked for.

Limits that no sane file meets: 32 dimensions; a sparse array reads as dense up to 64 MiB, or 1,024 times the file if
that is more; an archive unpacks to 64 MiB, or 100 times its size; a `.npy` header of 4,096 bytes; 32,768
arrays, or members of an archive (`max_arrays`); 100 bytes of names for each of them, or 1 MiB together.

The file is mapped and must keep its bytes while it is open or a view of it lives: cutting it short ends the process.
With `mapped=False` arrays are read when they are asked for, and a file that was cut short is a FormatError; the rest of
the package opens files so. `ParamsFile.check_unchanged` checks that the file is still the one that was opened.
"""

from bort_convert.params.info import MAX_ARRAYS, TensorInfo
from bort_convert.params.open_file import source_file
from bort_convert.params.reader import ParamsFile, open_params
from bort_convert.params.writer import save_params, write_params

__all__ = ["MAX_ARRAYS", "ParamsFile", "TensorInfo", "open_params", "save_params", "source_file", "write_params"]

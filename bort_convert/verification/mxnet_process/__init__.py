"""The networks that checkpoints belong to, built in MXNet: a file for each shape of network, run by `run_mxnet.py`.

A family names its file in `Family.original`. Each file stands alone, as the script does: it keeps to Python 3.6 and
imports nothing of ours. It has one class, `Network`, which is made of a job (see `run_mxnet.py`; a ValueError says
what in it cannot be built) and has:

    block                   a Block whose structural names are those of the file, with values still to come
    watched(attentions=...) (name in a trace, block, number of its output) for what a hook is to keep
    length_first            whether hidden states are (length, batch, units) there; it may lack this where they are not
    dtypes                  those that it can be run in; it may lack this where that is both
    forward(inputs, dtype)  runs the network once and gives its heads' outputs, NDArrays by their name in a trace

`inputs` are those of a trace, or `input_ids` and `valid_length` alone: one such run settles the shapes that gluonnlp
leaves open.
"""

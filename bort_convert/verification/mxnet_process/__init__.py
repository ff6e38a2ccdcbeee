"""Scripts for an interpreter that has MXNet: `run.py`, and a file for each network that it builds.

A family names its file in `Family.mxnet_module`. Every file here keeps to the syntax of Python 3.6 and imports nothing
of this package, so that the environment that alexa/bort pins can run it. The file of a network has one class,
`Network`, which is made from a job (see `run.py`; ValueError if it cannot be built) and has:

    block                   a Block whose structural names are those of the checkpoint, without values yet
    watched(attentions=...) (output in a trace, block, number of the block's output) for each hook; a number inside of
                            the output is a tuple. A block that runs several times stands there as often, in the order
                            of its calls
    forward(inputs, dtype)  runs the network once; gives the heads' outputs, NDArrays by their names in a trace
    length_first            optional: True where hidden states are (length, batch, hidden_size)
    dtypes                  optional: precisions in which the network can run, both by default
    replaced_parts          optional: parts that MXNet computes in float32 whatever the precision, or wrongly, and that
                            the file replaces, each as in "MXNet computes ..."
    compute_as_is(as_is=...) goes with it: leave those parts as they are
    settled                 optional: True where every shape is known before a first run
    refusals                optional: exceptions of `forward` whose message says why the network cannot run

A file may have `load_frameworks(folder)` too, which imports other packages than `run.py` does.

`inputs` are those of a trace. A first run has `input_ids` and `valid_length` alone; it settles the shapes that gluonnlp
leaves open.

Python puts the folder of a script first on its search path, so that `import run` or `import bert` finds these files. No
module of Python, MXNet or GluonNLP has one of their names; a test holds that.
"""

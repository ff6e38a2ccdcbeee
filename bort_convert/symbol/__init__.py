"""Read an exported network, a `-symbol.json` of MXNet, as data: nothing in it is run here.

A symbol file is a list of nodes. A variable has the operator "null" and is a parameter or an input of the network; any
other node applies an operator to outputs of nodes before it. `reader` checks all of it, `operators` has the operators
that may run, `facts` derives what shapes of parameters cannot show, and `writer` writes the nodes for MXNet.

Source: apache/mxnet 1.9.1, 3rdparty/tvm/nnvm/src/pass/saveload_json.cc; src/nnvm/legacy_json_util.cc.
"""

from bort_convert.symbol.graph import Graph, Node
from bort_convert.symbol.reader import read_graph

__all__ = ["Graph", "Node", "read_graph"]

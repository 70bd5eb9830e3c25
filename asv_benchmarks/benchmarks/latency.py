"""Predictions of one row and of ten, in fastmlp and in other libraries; those not installed are skipped.

The unit of work is one call of a library's usual function, from a NumPy array to a NumPy array. All have the same
weights, of a network with ReLU units and identity outputs, and must give the same outputs. PyTorch and ONNX Runtime
have one thread; the others choose for themselves.
"""

import numpy as np

from fastmlp import MLP

from . import cases
from .repeated import Repeated


def of_fastmlp(net):
    return net.predict


def of_scikit_learn(net):
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(hidden_layer_sizes=net.sizes[1:-1], max_iter=1)
    model.partial_fit(np.zeros((1, net.sizes[0]), net.dtype), np.zeros((1, net.sizes[-1])))  # makes its attributes
    model.coefs_, model.intercepts_ = list(net.weights), list(net.biases)
    return lambda x: model.predict(x).reshape(len(x), -1)


def of_torch(net):
    import torch

    torch.set_num_threads(1)
    layers = []
    for w, b in zip(net.weights, net.biases, strict=True):
        linear = torch.nn.Linear(*w.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(w.T.copy()), torch.from_numpy(b.copy())
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).eval()

    def predict(x):
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return predict


def of_onnxruntime(net):
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, arrays, name = [], [], "x"
    for l, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        arrays += [numpy_helper.from_array(w.copy(), f"w{l}"), numpy_helper.from_array(b.copy(), f"b{l}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{l}", f"b{l}"], [f"z{l}"]))
        nodes.append(helper.make_node("Relu", [f"z{l}"], [f"a{l}"]))
        name = f"a{l}"
    ends = ("x", net.sizes[0]), (f"z{len(net.weights) - 1}", net.sizes[-1])
    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n])] for name, n in ends]
    graph = helper.make_graph(nodes[:-1], "mlp", *values, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def of_keras(net):
    import keras

    units = [*["relu"] * (len(net.weights) - 1), "linear"]
    layers = [keras.layers.Dense(w.shape[1], activation) for w, activation in zip(net.weights, units, strict=True)]
    model = keras.Sequential([keras.Input(net.sizes[:1]), *layers])
    model.set_weights([array for pair in zip(net.weights, net.biases, strict=True) for array in pair])
    return lambda x: keras.ops.convert_to_numpy(model(x))  # `model.predict` is for many batches, and slower


LIBRARIES = {
    "fastmlp": of_fastmlp,
    "scikit-learn": of_scikit_learn,
    "torch": of_torch,
    "onnxruntime": of_onnxruntime,
    "keras": of_keras,
}


class Latency(Repeated):
    params = [list(LIBRARIES), ["8-16-1", "784-128-10"], [1, 10]]
    param_names = ["library", "network", "rows"]

    def prepare(self, library, network, rows):
        net = MLP(cases.parse(f"{network}@{rows}")[0], seed=0)
        self.x = np.random.default_rng(0).standard_normal((rows, net.sizes[0]), dtype=np.float32)
        try:
            self.predict = LIBRARIES[library](net)
        except ImportError as error:
            raise NotImplementedError(f"{library} is not installed: {error}") from error
        np.testing.assert_allclose(self.predict(self.x), net.predict(self.x), rtol=1e-3, atol=1e-3)

    def run(self, calls):
        for _ in range(calls):
            self.predict(self.x)

    def time_predict(self, library, network, rows):
        self.run(self.calls)

"""Products, steps and predictions of bf16-mixed precision; skipped where the CPU has no engine for bfloat16."""

from . import cases, loops, prediction, products, step
from .kernels import engine_of

ONE = 0x3F80  # the bfloat16 number 1
NARROW = "8-16-1@1", "8-16-1@32"  # computed in float32 in either precision


def need_engine():
    """Raise a NotImplementedError, which skips a benchmark, if this CPU has no engine for bfloat16."""
    if engine_of("uint16") is None:
        raise NotImplementedError("this CPU has no engine for bfloat16")


class _Product:
    """Mixin of products: operands other than the weights are all 1, like the float32 arrays."""

    options = {"mixed": True}

    def prepare(self, n_in, n_out):
        need_engine()
        super().prepare(n_in, n_out)
        self.forms.left[:] = self.forms.kept[:] = ONE


class Forward(_Product, products.Forward):
    def run(self, calls):
        block = self.activations, self.deltas, self.forms
        loops.mixed_forward_products(calls, self.network, *block, products.ROWS)


class Backward(_Product, products.Backward):
    def run(self, calls):
        loops.mixed_backward_products(calls, self.network, self.deltas, self.scratch, self.forms, products.ROWS)


class Gradient(_Product, products.Gradient):
    def run(self, calls):
        block = self.activations, self.deltas, self.forms
        loops.mixed_gradient_products(calls, self.gradient, self.network, self.pieces, *block, products.ROWS)


class Step(step.Step):
    params = [case for case in cases.STEPS if case not in NARROW]
    settings = {"precision": "bf16-mixed"}

    def prepare(self, case):
        need_engine()
        super().prepare(case)


class Prediction(prediction.Prediction):
    params = [case for case in prediction.Prediction.params if case not in NARROW]

    def prepare(self, case):
        need_engine()
        super().prepare(case)

    def run(self, calls):
        for _ in range(calls):
            self.net.predict(self.x, precision="bf16-mixed")

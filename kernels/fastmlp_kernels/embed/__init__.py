"""Networks inside users' compiled code, where they are made, evaluated, differentiated and updated; and called from C.

The functions are serial: they work on the rows of row-major arrays that the caller has, on the caller's thread. `make`
makes networks, scratch memory, states of optimizers, arrays for gradients, and the records of samples and sums that the
drivers take. `batch` and `one_sample` compute outputs. `forward_mode` multiplies by the Jacobian, `reverse` by its
transpose, and computes gradients of the parameters. `taylor` and its companions compute second derivatives with respect
to the inputs, and their gradients. `update` makes optimizers and applies them. `c_interface` makes C functions of some.
"""

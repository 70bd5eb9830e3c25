"""Copies of templates that call other functions."""

from fastmlp_kernels import jit


def test_a_specialised_function_is_a_function_of_its_own():
    def template(x):
        """Twice."""
        return inner(x)  # noqa: F821

    twice = jit.specialize(template, "twice", inner=lambda x: 2 * x)
    thrice = jit.specialize(template, "thrice", inner=lambda x: 3 * x)
    assert (twice(5), thrice(5)) == (10, 15)
    assert (twice.__name__, twice.__qualname__, twice.__doc__) == ("twice", "twice", "Twice.")

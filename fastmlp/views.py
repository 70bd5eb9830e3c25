"""Views of the parameters of a network, layer by layer, to which values can be assigned."""

import numpy as np


class Views(tuple):
    """Views of one array, such as the weights of all layers. Values assigned to one of them are copied into it."""

    def __setitem__(self, index, values):
        views, given = (self[index], values) if isinstance(index, slice) else ([self[index]], [values])
        given = [as_array("an array assigned to a layer", array) for array in given]
        given = [array.copy() if any(np.may_share_memory(array, view) for view in views) else array for array in given]
        if len(given) != len(views):
            raise ValueError(f"{len(given)} arrays are assigned to {len(views)} layers; accepted: one for each")
        for view, array in zip(views, given, strict=True):
            check_assigned("an array assigned to a layer", array, view)
        for view, array in zip(views, given, strict=True):
            view[...] = array


def as_array(argument, values):
    """Return `values` as an array; a ValueError if some of them are masked."""
    if np.ma.is_masked(values):
        raise ValueError(f"{argument} is masked in part; accepted: arrays in which nothing is masked")
    return np.asarray(values)


def check_assigned(argument, given, view):
    """Raise a TypeError or ValueError if the array `given` cannot be copied into `view`."""
    accepted = f"{view.shape} numbers that convert to {view.dtype}"
    if given.dtype.kind not in "fiub":
        raise TypeError(f"{argument} has dtype {given.dtype}; accepted: {accepted}")
    if given.shape != view.shape:
        raise ValueError(f"{argument} has shape {given.shape}; accepted: {accepted}")

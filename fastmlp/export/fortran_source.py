"""Fortran module of a network, whose functions are those of its C source (see `c_source`).

The parameters are in a C file beside the module: standards up to Fortran 2018 allow no more than 256 lines for a
statement, so that a pure Fortran module could hold small networks only.
"""

import textwrap
from pathlib import Path

from ..replacing import replace
from ..terminal import printable
from .c_source import ACCEPTED, header
from .model import Model, encoded, quoted

MOST_CHARACTERS = 132  # of a line, by the standards

# C functions that the module calls. Numbers of inputs and classes begin with 1 in Fortran, those of texts with 0.
PREDICT_IN_C = """\
void NAME_fortran_predict(const REAL *inputs, REAL *outputs)
{
    NAME_predict(inputs, outputs);
}"""

CLASSES_IN_C = """\
int NAME_fortran_label(const REAL *inputs)
{
    return NAME_label(inputs) + 1;
}

/* Copies the name of a class to a text that is long enough; what follows it there stays. */
void NAME_fortran_class(int label, char *text)
{
    for (const char *name = NAME_classes[label - 1]; *name; name++)
        *text++ = *name;
}"""

CATEGORY_IN_C = """\
int NAME_fortran_category(int input, const char *text)
{
    return NAME_category(input - 1, text);
}"""

HEAD = """\
module NAME
  use, intrinsic :: iso_c_binding, only: c_char, c_double, c_float, c_int, c_null_char
  implicit none
  private
  integer, parameter, public :: NAME_real = c_REAL
  integer, parameter, public :: NAME_n_inputs = N_INPUTS, NAME_n_outputs = N_OUTPUTS
  public :: NAME_predict
  interface
    pure subroutine NAME_predict(inputs, outputs) bind(c, name="NAME_fortran_predict")
      import :: NAME_real, NAME_n_inputs, NAME_n_outputs
      real(NAME_real), intent(in) :: inputs(NAME_n_inputs)
      real(NAME_real), intent(out) :: outputs(NAME_n_outputs)
    end subroutine
  end interface"""

CLASSES = """\
  integer, parameter, public :: NAME_class_length = LONGEST
  public :: NAME_label, NAME_class
  interface
    pure integer(c_int) function NAME_label(inputs) bind(c, name="NAME_fortran_label")
      import :: NAME_real, NAME_n_inputs, c_int
      real(NAME_real), intent(in) :: inputs(NAME_n_inputs)
    end function
    pure subroutine NAME_copy_class(label, text) bind(c, name="NAME_fortran_class")
      import :: c_char, c_int
      integer(c_int), value, intent(in) :: label
      character(kind=c_char), intent(inout) :: text(*)
    end subroutine
  end interface"""

CATEGORY = """\
  public :: NAME_category
  interface
    pure integer(c_int) function NAME_find_category(input, text) bind(c, name="NAME_fortran_category")
      import :: c_char, c_int
      integer(c_int), value, intent(in) :: input
      character(kind=c_char), intent(in) :: text(*)
    end function
  end interface"""

CLASS_BODY = """\

  ! Name of a class, from 1 to NAME_n_outputs, with blanks behind it.
  pure function NAME_class(label) result(text)
    integer, intent(in) :: label
    character(len=NAME_class_length) :: text
    text = ""
    call NAME_copy_class(int(label, c_int), text)
  end function"""

CATEGORY_BODY = """\

  ! Number of a text among those of an input, from 0 on; -1 if it is none of them. Blanks at its end do not count.
  pure integer function NAME_category(input, text)
    integer, intent(in) :: input
    character(len=*), intent(in) :: text
    NAME_category = NAME_find_category(int(input, c_int), trim(text) // c_null_char)
  end function"""


def write_fortran(net, path):
    """Write a network as a Fortran 2003 module, and beside it the C file that has its parameters.

    ``model.f90`` comes with ``model_c.c``. Both are compiled into the program: ``gfortran model_c.c model.f90
    program.f90``, or the first with a C compiler. Each file is replaced whole or not at all, the C file first. The
    names are those of `c_source.write_c`, in the module ``model``:

    - ``call model_predict(inputs, outputs)``: outputs of one sample, arrays of ``real(model_real)``, which is
      ``c_float`` or ``c_double``, with the lengths ``model_n_inputs`` and ``model_n_outputs``.
    - ``model_label(inputs)`` and ``model_class(label)``, for classification by `fastmlp train`: number of the predicted
      class, from 1 on, and the name of a class, ``character(len=model_class_length)``.
    - ``model_category(input, text)``, where columns are text: number of a text among the categories of an input. Inputs
      are counted from 1, the numbers of texts from 0. Blanks at the end of a text do not count.

    All are pure.

    Parameters
    ----------
    net : MLP
    path : str or path
        Commonly with the suffix ``.f90``.

    Raises
    ------
    ValueError, OSError
        In the same cases as `c_source.write_c`, for either file.
    """
    path = Path(path)
    model, c_path = Model(net, path, ACCEPTED), path.with_name(f"{path.stem}_c.c")
    replace(c_path, c_file(model).encode())
    replace(path, module(model, f"{c_path.name} {path.name}").encode())


def c_file(model):
    """Text of the C file: the header, and functions that other files can call."""
    functions = [PREDICT_IN_C, *[CLASSES_IN_C] * bool(model.classes), *[CATEGORY_IN_C] * bool(model.texts)]
    return header(model) + "".join(f"\n{model.fill(code)}\n" for code in functions)


def module(model, files):
    """Text of the Fortran module; `files` are the names of both files, in the order in which they are compiled."""
    comment = [*model.described(first=1), "", f"Use, compiled by `gfortran {printable(files)} program.f90`:"]
    comment += _usage(model)
    parts = [HEAD, *[CLASSES] * bool(model.classes), *[CATEGORY] * bool(model.texts)]
    if model.classes or model.texts:
        parts += ["contains", *[CLASS_BODY] * bool(model.classes), *[CATEGORY_BODY] * bool(model.texts)]
    longest = max([len(encoded(name)) for name in model.classes], default=0)
    sizes = {"N_INPUTS": str(model.n_inputs), "N_OUTPUTS": str(model.n_outputs), "LONGEST": str(longest)}
    code = model.fill("\n".join([*parts, "end module NAME"]), **sizes)
    lines = [f"! {part}".rstrip() for line in comment for part in _wrapped(line)]
    return "\n".join([*lines, *map(_continued, code.split("\n"))]) + "\n"


def _wrapped(line):
    """Lines of a comment that are short enough in UTF-8."""
    width = (MOST_CHARACTERS - 2) // max(len(c.encode(errors="replace")) for c in line or " ")
    return textwrap.wrap(line, width, subsequent_indent="    ") or [""]


def _continued(line):
    """Line of code; one that is too long goes on in others, where it has a blank."""
    if len(line) <= MOST_CHARACTERS:
        return line
    end = line.rindex(" ", 0, MOST_CHARACTERS - 1)
    return f"{line[:end]} &\n{_continued(f'      {line[end:]}')}"


def _usage(model):
    """Lines of text that show a use of the module."""
    lines = [model.fill("  use NAME")]
    lines.append(model.fill("  real(NAME_real) :: inputs(NAME_n_inputs) = 0, outputs(NAME_n_outputs)"))
    for k, (text, *_) in list(model.texts.items())[:1]:
        lines.append(f"  inputs({k + 1}) = {model.name}_category({k + 1}, {quoted(text)})")
    lines.append(model.fill("  call NAME_predict(inputs, outputs)"))
    if model.classes:
        lines.append(model.fill("  print *, NAME_class(NAME_label(inputs))"))
    return lines

"""Python blocks of a page in Markdown, as one script."""

import importlib.util
import re
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
IMPORT = re.compile(r"^(?:import|from) (\w+)", re.MULTILINE)
# Packages that examples need, and neither the tests nor the pages install.
OPTIONAL = {"mlflow", "onnxruntime", "optuna", "tensorboardX", "torch", "wandb"}


def script(page):
    """Text of all Python blocks of a page, each on the lines where it is in the page.

    Blocks that import one of the OPTIONAL packages where it is not installed are left out.
    """
    text, lines = Path(page).read_text(encoding="utf-8"), []
    for block in BLOCK.finditer(text):
        if all(importlib.util.find_spec(package) for package in OPTIONAL.intersection(IMPORT.findall(block[1]))):
            first = text.count("\n", 0, block.start(1))
            lines += [""] * (first - len(lines)) + block[1].splitlines()
    return "\n".join(lines) + "\n"

"""Process that measures benchmarks for `gate`: reads one name per line, answers with one JSON object per line."""

import json
import sys

import suite
from benchmarks.repeated import fastest

TURN_SECONDS = 0.05  # duration of a turn: ten samples, of which the first have cold caches and the fastest counts


def prepare(name):
    """Set up the benchmark called `name`: (function that runs it once, clock)."""
    # Only its module is imported: others may need names that the measured sources do not have.
    benchmark = next(entry for entry in suite.benchmarks_of(name.split(".")[0]) if entry.name == name)
    instance = benchmark.instance()
    instance.setup(*benchmark.parameters)
    method = getattr(instance, benchmark.method)
    return lambda: method(*benchmark.parameters), instance.timer


def answer(name, prepared):
    """Answer to a line: {"seconds": ...}, or {"error": ...} if the benchmark does not run.

    `prepared`, a dict, keeps the benchmark that was set up last.
    """
    try:
        if name not in prepared:
            prepared.clear()  # the data of the previous one may be large
            prepared[name] = prepare(name)
        return {"seconds": fastest(*prepared[name], TURN_SECONDS)}
    except Exception as error:  # after any error the other benchmarks can still be measured
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    prepared = {}
    for line in sys.stdin:
        print(json.dumps(answer(line.strip(), prepared)), flush=True)


if __name__ == "__main__":
    main()

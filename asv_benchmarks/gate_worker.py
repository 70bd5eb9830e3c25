"""A process that measures benchmarks when told to: a name a line comes in, a JSON object a line goes out."""

import json
import sys

import suite
from benchmarks.repeated import fastest

TURN_SECONDS = 0.05  # ten samples: the first have cold caches, the fastest counts


def prepare(name):
    """(function that runs the benchmark called `name` once, clock)."""
    # Of its module only: others may need what the sources that are measured do not have.
    benchmark = next(entry for entry in suite.benchmarks_of(name.split(".")[0]) if entry.name == name)
    instance = benchmark.instance()
    instance.setup(*benchmark.parameters)
    method = getattr(instance, benchmark.method)
    return lambda: method(*benchmark.parameters), instance.timer


def answer(name, prepared):
    """{"seconds": ...}, or {"error": ...} where the benchmark does not run; `prepared` keeps what is set up last."""
    try:
        if name not in prepared:
            prepared.clear()  # whose data may be large
            prepared[name] = prepare(name)
        return {"seconds": fastest(*prepared[name], TURN_SECONDS)}
    except Exception as error:  # whatever it is, the other benchmarks can still be measured
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    prepared = {}
    for line in sys.stdin:
        print(json.dumps(answer(line.strip(), prepared)), flush=True)


if __name__ == "__main__":
    main()

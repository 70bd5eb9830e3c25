"""A process that measures benchmarks when told to: a name a line comes in, a JSON object a line goes out."""

import json
import sys

import suite
from benchmarks.repeated import fastest

TURN_SECONDS = 0.05  # ten samples: the first have cold caches, the fastest counts


def prepare(benchmark):
    """(function that runs the benchmark once, clock)."""
    instance = benchmark.instance()
    instance.setup(*benchmark.parameters)
    method = getattr(instance, benchmark.method)
    return lambda: method(*benchmark.parameters), instance.timer


def main():
    """Answer each name with {"seconds": ...}, or {"error": ...} where the benchmark does not run."""
    benchmarks, prepared = {benchmark.name: benchmark for benchmark in suite.discover()}, {}
    for line in sys.stdin:
        name = line.strip()
        try:
            if name not in prepared:
                prepared[name] = prepare(benchmarks[name])
            answer = {"seconds": fastest(*prepared[name], TURN_SECONDS)}
        except Exception as error:  # whatever it is, the other benchmarks can still be measured
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

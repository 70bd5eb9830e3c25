"""`fastmlp trace`: backpropagation on a small example, number by number."""

from fastmlp import plots
from fastmlp.replacing import check_writable
from fastmlp.teaching.examples import load_example
from fastmlp.teaching.trace import trace


def run(args):
    """Run the command."""
    if args.plot:
        plots.check(args.plot)
        check_writable(args.plot)
    example = load_example(args.example)
    if args.plot:
        net = example.network()
        plots.network(net, example.backpropagate(net), args.plot)
    for line in trace(example, args.steps):
        print(line)

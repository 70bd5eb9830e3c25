"""Faults at random: each module has a command, `python -m tests.fuzz.NAME COUNT`, and a few cases in `make test`."""

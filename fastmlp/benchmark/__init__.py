"""Training timed beside other libraries: `peers` does the same work in each library, `bench` measures it in turns.

Each library is imported by the class that uses it: none has to be installed. Nothing here prints to the terminal.
"""

"""The command line: each file is one command, which parses, calls one function and shows the result.

Results go to standard output, progress and remarks to standard error. torch is imported inside commands only, so
that help answers at once.
"""

"""Builds the rooms of one mount, owns the nursery they run in, and leads it from start to drained end.

Promise: a mount either answers or its start fails with one sentence and nothing is left mounted; once it answers,
it ends by unmount, SIGTERM or the control socket, and has then drained or kept everything in its state directory.
Importing this package costs nothing; ``daemon`` needs the standard library only, ``life`` brings in trio and pyfuse3.
"""

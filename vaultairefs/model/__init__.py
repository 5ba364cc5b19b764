"""Values, names, changes and errors: the words every other room speaks.

Promise: nothing here does I/O, imports trio, or knows of FUSE, S3 or a disk.
"""

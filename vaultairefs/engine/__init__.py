"""Engines: where artifacts live for good.

``interface.py`` is the seam and its contract; each engine implements it; one contract suite
(``tests/engine_contract``) judges them all.  Nothing here knows of inodes, handles, journals or FUSE.
"""

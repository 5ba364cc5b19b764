"""Durable local files: the only room below the engines that syncs, renames or replaces anything.

Promise: what a function here calls durable survives power loss, and no ``OSError`` leaves the room.
It knows nothing of containers, journals or events: it moves bytes and names on one local disk.
"""

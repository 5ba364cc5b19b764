"""The kernel's side of a volume: requests in, answers out.

Promise: every request of the kernel gets exactly one answer, and whatever goes wrong in a handler becomes an errno,
a log line and an event, never the end of the mount.  This is the only room that knows pyfuse3, mount(2) and errno
numbers.

Does not: decide anything about names, bytes or durability; that is ``volume/``.
"""

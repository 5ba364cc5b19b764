"""The operator's door to a running mount: a unix socket in the state directory, and the way to find it.

Promise: only the owner of the mount and root get an answer; the client and the search for mounts need nothing but
the standard library, so ``vaultairefs status`` starts in a few dozen milliseconds.  Decides nothing: verbs are
given by ``app/``.
"""

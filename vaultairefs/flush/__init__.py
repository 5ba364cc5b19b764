"""From local state to the engine: names, bytes and attributes that are owed.

Promise: what is owed reaches the engine whole, in an order in which no step loses the only copy of anything, each step
is recorded right after it or found out about after a crash, a foreign change is never silently overwritten, and a
failure is retried for ever and shown until it is over.
It decides nothing about what programs see, and it never waits while it holds the state in between.
"""

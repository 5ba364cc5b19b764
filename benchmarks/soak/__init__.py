"""A long mixed load on a volume behind a faulty network, with everything that could grow looked at meanwhile."""

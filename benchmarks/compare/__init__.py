"""vaultairefs beside its peers and beside ext4: same store, same machine, same run, alternating.  See ``__main__``."""

"""The same kill -9 test on vaultairefs and its peers: what of the acknowledged and synced is there afterwards."""

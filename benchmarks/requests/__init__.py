"""How many requests a piece of work costs, counted between a mount and its store."""

"""Know before training whether a dataset will work: its faults, its shape, and its ceiling."""

"""How good a model is on held-out text, and what it writes: for the programs that train and export alone."""

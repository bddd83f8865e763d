"""Cards: what a dataset or a model says of itself on the Hub. Pure functions of facts, without dates."""

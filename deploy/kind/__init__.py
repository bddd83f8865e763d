"""A cluster on one machine, with kind."""

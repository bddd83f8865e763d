"""What the demo and the tests run on: a shelf of tales and the catalogue that serves them."""

"""How Bookmill is set up and shown: example books, images, clusters, values."""

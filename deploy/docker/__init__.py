"""Images: how each is built, and how they are pushed."""

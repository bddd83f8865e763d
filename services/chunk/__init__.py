"""Cuts clean books into chunks that end at a sentence, and makes datasets of them."""

"""Turns a book as it was fetched into prose."""

"""Brings books and base models in from outside: the only service that fetches."""

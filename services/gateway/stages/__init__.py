"""The stages of a run, one a file: each a function of its surroundings and of what the stages before it gave."""

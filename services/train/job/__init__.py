"""The trainer: one program for a GPU and a CPU, which can be stopped and killed and goes on exactly."""

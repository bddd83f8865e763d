"""Runs the service that `BOOKMILL_SERVICE` names: the entry point of an image, which holds one service."""

import os
import runpy

if __name__ == "__main__":
    runpy.run_module(f"services.{os.environ['BOOKMILL_SERVICE']}", run_name="__main__", alter_sys=True)

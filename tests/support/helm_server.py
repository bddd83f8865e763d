"""Renders and lints charts with Helm's own code: a line of JSON in, a line of JSON out.

It runs in the environment of requirements/chart.txt, which `tests.support.helm` starts; no helm needs to be installed.
Started once, since loading Helm takes longer than any rendering.
"""

import json
import sys
from typing import Any

from helm_python import HelmError
from helm_python.chart import Chart, lint


def main() -> None:
    """Answers until standard input ends."""
    for line in sys.stdin:
        try:
            answer = handled(json.loads(line))
        except HelmError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def handled(asked: dict[str, Any]) -> dict[str, Any]:
    """Does what one request asks."""
    if asked["do"] == "lint":
        return {"lint": lint(asked["chart"], asked["values"], strict=True, kube_version="v1.34.0")}
    with Chart.load(asked["chart"]) as chart:
        return {"rendered": chart.render(asked["values"], name=asked["name"], namespace=asked["namespace"])}


if __name__ == "__main__":
    main()

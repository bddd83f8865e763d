"""The values that the chart is rendered with: a file each, as a user gives it."""

import pytest

from tests.support.helm import CHART, ROOT, overlaid, values_of

CI = sorted((CHART / "ci").glob("*-values.yaml"))
KIND = ROOT / "deploy" / "values" / "kind.yaml"
PRODUCTION = ROOT / "deploy" / "values" / "production.yaml"
DIGESTS = values_of(CHART / "ci" / "production-values.yaml")["image"]["digests"]
MINE = {
    "image": {"registry": "registry.example/bookmill", "digests": DIGESTS},
    "objectStore": {"bundled": {"image": {"digest": DIGESTS["clean"]}}},
}
VALUES = {
    **{path.name.removesuffix("-values.yaml"): values_of(path) for path in CI},
    "deploy-kind": values_of(KIND),
    "deploy-production": overlaid(values_of(PRODUCTION), MINE),
}
every = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
"""For tests that hold whatever the values are."""

"""The clean text of a few small books. A change of it needs a new version of the step, and of the rule.

After a change that is meant: raise `cleaning.VERSION` and the rule's version, and record what the failure prints.
"""

import hashlib
import json
from pathlib import Path

from services.clean.cleaning import VERSION, clean_bytes
from services.clean.rules import RULES
from services.common.canonical import canonical_json

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))


def digests() -> dict[str, list[str]]:
    found = {}
    for path in sorted((HERE / "golden").glob("*.txt")):
        cleaned = clean_bytes(path.read_bytes())
        found[path.name] = [
            hashlib.sha256(cleaned.text.encode()).hexdigest(),
            hashlib.sha256(canonical_json(cleaned.report.to_json())).hexdigest(),
        ]
    return found


def test_equal_versions_give_equal_bytes() -> None:
    now = {"version": VERSION, "rules": {rule.name: rule.version for rule in RULES}, "digests": digests()}
    if now["digests"] != GOLDEN["digests"]:
        assert now["version"] != GOLDEN["version"], "the clean text changed and the step's version did not"
        assert now["rules"] != GOLDEN["rules"], "the clean text changed and no rule's version did"
    assert now == GOLDEN, f"a new version: record it in golden.json\n{json.dumps(now, indent=2)}"

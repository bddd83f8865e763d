"""The chart's README, made of the comments in its values.yaml: `python -m tests.support.values_table` writes it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.helm import CHART

README = CHART / "README.md"
_BEGIN, _END = "<!-- values: begin -->\n", "<!-- values: end -->\n"
_FIRST, _OTHERS = "services.ingest.", ("clean", "chunk", "train", "export", "gateway")


@dataclass(frozen=True, slots=True)
class Value:
    """One key of the values."""

    key: str
    """`objectStore.bundled.size`."""
    default: object
    meaning: str
    """Empty where nothing documents it."""


def values(text: str) -> list[Value]:
    """Reads the keys of a values file; one whose whole is documented is not looked into."""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, text.splitlines(), "", set()))


def undocumented(found: list[Value]) -> list[str]:
    """Gives the keys that nothing says anything of. What is said of ingest's holds for every service."""
    said = {value.key for value in found if value.meaning}
    return [value.key for value in found if value.key not in said and _of_ingest(value.key) not in said]


def table(found: list[Value]) -> str:
    """Writes the keys as Markdown."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for value in found:
        if _of_ingest(value.key) != value.key:
            continue  # one line for all services
        key, default = value.key, _shown(value.default)
        if key.startswith(_FIRST):
            same = [v for v in found if _of_ingest(v.key) == key]
            if any(v.default != value.default for v in same):
                default = ", ".join(f"{v.key.split('.')[1]} {_shown(v.default)}" for v in same)
            key = f"services.*.{key.removeprefix(_FIRST)}"
        meaning = value.meaning.replace("|", "\\|")
        lines.append(f"| `{key}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def readme(current: str) -> str:
    """Gives the README with the table as it should be."""
    before, rest = current.split(_BEGIN)
    _, after = rest.split(_END)
    found = values((CHART / "values.yaml").read_text(encoding="utf-8"))
    return f"{before}{_BEGIN}\n{table(found)}\n{_END}{after}"


def _values(node: yaml.MappingNode, lines: list[str], prefix: str, said: set[str]) -> Iterator[Value]:
    for key, value in node.value:
        name, meaning = f"{prefix}{key.value}", _comment(lines, key.start_mark.line)
        if meaning:
            said.add(name)
        whole = meaning or _of_ingest(name) in said
        if isinstance(value, yaml.MappingNode) and value.value and not whole:
            yield from _values(value, lines, f"{name}.", said)
        else:
            yield Value(name, yaml.safe_load(yaml.serialize(value)), meaning)


def _comment(lines: list[str], line: int) -> str:
    """The comment right above a line, from its `# --` on."""
    said: list[str] = []
    for above in reversed(lines[:line]):
        text = above.strip()
        if not text.startswith("#"):
            break
        said.insert(0, text.removeprefix("#").strip())
        if said[0].startswith("--"):
            said[0] = said[0].removeprefix("--").strip()
            return " ".join(said)
    return ""


def _of_ingest(key: str) -> str:
    match key.split("."):
        case ["services", service, *rest] if service in _OTHERS:
            return ".".join(["services", "ingest", *rest])
    return key


def _shown(default: object) -> str:
    return f"`{json.dumps(default, ensure_ascii=False)}`"


if __name__ == "__main__":
    path: Path = README
    path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")

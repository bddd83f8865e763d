"""Fails when the generated modules are not those of the protos, or when the protos break a release's."""

import filecmp
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"


def main() -> int:
    """Compares, and says what to do."""
    return compare_generated() or check_breaking()


def compare_generated() -> int:
    """Generates the modules elsewhere and compares them with those committed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        sources = sorted(str(p.relative_to(PROTOS)) for p in PROTOS.rglob("*.proto"))
        plugins = {"PATH": f"{sysconfig.get_path('scripts')}:/usr/bin:/bin"}
        kinds = [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
        kinds += [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *kinds, *sources]
        subprocess.run(command, env=plugins, check=True)
        made = {p.relative_to(out) for p in out.rglob("*_pb2*")}
        there = {p.relative_to(PROTOS) for p in PROTOS.rglob("*_pb2*.py*") if "__pycache__" not in p.parts}
        different = (made ^ there) | {p for p in made & there if not filecmp.cmp(out / p, PROTOS / p, shallow=False)}
    for path in sorted(different):
        print(f"protos/{path} is not what the protos give: run `make protos` and commit it")
    return 1 if different else 0


def check_breaking() -> int:
    """Holds the protos against the commit and the newest release."""
    tags = subprocess.run(
        ["git", "tag", "--list", "v*", "--sort=-version:refname"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in ("HEAD", *tags[:1]):
        buf = Path(sysconfig.get_path("scripts")) / "buf"
        against = f"{ROOT / '.git'}#ref={name},subdir=protos"
        if subprocess.run([buf, "breaking", str(PROTOS), "--against", against], check=False).returncode:
            print(f"the protos break {name}: clients of it would fail")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

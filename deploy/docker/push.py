"""`python3 -m deploy.docker.push`, of `make push`: pushes images, and writes their digests as values of the chart."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.kind.cluster import Failed, run

_SECONDS = 7200  # of one image: that of GPUs is 7 GB, and a line may be slow
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Pushes; 1 when the engine or the registry refused."""
    parser = argparse.ArgumentParser("python3 -m deploy.docker.push", description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="clean, chunk, …")
    parser.add_argument("--prefix", default="bookmill", help="before the images' names on this machine")
    parser.add_argument("--tag", default="dev")
    parser.add_argument("--registry", required=True, help="registry.example/bookmill")
    parser.add_argument("--values", type=Path, required=True, help="file that is written")
    options = parser.parse_args(arguments)
    try:
        digests = {
            name: push(f"{options.prefix}/{name}:{options.tag}", f"{options.registry}/{name}", options.tag)
            for name in options.images
        }
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    options.values.parent.mkdir(parents=True, exist_ok=True)
    options.values.write_text(values(options.registry, options.tag, digests), encoding="utf-8")
    print(f"helm install … --values {options.values}")
    return 0


def push(image: str, repository: str, tag: str) -> str:
    """Pushes an image of this machine.

    Args:
        image: its name here.
        repository: where to, without a tag.
        tag: there.

    Returns:
        The digest that the registry knows it by.

    Raises:
        Failed: there is no such image, or the registry refused it.
    """
    _docker("tag", image, f"{repository}:{tag}")
    print(f"{repository}:{tag}", flush=True)
    _docker("push", "--quiet", f"{repository}:{tag}")
    known = json.loads(_docker("image", "inspect", "--format={{json .RepoDigests}}", image))
    for name in known:
        if name.startswith(f"{repository}@") and (found := _DIGEST.search(name)):
            return found[0]
    raise Failed(f"{repository}:{tag} was pushed, and the engine names no digest of it: {known}")


def values(registry: str, tag: str, digests: dict[str, str]) -> str:
    """Writes values of the chart that pull just these images.

    Args:
        registry: what stands before each image's name.
        tag: of all.
        digests: by image.
    """
    lines = ["image:", f"  registry: {json.dumps(registry)}", f"  tag: {json.dumps(tag)}", "  digests:"]
    return "\n".join([*lines, *(f"    {name}: {digest}" for name, digest in digests.items()), ""])


def _docker(*arguments: str) -> str:
    return run(("docker", *arguments), timeout=_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

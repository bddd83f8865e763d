import os
import subprocess
import sys
from pathlib import Path

from services.jobs.locks import is_locked, try_lock


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    held = try_lock(path)
    assert held is not None
    assert is_locked(path)
    assert try_lock(path) is None, "nor by the same process"
    os.close(held)
    assert not is_locked(path)


def test_a_child_that_inherits_a_lock_holds_it_for_as_long_as_it_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = try_lock(path)
    assert held is not None
    program = [sys.executable, "-c", "input()"]
    with (
        subprocess.Popen(program, stdin=subprocess.PIPE, pass_fds=(held,)) as child,
        subprocess.Popen(program, stdin=subprocess.PIPE) as other,
    ):
        os.close(held)
        assert is_locked(path)
        child.kill()
        child.wait()
        assert not is_locked(path), "the other child did not inherit it"
        other.kill()

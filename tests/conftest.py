"""What tests need of the machine, and what they must not see of it.

`sandbox` tests need a bubblewrap that works, tried once per process: skipped with the reason where it does not, failed
in CI, where a skipped proof of isolation would look like a proof. `shared` tests read the real manifests beside the
checkout. No test sees the settings, keys or logs of whoever runs it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
OURS = ("LEARND_TEST_PRODUCER", "LEARND_REQUIRE_SANDBOX")
FOREIGN = ("LEARND_", "LEARNING_", "OPENAI_", "GIT_", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY")


def pytest_configure() -> None:
    """The operator's own learnd is not what is tested."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) and name not in OURS:
            del os.environ[name]


@lru_cache(maxsize=1)
def sandbox_fault() -> str | None:
    """Why replays cannot be isolated on this machine and what mends it; None where they can."""
    from learnd.lab.sandbox import Sandbox

    report = Sandbox("bubblewrap").self_test()
    return None if report.ok else f"{report.reason}. Next: {report.mend}"


def sandbox_required() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("LEARND_REQUIRE_SANDBOX") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("shared") and not SHARED.is_dir():
        pytest.skip(f"the real manifests are not at {SHARED}")
    if item.get_closest_marker("sandbox"):
        fault = sandbox_fault()
        if fault and sandbox_required():
            pytest.fail(f"no sandbox: {fault}", pytrace=False)
        if fault:
            pytest.skip(f"no sandbox: {fault}")

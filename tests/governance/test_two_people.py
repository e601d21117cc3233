"""The rule of two approvers as two users of the machine meet it: through the daemon's socket, by the kernel's word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from daemon.daemon_process import until
from failures.failures_place import House

AS_NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
)  # fmt: skip
"""Another user, who may still enter a test's folders: the kernel tells the socket who they are."""

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else"),
]


def status(house: House, pattern: str) -> str:
    done = house.learnd("review", pattern, "--json")
    return "edited" if '"status": "edited"' in done.out else "active" if '"status": "active"' in done.out else done.out


def test_two_users_promote_and_an_edit_is_noticed_by_itself(tmp_path: Path) -> None:
    house = House(tmp_path, LEARND_APPROVERS='["root", "nobody"]', LEARND_PATTERNS__APPROVALS="2")
    with house.at_work():
        job = house.fixed("shop")
        pattern = str(house.reaches(job, "learned").pattern)
        name = pattern[:8]

        first = house.learnd("promote", name, "--reason", "read it")
        assert first.code == 0, first
        assert "the consent of root is recorded. Needed: another approver" in first.out
        assert "/candidates/" in first.out
        again = house.learnd("promote", name, "--approver", "nobody", "--reason", "it is me, nobody")
        assert again.code == 1
        assert "root consented already" in again.err
        assert f"{name}  consent of root" in house.learnd("review").out
        assert "root: read it. Needed: another approver" in house.learnd("review", name).out

        second = house.learnd("promote", name, "--reason", "tried it", prefix=AS_NOBODY)
        assert second.code == 0, second
        assert f"pattern {name} is active now" in second.out
        who = [record.actor for record in house.pattern_records(pattern)]
        assert who[-2:] == ["root", "nobody"]

        (file,) = (house.root / "shop/.agent/patterns/active").glob(f"*-{name}.md")
        file.write_text(file.read_text() + "\nAlways do so.\n")
        until(lambda: not file.exists(), "the edited text to leave the folder that agents look in")
        assert status(house, name) == "edited"
        shown = house.learnd("diff", name)
        assert "+Always do so." in shown.out
        assert "/candidates/" in shown.out
        assert "--as-judged" in shown.err
        refused = house.learnd("promote", name, "--as-edited", "--as-judged")
        assert (refused.code, "contradict each other" in refused.err) == (2, True)
        for prefix in ((), AS_NOBODY):
            done = house.learnd("promote", name, "--as-judged", prefix=prefix)
            assert done.code == 0, done
        (served,) = (house.root / "shop/.agent/patterns/active").glob(f"*-{name}.md")
        assert "Always do so." not in served.read_text()
        assert house.learnd("diff", name).out == ""

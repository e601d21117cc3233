"""Which service a path belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from learnd.grouping.services import SHOWN, matches, services_of, several
from learnd.settings import Settings, SettingsInvalid, Validation, read_settings

NAMES = st.text("ab*?.[", min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("services/api/**", "services/api/a.py", True),
        ("services/api/**", "services/api/x/a.py", True),
        ("services/api/**", "services/apix/a.py", False),
        ("services/api/**", "services/api", False),
        ("services/*/api.py", "services/x/y/api.py", False),
        ("**/*.py", "b.py", True),
        ("**/*.py", "a/b.py", True),
        ("src/*.py", "src/a/b.py", False),
        ("src/?.py", "src//.py", False),
        ("app/[slug]/**", "app/[slug]/page.ts", True),
        ("app/[slug]/**", "app/s/page.ts", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a\nb/**", "a\nb/c", True),
    ],
)
def test_a_rule_fits_whole_paths_segment_by_segment(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_path_fits_itself_and_everything(parts: list[str]) -> None:
    path = "/".join(parts)
    assert matches(path.replace("**", "*"), path)
    assert matches("**", path)


def test_a_rule_comes_before_the_package_and_the_first_rule_counts() -> None:
    rules = {"api": ("services/api/**",), "all": ("services/**",)}
    files = {"services/api/pyproject.toml", "tools/gen/package.json"}
    paths = ["services/api/a.py", "services/web/b.py", "tools/gen/src/c.js", "README.md"]
    assert services_of(paths, files, rules) == ("./", "all", "api", "tools/gen/")


def test_the_nearest_package_counts_not_the_outermost() -> None:
    files = {"pyproject.toml", "libs/core/Cargo.toml", "libs/core/sub/go.mod"}
    assert services_of(["libs/core/sub/deep/x.go"], files, {}) == ("libs/core/sub/",)
    assert services_of(["libs/core/x.rs", "libs/core/y.rs"], files, {}) == ("libs/core/",)
    assert services_of(["libs/x.py"], files, {}) == ("./",)


def test_of_many_services_a_few_are_named() -> None:
    told = several([f"s{number}/" for number in range(20)])
    assert (len(told), told[-1]) == (SHOWN + 1, "12 more")


@pytest.mark.parametrize("mode", ["by-author", "", "Grouped", None, 1])
def test_any_other_grouping_is_refused(mode: object) -> None:
    with pytest.raises(ValidationError, match="is no way to group: runs are validated per-task, or grouped by service"):
        Validation.model_validate({"mode": mode})


@pytest.mark.parametrize(
    "services",
    [{"a/b": ("x",)}, {"api": ()}, {"api": ("/abs/**",)}, {"api": ("../x",)}, {"": ("x",)}, {"api": ("a//b",)}],
)
def test_a_service_has_a_plain_name_and_paths_inside_the_repository(services: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValidationError):
        Validation.model_validate({"services": services})


def test_the_operators_file_is_told_which_setting_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "learnd").mkdir()
    file = tmp_path / "learnd/config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file.write_text('[validation]\nmode = "by-author"\n')
    with pytest.raises(SettingsInvalid, match=r"validation\.mode.*'by-author' is no way to group"):
        read_settings()
    file.write_text('[validation]\nmode = "grouped"\n[validation.services]\nz = ["z/**"]\napi = ["services/api/**"]\n')
    assert list(read_settings().validation.services) == ["z", "api"], "the order of the file counts"
    assert Settings().validation.mode == "grouped"

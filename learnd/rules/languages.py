"""The languages that ast-grep has built in, and the endings of their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "Bash": ("sh", "bash"),
    "C": ("c", "h"),
    "Cpp": ("cc", "cpp", "cxx", "hpp", "hh", "hxx"),
    "CSharp": ("cs",),
    "Css": ("css",),
    "Elixir": ("ex", "exs"),
    "Go": ("go",),
    "Haskell": ("hs",),
    "Html": ("html", "htm"),
    "Java": ("java",),
    "JavaScript": ("js", "mjs", "cjs", "jsx"),
    "Json": ("json",),
    "Kotlin": ("kt", "kts"),
    "Lua": ("lua",),
    "Php": ("php",),
    "Python": ("py", "pyi"),
    "Ruby": ("rb",),
    "Rust": ("rs",),
    "Scala": ("scala", "sc"),
    "Swift": ("swift",),
    "Tsx": ("tsx",),
    "TypeScript": ("ts", "mts", "cts"),
    "Yaml": ("yml", "yaml"),
}
_OF_ENDING = {ending: language for language, endings in ENDINGS.items() for ending in endings}
_ALIASES = {
    **{language.lower(): language for language in ENDINGS},
    **{ending: language for ending, language in _OF_ENDING.items() if ending != "h"},
    "c++": "Cpp", "c#": "CSharp", "golang": "Go", "shell": "Bash",
}  # fmt: skip


def language_of(path: str) -> str | None:
    """The language of a file by its ending; None where ast-grep has none for it."""
    return _OF_ENDING.get(PurePosixPath(path).suffix.lstrip(".").lower())


def known_language(name: str) -> str | None:
    """A language by any of its names, as ast-grep writes it; None where it is not built in."""
    return _ALIASES.get(name.lower())

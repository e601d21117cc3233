"""Prompt packs: what the author `openai` is told, as a folder of files with one stamp.

A pack holds `pack.toml` (name, version, description), `instructions.md`, `few-shot.json` (pairs of `user` and
`assistant`) and `schema.json` (the reply's strict JSON schema). Its stamp, the sha256 of the whole folder, is
on every pattern it led to. The operator chooses the pack by name; a repository cannot, for agents write it.

Invariant: a loaded pack is usable. The schema asks for every field that a reply must have and for none that nobody
reads, and every example reply passes the validation that a model's reply must pass.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, cast

from pydantic import Field, TypeAdapter, ValidationError

from events.values import Value
from learnd.assets import AssetsMissing
from learnd.crystalizer.draft import Reply, ReplyInvalid, read_reply
from learnd.crystalizer.packs import where

_NEEDED: Final = frozenset(name for name, field in Reply.model_fields.items() if field.is_required())
_FILES_MAX: Final = 50
_BYTES_MAX: Final = 256 * 1024


class PackInvalid(Exception):
    """The folder is no usable prompt pack; the message names the file and what is wrong with it."""


class Example(Value):
    """One exchange shown to the model before the real one. `assistant` is the reply as JSON text."""

    user: Annotated[str, Field(min_length=1)]
    assistant: Annotated[str, Field(min_length=1)]


class _Head(Value):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    description: str = ""


@dataclass(frozen=True)
class Pack:
    """A validated prompt pack. `stamp` is the sha256 of the folder, lower-case hex."""

    name: str
    version: str
    instructions: str
    examples: tuple[Example, ...]
    schema: dict[str, object]
    stamp: str


@dataclass(frozen=True)
class Form:
    """What a pack asks a model to fill in. `read` raises ReplyInvalid for what is no such reply."""

    fields: frozenset[str]
    needed: frozenset[str]
    read: Callable[[object], object]


DRAFT: Final = Form(frozenset(Reply.model_fields), _NEEDED, read_reply)


def find_pack(name: str, form: Form = DRAFT) -> Pack:
    """The operator's pack of this name, else the shipped one. Raises PackInvalid."""
    try:
        return load_pack(where(name), form)
    except AssetsMissing as error:
        raise PackInvalid(f"prompt pack {name}: {error}") from error


def load_pack(folder: Path, form: Form = DRAFT) -> Pack:
    """Read and validate a pack. Raises PackInvalid."""
    files = _read(folder)
    try:
        head = _Head.model_validate(tomllib.loads(_text(folder, files, "pack.toml")))
        examples = TypeAdapter(tuple[Example, ...]).validate_json(_text(folder, files, "few-shot.json"))
        schema = TypeAdapter(dict[str, object]).validate_json(_text(folder, files, "schema.json"))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise PackInvalid(f"prompt pack {folder}: {_first(error)}") from error
    if head.name != folder.name:
        raise PackInvalid(f"prompt pack {folder}: pack.toml names it {head.name!r}; folder and name must agree")
    instructions = _text(folder, files, "instructions.md").strip()
    if not instructions:
        raise PackInvalid(f"prompt pack {folder}: instructions.md is empty")
    _check_schema(folder, schema, form)
    _check_examples(folder, examples, form)
    return Pack(head.name, head.version, instructions, examples, schema, stamp(files))


def stamp(files: dict[str, bytes]) -> str:
    """sha256 over names and contents, sorted by name, each with its length so that no two folders agree."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(f"{len(part)}\0".encode())
            digest.update(part)
    return digest.hexdigest()


def _read(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its relative name. Links are refused: the stamp must cover what is read."""
    if not folder.is_dir() or folder.is_symlink():
        raise PackInvalid(
            f"prompt pack {folder}: no such folder. Next: set prompt_pack to one that `learnd packs` names"
        )
    files: dict[str, bytes] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PackInvalid(f"prompt pack {folder}: {name} is neither a file nor a folder")
        if path.is_dir():
            continue
        files[name] = path.read_bytes()
        size += len(files[name])
        if len(files) > _FILES_MAX or size > _BYTES_MAX:
            raise PackInvalid(f"prompt pack {folder}: more than {_FILES_MAX} files or {_BYTES_MAX // 1024} KiB")
    return files


def _text(folder: Path, files: dict[str, bytes], name: str) -> str:
    if name not in files:
        raise PackInvalid(f"prompt pack {folder}: {name} is missing")
    try:
        return files[name].decode()
    except UnicodeDecodeError as error:
        raise PackInvalid(f"prompt pack {folder}: {name} is not UTF-8: {error}") from error


def _first(error: tomllib.TOMLDecodeError | ValidationError) -> str:
    """What is wrong first, on one line."""
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"pack.toml: {error}"
    first = error.errors(include_input=False, include_url=False)[0]
    file = {"_Head": "pack.toml", "dict[str,object]": "schema.json"}.get(error.title, "few-shot.json")
    return ": ".join((file, *(str(part) for part in first["loc"]), first["msg"]))


def _check_schema(folder: Path, schema: dict[str, object], form: Form) -> None:
    """Strict structured output wants a closed object with every property required."""
    properties = schema.get("properties")
    named = set(cast("dict[str, object]", properties)) if isinstance(properties, dict) else set()
    required = schema.get("required")
    problems = [
        (schema.get("type") != "object", "type must be object"),
        (schema.get("additionalProperties") is not False, "additionalProperties must be false"),
        (not named >= form.needed, f"properties must hold {', '.join(sorted(form.needed - named))}"),
        (not named <= form.fields, f"nobody reads {', '.join(sorted(named - form.fields))}"),
        (not isinstance(required, list) or set(map(str, required)) != named, "every property must be required"),
    ]
    for wrong, reason in problems:
        if wrong:
            raise PackInvalid(f"prompt pack {folder}: schema.json: {reason}")


def _check_examples(folder: Path, examples: tuple[Example, ...], form: Form) -> None:
    for number, example in enumerate(examples, 1):
        try:
            form.read(json.loads(example.assistant))
        except (ReplyInvalid, ValueError) as error:
            raise PackInvalid(f"prompt pack {folder}: few-shot.json, example {number}: {error}") from error

"""Where the log and the daemon's socket are, found without reading all of the settings.

Order: `--log`; the settings' `state_dir` (`LEARND_STATE_DIR`, then the configuration file); the user's own
state directory; that of the system service `learnd@USER`, when the user has no log and the service has one. Only
looks: a log is made by those who write it, never by who asks where it is.
"""

from __future__ import annotations

import os
import pwd
import tomllib
from dataclasses import dataclass
from pathlib import Path

NAME = "events.db"
ANCHORS = "anchors.jsonl"
SYSTEM_STATE = Path("/var/lib/learnd")
SYSTEM_SOCKETS = Path("/run/learnd")
SYSTEM_CONFIG = Path("/etc/learnd")
"""Of `learnd@.service`; below each, a folder per instance, named like its user."""


class ConfigUnreadable(Exception):
    """The configuration file is no TOML; the message says where it stops being it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A log and the folders in which a daemon that writes it may have its socket, likeliest first."""

    log: Path
    sockets: tuple[Path, ...]

    @property
    def state_dir(self) -> Path:
        return self.log.parent

    def has_log(self) -> bool:
        """Whether there is a log. One that may not be looked at counts as there."""
        try:
            self.log.stat()
        except PermissionError:
            return True
        except OSError:
            return False
        return True


def find(log: Path | None = None) -> Place:
    """The place that a verb works on. `log` is `--log`: a log, or the folder that one is in.

    Raises ConfigUnreadable.
    """
    if log is not None:
        # A name that is not there yet is a folder's, unless it is that of a file.
        file = log if log.suffix or log.is_file() else log / NAME
        return _place(file.absolute())
    configured = os.environ.get("LEARND_STATE_DIR") or _configured()
    if configured:
        return _place(Path(configured).absolute() / NAME)
    own = _place(default_state_dir() / NAME)
    system = _place(SYSTEM_STATE / _own_name() / NAME)
    return system if not own.has_log() and system.has_log() else own


def default_state_dir() -> Path:
    """`$STATE_DIRECTORY` (systemd), else `$XDG_STATE_HOME/learnd`, else `~/.local/state/learnd`."""
    systemd = os.environ.get("STATE_DIRECTORY")
    if systemd:
        return Path(systemd.split(":", maxsplit=1)[0])
    xdg = os.environ.get("XDG_STATE_HOME")
    return Path(xdg) / "learnd" if xdg else Path.home() / ".local/state/learnd"


def _place(log: Path) -> Place:
    more = (SYSTEM_SOCKETS / log.parent.name,) if log.parent.parent == SYSTEM_STATE else ()
    return Place(log, (log.parent, *more))


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def config_file() -> Path | None:
    """The operator's configuration file; None where there is none.

    The user's (`$XDG_CONFIG_HOME`), that of the user's instance of the system service, the system's: the first that
    is there. Within the service (`$CONFIGURATION_DIRECTORY`) the user's is not asked: root says how it works.
    """
    home = os.environ.get("XDG_CONFIG_HOME")
    user = (Path(home) if home else Path.home() / ".config") / "learnd"
    service = os.environ.get("CONFIGURATION_DIRECTORY")
    own = [Path(service.split(":", maxsplit=1)[0])] if service else [user, SYSTEM_CONFIG / _own_name()]
    return next((file for folder in (*own, SYSTEM_CONFIG) if (file := folder / "config.toml").is_file()), None)


def _configured() -> str | None:
    file = config_file()
    if file is None:
        return None
    try:
        value = tomllib.loads(file.read_text()).get("state_dir")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigUnreadable(f"{file} cannot be read: {error}. Next: mend it, or move it away") from error
    return value if isinstance(value, str) else None

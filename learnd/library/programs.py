"""Programs that a shell line begins with."""

from __future__ import annotations

from typing import Final

_PROGRAMS = """
apt apt-get awk aws az bash brew bundle bunx bzip2 cargo cat certutil chgrp chmod chown chroot composer conda cp
crontab curl cut dash date dd deno dnf docker docker-compose dotnet doas echo env eval exec export fdisk find firefox
fish ftp gcc gcloud gem gh git glab go gpg gradle grep gsutil gunzip gzip head helm history iex invoke-webrequest
invoke-expression iptables iwr java journalctl kill killall kubectl launchctl less ln ls lsof make mkdir mkfs mongo
mongosh mount mv mvn mysql nano nc ncat netcat nice nix nmap node nohup npm npx openssl osascript pacman perl php ping
pip pip3 pipx pkill pnpm podman poetry powershell printenv ps psql pwsh pytest python python2 python3 rake redis-cli
reg rm rmdir rsync ruby rustup scp screen sed set sftp sh shred shutdown socat source sqlite3 ssh ssh-add ssh-keygen
strace su sudo svn systemctl tail tar tee telnet terraform tmux touch truncate twine umount unzip useradd usermod uv
uvx vi vim visudo watch wget whoami xargs yarn yum zip zsh
"""
PROGRAMS: Final = frozenset(_PROGRAMS.split())
_ALSO_WORDS = """
cat cut date env exec export find go head history kill less make mount nano nice node ping reg screen set source tail
tar tee touch truncate watch zip echo fish dash strace eval shred shutdown gem composer conda java
"""
ALSO_WORDS: Final = frozenset(_ALSO_WORDS.split())
"""Programs whose names are words of prose: there they are commands only with an option or a path behind them."""

"""`python -m learnd`, the same as the command `learnd`."""

from learnd.cli import main

main()

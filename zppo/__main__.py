"""`python -m zppo` is the command `zppo`."""

from zppo.cli import main

main()

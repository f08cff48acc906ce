"""`python -m specframe` is the `specframe` command."""

from specframe.commands.cli import main

main()

"""`specframe` as it is called in a terminal, within this process."""

import sys

import pytest

from specframe.commands import cli


def specframe(monkeypatch, *arguments):
    """The exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["specframe", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)

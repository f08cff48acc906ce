"""`specframe` and `python -m specframe`: what Ctrl-C does is set up before anything is imported."""

from specframe.commands.interrupts import ending_imports

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    with ending_imports():
        from specframe.commands import cli

        cli.main()


if __name__ == "__main__":
    main()

"""`specframe` and `python -m specframe`: sets up Ctrl-C before anything else is imported."""

from specframe.commands.interrupts import ending_imports

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    with ending_imports():
        from specframe.commands import cli

        cli.main()


if __name__ == "__main__":
    main()

"""Command lines that are refused, and parts of the messages, by command.

Each command has two tables: what is refused before a model is loaded, and what is refused after
that, before anything is measured.
"""

from bad_input import calibrate, compare, generate, measure, research

COMMANDS = (generate, calibrate, measure, compare, research)
BEFORE_LOADING = [case for command in COMMANDS for case in command.BEFORE_LOADING]
BEFORE_PRICING = [case for command in COMMANDS for case in command.BEFORE_PRICING]

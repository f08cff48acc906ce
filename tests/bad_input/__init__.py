"""Command lines that are refused, and what is told, by command.

Each command has two tables: of what needs no model to be refused, and of what is refused as soon as
the model is known, before anything is measured.
"""

from bad_input import calibrate, compare, generate, measure, research

COMMANDS = (generate, calibrate, measure, compare, research)
BEFORE_LOADING = [case for command in COMMANDS for case in command.BEFORE_LOADING]
BEFORE_PRICING = [case for command in COMMANDS for case in command.BEFORE_PRICING]

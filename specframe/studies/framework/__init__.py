"""What every study shares: its description, its rows, and how it is run and resumed."""

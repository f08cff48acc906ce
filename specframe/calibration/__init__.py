"""What a strategy may measure before it is used."""

"""What a strategy will gain on this machine, told before it is measured."""

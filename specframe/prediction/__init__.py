"""What a strategy will gain on this machine, predicted before it is measured."""

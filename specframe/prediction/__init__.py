"""What a selector will gain on this machine, told before it is measured."""

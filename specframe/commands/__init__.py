"""The commands of the `specframe` program, one file each; a file offers `register(app)`."""

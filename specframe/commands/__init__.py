"""The commands of the `specframe` program, one file each."""

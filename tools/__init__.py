"""What keeps this repository up to date; no part of the program."""

"""The command line, a module for each command: `main` is where it begins."""

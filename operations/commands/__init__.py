"""The commands of `habeas`, a module for each family."""

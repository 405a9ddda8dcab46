"""The tests; a package, so that no other of this name in the environment is taken for it."""

"""The map files."""

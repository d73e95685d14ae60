"""Bytes to sealed bytes and back, and who can open them."""

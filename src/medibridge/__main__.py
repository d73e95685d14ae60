"""``python -m medibridge``."""

from medibridge.cli import main

if __name__ == "__main__":
    main()

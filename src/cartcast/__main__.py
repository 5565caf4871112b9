"""`python -m cartcast` is the command `cartcast`."""

from cartcast.cli import main

if __name__ == "__main__":
    main()

"""``python -m chainlab``: the command line."""

from chainlab.cli import main

if __name__ == "__main__":
    main()

"""`python -m earwitness` is the command `earwitness`."""

from earwitness.cli.main import main

if __name__ == "__main__":
    main()

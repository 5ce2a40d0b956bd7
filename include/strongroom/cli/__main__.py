"""`python -m strongroom.cli` is `strongroom`."""

from strongroom.cli.app import main

main()

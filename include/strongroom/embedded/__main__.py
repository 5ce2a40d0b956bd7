"""`python -m strongroom.embedded up|down|status|logs|clean|tools`: what the Makefile calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from strongroom.embedded.folder import StateFolder, state_folder
from strongroom.errors import StrongroomError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, state_folder())
    except StrongroomError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted. What was started stays: make up goes on, make down stops it.", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace, folder: StateFolder) -> int:
    from strongroom.embedded import down, report, up

    if options.command == "up":
        up.up(folder, up.UpOptions(options.customers, backup=not options.no_backup))
    elif options.command == "down":
        stopped = down.down(folder)
        print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")
    elif options.command == "clean":
        return _clean(folder)
    elif options.command == "status":
        return 0 if report.print_status(folder) else 1
    elif options.command == "logs":
        report.print_logs(folder, options.part)
    else:
        return 0 if report.check_tools() else 1
    return 0


def _clean(folder: StateFolder) -> int:
    from strongroom.embedded.down import down

    if not folder.exists():
        print("There is nothing to remove.")
        return 0
    down(folder)
    folder.remove()
    print(f"Removed {folder.link}: the sample shop, the bucket with its backups, keys, logs, passwords.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m strongroom.embedded")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start everything, back up the sample shop, prove the backup")
    start.add_argument("--customers", type=int, default=20_000, help="size of the sample shop")
    start.add_argument("--no-backup", action="store_true", help="only start the parts")
    commands.add_parser("down", help="stop everything that up started")
    commands.add_parser("clean", help="the same, and remove all data")
    commands.add_parser("status", help="show each part")
    logs = commands.add_parser("logs", help="show the logs' ends, or follow one")
    logs.add_argument("part", nargs="?", help="a part's name")
    commands.add_parser("tools", help="say which programs tests will miss")
    return parser


if __name__ == "__main__":
    sys.exit(main())

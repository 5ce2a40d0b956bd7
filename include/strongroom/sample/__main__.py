"""`python -m strongroom.sample`: load the sample company into an empty database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date

from strongroom.clock import SystemClock
from strongroom.errors import StrongroomError
from strongroom.sample.loading import SampleSummary, load_sample
from strongroom.sample.sizes import customers_for_bytes, parse_size_bytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the sample as the command line says.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        customers = options.customers
        if options.bytes:
            customers = customers_for_bytes(parse_size_bytes(options.bytes))
        summary = load_sample(
            options.conninfo,
            customers=customers,
            seed=options.seed,
            reference=options.reference or SystemClock().now().date(),
            progress=_show if sys.stderr.isatty() else None,
        )
    except StrongroomError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(_table(summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m strongroom.sample",
        description="Load the sample company Meridian Shop into an empty PostgreSQL database.",
    )
    parser.add_argument("conninfo", help="the database, e.g. 'host=/run/pg dbname=shop user=postgres'")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--customers", type=int, default=20_000, help="size in customers (default: 20000)")
    size.add_argument("--bytes", metavar="SIZE", help="size of the database on disk instead, e.g. 5GB")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another company (default: 1)")
    parser.add_argument(
        "--reference",
        type=date.fromisoformat,
        metavar="DATE",
        help="history covers the ten years before this day (default: today)",
    )
    return parser


def _show(stage: str, fraction: float) -> None:
    sys.stderr.write(f"\r\033[K{fraction:4.0%} {stage}" + ("\n" if fraction >= 1 else ""))
    sys.stderr.flush()


def _table(summary: SampleSummary) -> str:
    lines = [f"{name:34}{count:>14,}" for name, count in sorted(summary.rows.items())]
    rate = summary.copied_bytes / 1e6 / max(summary.seconds, 0.001)
    ending = (
        f"Loaded {summary.copied_bytes / 1e6:,.0f} MB of rows in {summary.seconds:.1f} s ({rate:.0f} MB/s)."
        if summary.loaded
        else "The sample was there already; nothing was changed."
    )
    return "\n".join([*lines, ending])


if __name__ == "__main__":
    sys.exit(main())

"""The sample company, Meridian Shop: a database of made-up people and orders to protect, restore and erase.

Nothing in it belongs to a real person: names come from word lists, e-mail addresses from reserved domains,
telephone numbers from ranges kept for fiction, network addresses from those set aside for documentation.
"""

from strongroom.sample.errors import SampleExistsError, SampleSizeError
from strongroom.sample.loading import Progress, SampleSummary, load_sample
from strongroom.sample.sizes import customers_for_bytes, parse_size_bytes
from strongroom.sample.world import SampleSpec

__all__ = [
    "Progress",
    "SampleExistsError",
    "SampleSizeError",
    "SampleSpec",
    "SampleSummary",
    "customers_for_bytes",
    "load_sample",
    "parse_size_bytes",
]

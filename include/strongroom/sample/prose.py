"""What customers and staff write: sentences put together from phrases, with numbers and names in them.

Nothing here needs escaping in COPY's text format: no tab, no backslash; a line break is written as its escape.
"""
# ruff: noqa: E501 - lists of phrases read best on one line

from __future__ import annotations

from functools import lru_cache
from random import Random

from strongroom.sample.randomness import SLOTS, Wheel, stream, words

_OPENINGS = (
    "I ordered this for my sister and", "Last Tuesday", "To be honest,", "As I said on the phone,", "Sadly",
    "The courier told me that", "After three weeks", "Bonjour,", "Good morning,", "Hello again,", "For the record,",
    "According to the invoice", "Compared with last year", "We looked into it and", "My neighbour says that",
    "Without any warning", "Since the update", "Just to confirm:", "On second thought", "Many thanks;",
    "Nach drei Tagen:", "Beste klantenservice,", "Our warehouse reports that", "When it finally came,",
)  # fmt: skip
_MIDDLES = (
    "the parcel was left with somebody else", "the box was open on one side", "the colour is not what the picture shows",
    "everything works as described", "the lid does not close properly", "the refund has been booked",
    "the size runs rather small", "the handle came off within a week", "the second item is missing",
    "we have sent a replacement", "the instructions are only in Polish", "the battery lasts two days at most",
    "the discount was not applied", "the fabric feels better than expected", "the tracking page shows nothing",
    "the glass arrived in pieces", "your colleague promised a call back", "the price went up while I was paying",
    "the order was charged twice", "the seams are already coming apart", "it fits perfectly under the window",
    "the smell is gone after one wash", "nobody was at home", "the label carries the wrong street",
    "the spare part is out of stock", "delivery was a day early", "customs kept it for a while",
    "het pakket is nooit aangekomen", "la livraison était très rapide", "die Rechnung stimmt nicht",
    "el color es precioso", "paczka przyszła uszkodzona",
)  # fmt: skip
_ENDINGS = (
    "and I would like my money back.", "so thank you very much!", "which is a pity.", "and that is all I ask.",
    "- could you please check?", "so I will order again.", "but that is my own fault.", "and nobody answers.",
    "as far as I can see.", "so please cancel the rest.", "and the children love it.", "in spite of the photo.",
    "and it still is.", "which surprised us all.", "but we can live with that.", "and we are sorry for that.",
    "so five stars from me.", "and I kept the receipt.", "at least for now.", "before the end of the month.",
    "and you will hear from us by Friday.", "so three stars.", "if that is all right with you.", "once more.",
)  # fmt: skip
SUBJECTS = (
    "Parcel did not arrive", "Wrong size", "Invoice for order", "Refund", "Damaged on arrival", "Change of address",
    "Question about a product", "Charged twice", "Cannot sign in", "Delete my account", "Gift card", "Complaint",
)  # fmt: skip
USER_AGENTS = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) {browser}/{version}.0"
    for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 14_4", "iPhone; CPU iPhone OS 17_5")
    for browser in ("Chrome", "Firefox", "Edg")
    for version in (96, 103, 118, 124, 127)
)  # fmt: skip


@lru_cache(maxsize=1)
def sentences() -> list[str]:
    """65,536 sentences, most of them different; the same list for every seed."""
    source = stream(0, "sentences")
    parts = (Wheel(choices).draw(source, SLOTS) for choices in (_OPENINGS, _MIDDLES, _ENDINGS))
    numbers = words(source, SLOTS)
    return [
        f"{opening} {middle} {ending}" if number & 3 else f"{opening} {middle} ({number}) {ending}"
        for opening, middle, ending, number in zip(*parts, numbers, strict=True)
    ]


def paragraphs(source: Random, count: int, shortest: int, longest: int) -> list[str]:
    """`count` texts of `shortest` to `longest` sentences each."""
    pool = sentences()
    picks = iter(words(source, count * longest))
    spread = longest - shortest + 1
    texts = []
    for _ in range(count):
        first = next(picks)
        more = shortest - 1 + first % spread
        texts.append(" ".join([pool[first], *[pool[next(picks)] for _ in range(more)]]))
    return texts


def single_sentences(source: Random, count: int) -> list[str]:
    """`count` texts of one sentence."""
    return list(map(sentences().__getitem__, words(source, count)))

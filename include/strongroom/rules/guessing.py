"""Guessing what a column holds, from its name, its type and the shape of its content.

A strong guess stands alone. A weak one (a city, a job title, a remark) counts only in a table that is about people
for another reason: where an address's country is personal, a list of countries is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.rules.catalogue import LiveColumn, LiveTable
from strongroom.rules.replacements import is_constant, misfit
from strongroom.rules.sampling import Shape

_STRONG = (
    (r"e_?mails?|mail|mail_address|email_addr(ess)?", "user.contact.email"),
    (r"(first|given|fore)_?name|forename", "user.name.first"),
    (r"(last|family|sur)_?name", "user.name.last"),
    (
        r"(full|middle|maiden|nick|display|legal|contact|customer|client|person|payer|payee|author|reviewer|patient"
        r"|employee|holder|recipient|sender|guest|owner|billing|shipping|cardholder)_?name|initials",
        "user.name",
    ),
    (r"user_?name|login(_name)?|screen_name", "user.account.username"),
    (r"pass(word|wd)?(_?(hash|salt|digest))?|pwd|encrypted_password", "user.authorization.password"),
    (
        r"(api_?key|access_token|refresh_token|auth_token|session_token|otp_secret)",
        "user.authorization.credentials",
    ),
    (r"(mobile|phone|telephone|cell|tel)(_?(number|no|nr|num))?", "user.contact.phone_number"),
    (r"fax(_?(number|no|nr|num))?", "user.contact.fax_number"),
    (r"dob|birth_?da(te|y)|date_of_birth|born(_on)?", "user.demographic.date_of_birth"),
    (r"gender|sex", "user.demographic.gender"),
    (r"marital_?status", "user.demographic.marital_status"),
    (r"religion", "user.demographic.religious_belief"),
    (r"nationality|ethnicity|race", "user.demographic.race_ethnicity"),
    (
        r"street(_?(name|address))?|address_?(line)?_?[1-4]?|addr(ess)?|house_?(number|no)|ship_to|bill_to",
        "user.contact.address.street",
    ),
    (r"ip(_?addr(ess)?)?|remote_?(addr|ip)|client_ip", "user.device.ip_address"),
    (r"user_?agent|device_?id|advertising_id", "user.device"),
    (r"iban|bank_?account(_?(no|number))?|bic|sort_?code", "user.financial.bank_account"),
    (r"(credit_?)?card_?(number|no|num|last_?4|pan)|cvv|cvc|cc_?number", "user.financial.credit_card"),
    (r"passport(_?(no|number))?", "user.government_id.passport_number"),
    (
        r"ssn|bsn|national_?(insurance_?)?(id|number)|social_security(_number)?|tax_?id|nif|personnummer",
        "user.government_id.national_identification_number",
    ),
    (r"driv(er|ing)s?_?licen[cs]e(_?(no|number))?", "user.government_id.drivers_license_number"),
    (r"diagnosis|medication|blood_?(type|group)|allerg(y|ies)", "user.health_and_medical"),
)

_WEAK = (
    (r"city|town|place|municipality", "user.contact.address.city"),
    (r"state|province|district|county|region", "user.contact.address.state"),
    (r"(postal|zip|post)_?(code)?|postcode", "user.contact.address.postal_code"),
    (r"country(_code)?", "user.contact.address.country"),
    (r"lat(itude)?|lon(gitude)?|lng|geo(location|m)?", "user.location.precise"),
    (r"picture|photo|avatar|portrait|image", "user.content.self_image"),
    (r"job_?title|position|occupation", "user.job_title"),
    (r"department|salary|wage|hired?_?(on|at|date)", "user.workplace"),
    (r"bio|about(_me)?", "user.content.public"),
    (r"preferences|settings", "user.account.settings"),
)

_FREE_TEXT = re.compile(
    r".*(comment|remark|note|message|body|review|feedback|complaint|subject|reason|memo|letter|text|content)s?"
)
_SHAPES = {
    Shape.EMAIL: ("user.contact.email", "the content looks like e-mail addresses"),
    Shape.PHONE: ("user.contact.phone_number", "the content looks like phone numbers"),
    Shape.IP: ("user.device.ip_address", "the content looks like IP addresses"),
    Shape.IBAN: ("user.financial.bank_account", "the content looks like bank accounts"),
    Shape.MENTIONS_EMAIL: ("user.content.private", "e-mail addresses stand inside the content"),
}
_ERASED = "[erased]"


@dataclass(frozen=True)
class Guess:
    """What a column probably holds."""

    category: str
    why: str


def strong_guess(column: LiveColumn, shape: Shape | None) -> Guess | None:
    """What the column holds by its name or its content alone; None where neither says anything."""
    by_content = _SHAPES.get(shape) if shape else None
    if by_content and shape is not Shape.MENTIONS_EMAIL:
        return Guess(*by_content)
    if _can_hold(column):
        for pattern, category in _STRONG:
            if re.fullmatch(f"(.*_)?({pattern})", snake(column.name)):
                return Guess(category, "by its name")
    return Guess(*by_content) if by_content else None


def weak_guess(column: LiveColumn) -> Guess | None:
    """What the column holds if its table is about people."""
    if not _can_hold(column):
        return None
    if column.name.lower() == "name":
        return Guess("user.name", "by its name, in a table about people")
    for pattern, category in _WEAK:
        if re.fullmatch(f"(.*_)?({pattern})", snake(column.name)):
            return Guess(category, "by its name, in a table about people")
    if column.type_class == "S" and column.max_length is None and _FREE_TEXT.fullmatch(snake(column.name)):
        return Guess("user.content.private", "free text in a table about people")
    return None


def erase_method(column: LiveColumn, category: str, live: LiveTable, refused: frozenset[str]) -> str:
    """The first fitting way to erase such a column; `with_row` where none is left.

    Args:
        column: the column.
        category: what it holds.
        live: its table.
        refused: methods that the database was found to refuse.
    """
    for method in _methods(column, category):
        if method not in refused and misfit(method, column) is None and not _collides(method, column, live):
            return method
    return "generated" if column.generated else "with_row"


def snake(name: str) -> str:
    """The name in small letters with underscores between its words: `firstName` is `first_name`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+", "_", name)
    return re.sub("_+", "_", spaced).lower()


def _can_hold(column: LiveColumn) -> bool:
    """Whether a value of the type can be about a person at all: flags cannot, and a number only by a strong name."""
    return column.type_class not in ("B", "E", "R", "T")


def _methods(column: LiveColumn, category: str) -> Iterator[str]:
    if category == "user.contact.email":
        yield "random_email"
    if category == "user.device.ip_address":
        yield "random_ip"
    if not column.not_null and not category.startswith(("user.name", "user.contact.address")):
        yield "set_null"
    if column.type_class == "S":
        yield from (_ERASED, "random_text", "random_digits")
    yield from ("set_empty", "random_uuid", "random_bytes", "random_ip")
    if category.startswith("user.demographic.date") or column.type_class == "D":
        yield "year_only"
    yield from ("set_null", "set_zero")


def _collides(method: str, column: LiveColumn, live: LiveTable) -> bool:
    in_keys = [key for key in live.keys if column.name in key.columns]
    if any(key.primary for key in in_keys):
        return True
    return any(key.columns == (column.name,) and is_constant(method) for key in in_keys)

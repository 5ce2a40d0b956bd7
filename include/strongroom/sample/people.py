"""Who customer number 4711 is: name, e-mail, home and referrer follow from the number and the seed alone.

Any table can so name any customer without a table of people in memory. Customers come in cohorts of 400;
within a cohort ten neighbours (after a shuffle) live in six homes, so households of one, two and three occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from strongroom.sample.randomness import Wheel, scattered
from strongroom.sample.words import EMAIL_DOMAINS, LOCALES, Locale, display_and_mail

COHORT = 400
_HOMES = (0, 1, 1, 2, 3, 3, 3, 4, 5, 5)
_HOMES_PER_COHORT = COHORT // len(_HOMES) * 6
_STRIDE = 37
_REMEMBERED = 65_536
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Home:
    """Where a household lives."""

    address_id: int
    street: str
    postal_code: str
    city: str
    country: str


class People:
    """All the people of one sample.

    Args:
        seed: the sample's seed; another seed names other people.
    """

    def __init__(self, seed: int) -> None:
        self._salt = seed * 1_000
        self._person = lru_cache(_REMEMBERED)(self._find_person)
        self.home_line = lru_cache(_REMEMBERED)(self._home_line)
        self._families = Wheel(*_family_shares())
        self._given = {
            locale.country: Wheel([display_and_mail(name) for name in locale.given]) for locale in LOCALES
        }

    def home_id(self, customer_id: int) -> int:
        """The address the customer's household lives at."""
        cohort, position = divmod(customer_id - 1, COHORT)
        group, member = divmod(position * _STRIDE % COHORT, len(_HOMES))
        return cohort * _HOMES_PER_COHORT + group * 6 + _HOMES[member] + 1

    def name(self, customer_id: int) -> str:
        """The full name, in the order that the person's country writes it."""
        locale, given, family = self._person(customer_id)
        return f"{family[0]} {given[0]}" if locale.family_first else f"{given[0]} {family[0]}"

    def email(self, customer_id: int) -> str:
        """The e-mail address the customer is registered with; nobody else has it."""
        _, given, family = self._person(customer_id)
        domain = EMAIL_DOMAINS[scattered(customer_id, self._salt + 3) % 3]
        return f"{given[1]}.{family[1]}.{_base36(customer_id)}@{domain}"

    def other_email(self, customer_id: int) -> str:
        """A second, private address of the same person."""
        _, given, family = self._person(customer_id)
        number = scattered(customer_id, self._salt + 4) % 90 + 10
        return f"{family[1]}{number}{given[1][:1]}{_base36(customer_id)}@example.net"

    def reader_email(self, number: int) -> str:
        """The address of somebody who reads the newsletter and never became a customer."""
        _, given, family = self._person(number + (1 << 40))
        return f"{given[1]}-{family[1]}-{_base36(number)}@{EMAIL_DOMAINS[number % 3]}"

    def phone(self, customer_id: int) -> str:
        """A number from a range that is kept for fiction."""
        return _digits(self.locale(customer_id).phone, scattered(customer_id, self._salt + 5))

    def locale(self, customer_id: int) -> Locale:
        """The country whose language and customs the customer has."""
        return self._person(customer_id)[0]

    def referrer(self, customer_id: int) -> int | None:
        """The earlier customer who brought this one along, for one in four; so chains arise."""
        drawn = scattered(customer_id, self._salt + 6)
        if customer_id == 1 or drawn % 4:
            return None
        return customer_id - 1 - (drawn >> 2) % min(customer_id - 1, 5_000)

    def home(self, address_id: int) -> Home:
        """Street, town and country of an address."""
        locale = self._families.at(scattered(address_id, self._salt + 1))[0]
        drawn = scattered(address_id, self._salt + 7)
        street = locale.street.format(
            name=locale.streets[drawn % len(locale.streets)], number=drawn // 8 % 180 + 1
        )
        city = locale.cities[drawn // 2048 % len(locale.cities)]
        postal = _digits(locale.postal, scattered(address_id, self._salt + 8))
        return Home(address_id, street, postal, city, locale.country)

    def _home_line(self, customer_id: int) -> str:
        """The customer's address in one line, as on a parcel."""
        home = self.home(self.home_id(customer_id))
        return f"{home.street}, {home.postal_code} {home.city}, {home.country}"

    def staff(self, staff_id: int) -> tuple[str, str]:
        """Name and e-mail of somebody who works for the shop."""
        _, given, family = self._person(staff_id + (1 << 41))
        return f"{given[0]} {family[0]}", f"{given[1]}.{family[1]}{staff_id}@staff.example.com"

    def _find_person(self, customer_id: int) -> tuple[Locale, tuple[str, str], tuple[str, str]]:
        drawn = scattered(customer_id, self._salt + 2)
        # One in nine keeps a name of their own; the others share their household's.
        bearer = self.home_id(customer_id) if drawn % 9 else customer_id + (1 << 42)
        locale, family = self._families.at(scattered(bearer, self._salt + 1))
        return locale, self._given[locale.country].at(drawn >> 8), family


def _family_shares() -> tuple[list[tuple[Locale, tuple[str, str]]], list[int]]:
    values, weights = [], []
    for locale in LOCALES:
        for rank, name in enumerate(locale.family):
            values.append((locale, display_and_mail(name)))
            weights.append(locale.weight * 1_000 // (rank + 6))
    return values, weights


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text


def _digits(pattern: str, number: int) -> str:
    """Put the digits of a number in place of each `#`, last digit first."""
    text = []
    for letter in pattern:
        if letter == "#":
            number, digit = divmod(number, 10)
            letter = str(digit)
        text.append(letter)
    return "".join(text)

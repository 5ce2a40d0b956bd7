"""What a policy says about people: who is responsible, why data is used, and how a person is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from strongroom.durations import Duration
from strongroom.policy.words import ColumnName, Mailbox, Name, Part, TableName, Text

LawfulBasis = Literal[
    "consent", "contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"
]
"""Article 6(1) GDPR, (a) to (f)."""

SpecialBasis = Literal[
    "explicit_consent",
    "employment_law",
    "vital_interests",
    "non_profit_body",
    "made_public",
    "legal_claims",
    "substantial_public_interest",
    "health_care",
    "public_health",
    "archiving_and_research",
]
"""Article 9(2) GDPR, (a) to (j)."""

Normalisation = Literal["exact", "email", "phone", "lower"]
"""How two spellings of one identifier are made equal before they are compared."""


class Controller(Part):
    """Who is responsible for the data (article 30(1)(a) GDPR)."""

    name: Text
    """The company's or person's name."""

    contact: Text | None = None
    """How to reach them."""

    dpo: Mailbox | None = None
    """The data protection officer's address."""

    representative: Text | None = None
    """The representative in the Union, where there is one."""

    joint_with: tuple[Text, ...] = ()
    """Joint controllers."""


class Transfer(Part):
    """Data that goes to another country (article 30(1)(e) GDPR)."""

    to: Text
    """The country or organisation."""

    safeguard: Text
    """What makes it lawful: an adequacy decision, standard clauses, binding rules."""


class Purpose(Part):
    """Why data is used."""

    lawful_basis: LawfulBasis
    """What makes it lawful (article 6(1) GDPR)."""

    special_basis: SpecialBasis | None = None
    """What makes it lawful for special categories (article 9(2) GDPR)."""

    description: Text | None = None
    """The purpose in words for people."""

    recipients: tuple[Text, ...] = ()
    """To whom the data goes; they are told of rectification and erasure (article 19 GDPR)."""

    transfers: tuple[Transfer, ...] = ()
    """Other countries that the data goes to."""

    renew_after: Duration | None = None
    """How long a consent lasts before it must be asked again (consent only)."""

    on_withdrawal: Literal["stop", "erase"] | None = None
    """What withdrawing does beyond stopping the purpose: `erase` also starts an erasure (consent only)."""


class Identifier(Part):
    """A column by which a person can be named in a request."""

    column: ColumnName
    """The column of the subject's table."""

    direct: bool
    """Whether it tells who the person is. A direct identifier never stands in a DAG run's conf."""

    normalise: Normalisation = "exact"
    """How spellings are made equal: `email` and `phone` by their own rules, `lower` by case alone."""


class Subject(Part):
    """A kind of person that the database knows."""

    table: TableName
    """The table with one row for each of them."""

    identifiers: Mapping[Name, Identifier]
    """The ways to name one of them."""

"""The names, places and telephone ranges of the countries that Meridian Shop sells to.

Telephone numbers come from ranges that the national regulators keep free for films and books; a country
without one borrows the United Kingdom's. A name in another script carries its transcription after a bar, for
e-mail.
"""
# ruff: noqa: E501 - lists of names read best on one line

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Locale:
    """What a person's name, home and telephone look like in one country.

    Attributes:
        street: the street line, with `{name}` and `{number}`.
        postal: the postal code; each `#` becomes a digit.
        phone: the telephone number; each `#` becomes a digit.
        weight: share of the customers, relative to the others.
    """

    country: str
    language: str
    weight: int
    given: tuple[str, ...]
    family: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    street: str
    postal: str
    phone: str = "+44 7700 900###"
    family_first: bool = False


def _locale(text: str, *, weight: int, street: str, postal: str, **rest: str | bool) -> Locale:
    """Read the five lines: country and language, given names, family names, cities, streets."""
    head, given, family, cities, streets = (line.strip() for line in text.strip().splitlines())
    country, language = head.split()
    return Locale(
        country, language, weight, tuple(given.split()), tuple(family.split()),
        tuple(city.replace("_", " ") for city in cities.split()),
        tuple(name.replace("_", " ") for name in streets.split()),
        street, postal, **rest,  # type: ignore[arg-type]
    )  # fmt: skip


LOCALES: tuple[Locale, ...] = (
    _locale(
        """NL nl
        Daan Sem Lucas Levi Finn Noah Milan Luuk Bram Jesse Emma Julia Mila Tess Sophie Zoë Sara Nora Eva Liv Anouk Fenna Saar Loïs
        Jansen Bakker Visser Smit Meijer Mulder Bos Vos Peters Hendriks Dekker Brouwer Dijkstra Kok Maas Vermeulen Schouten Willems Hoekstra Koster
        Amsterdam Utrecht Groningen Den_Haag Eindhoven Zwolle Leiden Breda
        Dorpsstraat Kerkstraat Molenweg Schoolstraat Nieuwstraat Wilgenlaan Havenkade Zonnebloemstraat""",
        weight=24, street="{name} {number}", postal="#### AB",
    ),
    _locale(
        """DE de
        Lukas Jonas Felix Jürgen Björn Matthias Uwe Günter Karl Emil Anna Lena Marie Käthe Sabine Ute Heike Jana Mia Greta Frieda Antje
        Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Krüger Jäger Groß Weiß
        Berlin Hamburg München Köln Leipzig Bremen Nürnberg Münster
        Hauptstraße Gartenstraße Bahnhofstraße Lindenweg Bergstraße Schillerstraße Mühlenweg Am_Markt""",
        weight=20, street="{name} {number}", postal="#####", phone="+49 30 23125 ###",
    ),
    _locale(
        """FR fr
        Léo Hugo Jules Théo François Étienne Benoît Rémi Loïc Gaël Chloé Léa Manon Zoé Inès Anaïs Élodie Céline Aurélie Noémie Hélène Margaux
        Martin Bernard Dubois Thomas Robert Petit Durand Leroy Moreau Lefèvre Mercier Dupont Lambert Bonnet François Girard André Guérin Chevalier Rousseau Besançon
        Paris Lyon Nantes Lille Strasbourg Rennes Besançon Orléans
        de_la_Gare Victor-Hugo de_l'Église des_Lilas Pasteur du_Moulin Jean-Jaurès de_la_République""",
        weight=16, street="{number} rue {name}", postal="#####", phone="+33 6 39 98 ## ##",
    ),
    _locale(
        """GB en
        Oliver George Harry Jack Arthur Mohammed Callum Rhys Owen Angus Amelia Isla Ava Lily Freya Siân Niamh Priya Aisha Grace Beth Morag
        Smith Jones Taylor Brown Williams Wilson Evans Thomas Roberts Walker Wright Hughes Patel Khan O'Neill Murray Campbell Singh Ahmed Okafor
        London Leeds Bristol Cardiff Glasgow Belfast York Norwich
        High_Street Church_Lane Mill_Road Station_Road Victoria_Terrace Park_Avenue Queen's_Crescent The_Green""",
        weight=14, street="{number} {name}", postal="ZZ# #XX",
    ),
    _locale(
        """PL pl
        Jakub Szymon Michał Łukasz Paweł Grzegorz Stanisław Zbigniew Wojciech Bartłomiej Zuzanna Małgorzata Agnieszka Żaneta Elżbieta Bożena Kasia Iwona Świętosława
        Nowak Kowalski Wiśniewski Wójcik Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Kozłowski Jankowski Mazur Krawczyk Żak Źródłowski
        Warszawa Kraków Łódź Wrocław Poznań Gdańsk Rzeszów
        Polna Leśna Słoneczna Krótka Szkolna Ogrodowa Źródlana""",
        weight=8, street="ul. {name} {number}", postal="##-###",
    ),
    _locale(
        """SE sv
        Lars Anders Åke Björn Göran Håkan Nils Elsa Åsa Maja Märta Sigrid Ebba Linnéa Vera Östen
        Andersson Johansson Karlsson Nilsson Eriksson Larsson Svensson Sjöberg Lindström Bergström Åberg Öberg Hägg Nyström
        Stockholm Göteborg Malmö Umeå Örebro Växjö
        Storgatan Kyrkogatan Ängsvägen Björkvägen Skolgatan""",
        weight=5, street="{name} {number}", postal="### ##", phone="+46 70 17406##",
    ),
    _locale(
        """ES es
        José Andrés Íñigo Álvaro Martín Jesús Óscar Ramón María Lucía Begoña Sofía Inés Concepción Núria Montserrat
        García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Núñez Ibáñez Muñoz Peña Castañeda Echeverría
        Madrid Barcelona Sevilla Málaga A_Coruña Cádiz León
        Mayor Real Cervantes Goya Nueva Peñón Constitución""",
        weight=6, street="Calle {name}, {number}", postal="#####",
    ),
    _locale(
        """GR el
        Γιώργος|giorgos Νίκος|nikos Δημήτρης|dimitris Κώστας|kostas Μαρία|maria Ελένη|eleni Κατερίνα|katerina Σοφία|sofia Ιωάννα|ioanna
        Παπαδόπουλος|papadopoulos Γεωργίου|georgiou Νικολάου|nikolaou Οικονόμου|oikonomou Αντωνίου|antoniou Μακρής|makris
        Αθήνα Θεσσαλονίκη Πάτρα Ηράκλειο
        Ερμού Αθηνάς Τσιμισκή Αριστοτέλους""",
        weight=3, street="{name} {number}", postal="### ##",
    ),
    _locale(
        """BG bg
        Иван|ivan Георги|georgi Димитър|dimitar Стефан|stefan Мария|mariya Елена|elena Цветана|tsvetana Йорданка|yordanka
        Иванов|ivanov Петров|petrov Димитров|dimitrov Тодоров|todorov Стоянов|stoyanov Ангелов|angelov
        София Пловдив Варна Бургас
        Раковски Витоша Шипка Опълченска""",
        weight=2, street="ул. {name} {number}", postal="####",
    ),
    _locale(
        """JP ja
        太郎|taro 健|ken 大輔|daisuke 花子|hanako 由美|yumi 恵|megumi 翔|sho 葵|aoi
        佐藤|sato 鈴木|suzuki 高橋|takahashi 田中|tanaka 渡辺|watanabe 山本|yamamoto 中村|nakamura
        東京 大阪 京都 札幌
        中央 本町 桜台 緑が丘""",
        weight=2, street="{name}{number}丁目", postal="###-####", family_first=True,
    ),
)  # fmt: skip

EMAIL_DOMAINS = ("example.org", "example.net", "example.com")

_UNFOLDED = str.maketrans(
    {"ł": "l", "ø": "o", "ß": "ss", "đ": "d", "æ": "ae", "ö": "oe", "ü": "ue", "ä": "ae", "å": "aa", "'": ""}
)


def display_and_mail(name: str) -> tuple[str, str]:
    """A name as it is written, and its ASCII form for an e-mail address."""
    shown, _, transcribed = name.partition("|")
    plain = unicodedata.normalize("NFKD", (transcribed or shown).lower().translate(_UNFOLDED))
    return shown, "".join(letter for letter in plain if letter.isascii() and letter.isalnum())

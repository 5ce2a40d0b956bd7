"""`strongroom archive sweep` as a person uses it, and the question that shows that nothing is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result
from typer.testing import CliRunner

from strongroom.cli import archive, archive_sweep
from strongroom.cli.app import app
from strongroom.errors import InputError
from strongroom.services import Services
from strongroom.settings import load_settings
from tests.integration.sweeping.estate import Estate, shop_document

Command = Callable[..., Result]


@pytest.fixture
def command(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    (estate.directory / "shop.yaml").write_text(json.dumps(shop_document()))
    settings = {
        "store": {"kind": "local", "directory": str(estate.directory / "bucket")},
        "control_database": estate.engine.url.render_as_string(hide_password=False),
        "signing_key": str(estate.directory / "signing.key"),
        "keys": {"provider": "file", "path": str(estate.directory / "local.key")},
        "policy_directory": str(estate.directory),
        "databases": {"shop": estate.conninfo},
    }
    (estate.directory / "settings.json").write_text(json.dumps(settings))
    services = Services(load_settings(estate.directory / "settings.json"))
    for module in (archive, archive_sweep):
        monkeypatch.setattr(module, "services", lambda: services)
    yield lambda *arguments: CliRunner().invoke(app, ["archive", *arguments])
    services.engine.dispose()


def test_a_sweep_tells_what_it_moves_and_totals_stay(estate: Estate, command: Command) -> None:
    estate.run("INSERT INTO ticket VALUES (1, 5)")
    sql = "select count(*), sum(total) from orders"
    total = command("query", "shop", sql, "--live", "--csv").stdout
    foreseen = command("sweep", "shop", "--dry-run")
    assert "public.orders: 199 rows would move" in foreseen.stdout
    told = command("sweep", "shop")
    assert told.exit_code == 0, told.output
    assert "public.orders: 796 rows moved in 4 part(s)" in told.stdout
    assert "1 rows stay: rows of public.ticket refer to them" in told.stderr.replace("\n", " ")
    assert "public.line: 0 rows moved" in told.stdout
    assert estate.live("orders").total() == 1
    assert command("query", "shop", sql, "--live", "--csv").stdout == total
    assert "2024-07" in command("list", "shop").stdout


def test_the_answer_as_json(command: Command) -> None:
    told = command("sweep", "--database", "shop", "--table", "public.orders", "--json")
    (summary,) = json.loads(told.stdout)
    assert (summary["table"], summary["rows"], summary["held"]) == ("public.orders", 800, [])
    assert {part["period"] for part in summary["parts"]} == {"2024-07", "2024-08", "2024-09", "2024-10"}


def test_a_database_has_to_be_named(command: Command) -> None:
    assert isinstance(command("sweep").exception, InputError)

"""Files that were not written in good faith: each is refused with a sentence, at once, in little memory."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom.policy.document import MAX_BYTES, read_document
from strongroom.policy.errors import PolicyError
from strongroom.policy.loading import load_policy
from tests.unit.policy.support import HEAD, mistakes, write

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LAUGHS, "1:4: anchors (&a) are not used here"),
        ("a: *b\n", "1:4: aliases (*b) are not used here"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "1:4: tags ('tag:yaml.org,2002:python/object/apply:os.system') are",
        ),
        ("a: !local x", "1:4: tags ('!local') are not used here"),
        ("[" * 100_000, "1:21: is nested deeper than 20 levels"),
        ("a: " * 3 + "b", "is not YAML: mapping values are not allowed in this context"),
        ("{" * 100_000, "1:2: a key must be text, not a mapping or a list"),
        ("- " * 100_000, "1:41: is nested deeper than 20 levels"),
        ("a:\n\tb: 1\n", "2:1: is indented with a tab; use spaces"),
        ("a: b\x00c\n", "1:5: holds a control character"),
        ('a: "b\\0c"\n', "1:4: a: holds a control character"),
        ('a: "\\ud800"\n', "1:7: is not YAML: found invalid Unicode character escape code"),
        ('"a\\e[31m": b\n', "1:1: holds a control character"),
        (b"a: caf\xe9\n", "1:7: is not UTF-8 text"),
        ("a: b".encode("utf-16"), "1:1: is not UTF-8 text"),
        ("", "1:1: is empty"),
        ("# nothing\n", "1:1: is empty"),
        ("---\na: b\n---\na: b\n", "3:1: a policy file holds one document, without '---'"),
        ("a: b\na: c\n", "2:1: a: the key 'a' stands twice (first on line 1)"),
        ("on: b\n", "1:1: on: the key on is not text to every YAML reader; write it in quotes"),
        ("1: b\n", "1:1: [1]: the key 1 is not text to every YAML reader; write it in quotes"),
        ("? [a]\n: b\n", "1:3: a key must be text, not a mapping or a list"),
        ("a: ~\n", "1:4: a: has no value"),
        ("a: [b\n", "is not YAML: "),
        ("a: 'b\n", "is not YAML: "),
        ("%YAML 9.9\n---\na: b\n", "is not YAML: "),
        ("<<: {a: b}\n", "1:1: unknown key '<<'"),
        ("just words\n", "1:1: must be a mapping (key: value), not 'just words'"),
        ("- a\n", "1:1: must be a mapping (key: value), not a list"),
        ("x" * (MAX_BYTES + 1), "is larger than 1 MiB, the limit for a policy file"),
    ],
)
def test_a_hostile_file_is_refused_with_a_sentence(tmp_path: Path, text: str | bytes, what: str) -> None:
    started = time.process_time()
    lines = mistakes(tmp_path, text)

    assert any(what in line for line in lines), lines
    assert time.process_time() - started < 5


def test_the_largest_file_allowed_is_read_in_seconds(tmp_path: Path) -> None:
    rows = "".join(f"  public.t{number}: {{exempt: counters}}\n" for number in range(20_000))
    text = HEAD + "tables:\n" + rows
    assert len(text) < MAX_BYTES

    started = time.process_time()
    load_policy(write(tmp_path, text))

    assert time.process_time() - started < 20


def test_a_huge_number_is_no_number(tmp_path: Path) -> None:
    days = "9" * 9000
    (line,) = mistakes(tmp_path, HEAD.replace('"}', f'", lock: {{mode: governance, days: {days}}}}}'))

    assert "backup.lock.days: must be a whole number" in line
    assert len(line) < 200


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_crash(data: bytes) -> None:
    document = read_document(data)

    assert document.problems or document.content is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="abdt:{}[]-?&*!|>'\"%#, \n\t0~on", max_size=120))
def test_no_text_makes_loading_fail_otherwise_than_by_a_policy_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError):
        load_policy(write(tmp_path, text))


@given(
    st.recursive(
        st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abc xyz", min_size=1), inner, max_size=4)
        ),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, (dict, list)))
)
def test_json_is_read_as_json_says(content: object) -> None:
    document = read_document(json.dumps(content).encode())

    assert document.problems == []
    assert document.content == content

"""The README says what is there: its tables are the shipped study's, its links lead somewhere."""

import re

from tests.readme import README, ROOT, filled


def test_tables_are_those_of_the_shipped_study() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == filled(text), "run `make readme`"


def test_every_local_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []

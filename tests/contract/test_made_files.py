"""What is made from the protos is what they make now, and they keep buf's rules."""

from __future__ import annotations

import re

import api_doc
import generate_protos
import lint_protos
import settings_doc


def test_the_stubs_are_what_the_protos_make() -> None:
    assert generate_protos.stale() == []


def test_the_api_page_is_what_the_protos_make() -> None:
    assert api_doc.PAGE.read_text() == api_doc.page()


def test_the_api_page_says_which_fields_exclude_each_other() -> None:
    (version,) = re.findall(r"^\| `version` .* \|$", api_doc.page().partition("#### RenderPromptRequest")[2], re.M)[:1]

    assert version.endswith("one of this and `label` |")


def test_every_link_of_the_api_page_leads_to_one_heading() -> None:
    page = api_doc.page()
    headings = [re.sub(r"[^\w-]", "", line.lower()) for line in re.findall(r"^#+ (.+)$", page, flags=re.M)]
    targets = set(re.findall(r"\]\(#([^)]+)\)", page))

    assert targets
    assert {target: headings.count(target) for target in targets} == dict.fromkeys(targets, 1)


def test_the_protos_keep_the_rules_of_buf() -> None:
    assert lint_protos.check(against=None)


def test_the_settings_page_is_what_the_settings_make() -> None:
    assert settings_doc.PAGE.read_text() == settings_doc.page()

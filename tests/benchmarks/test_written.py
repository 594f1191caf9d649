"""The tables that the benchmarks write into the documentation."""

from __future__ import annotations

import pytest
from machine import BenchError, Sample
from results import Result
from written import PAGE, table, write

FIRST = [Sample(200, 100), Sample(210, 110), Sample(190, 90)]
RESULTS = [
    Result("page, 1 site", FIRST, FIRST, "µs"),
    Result("page, 100 sites", [Sample(400, 150), Sample(400, 110), Sample(400, 90)], FIRST, "µs"),
    Result("page at half load, p50", [Sample(1.26, 1.26)], (), "ms", None, "clock"),
]
WRITTEN = """| measure | figure | compared with the first |
|---|---|---|
| page, 1 site | 100 µs |  |
| page, 100 sites | 110 µs | 1.00 (1.00 to 1.50) |
| page at half load, p50 | 1.3 ms |  |"""


def test_table_has_medians_and_the_ratio_to_the_first():
    assert table(RESULTS) == WRITTEN


@pytest.mark.parametrize("former", ["", "| old |\n|---|\n"], ids=["empty", "former table"])
def test_table_replaces_what_is_between_its_comments(tmp_path, former):
    page = tmp_path / "page.md"
    page.write_text(
        f"before\n<!-- bench: growth -->\n{former}<!-- end -->\nafter\n<!-- bench: other -->\n<!-- end -->\n"
    )
    assert write("growth", RESULTS, page)
    assert page.read_text() == (
        f"before\n<!-- bench: growth -->\n{WRITTEN}\n<!-- end -->\nafter\n<!-- bench: other -->\n<!-- end -->\n"
    )


def test_page_without_a_table_of_the_measure_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text")
    assert not write("growth", RESULTS, page)
    assert page.read_text() == "text"


def test_table_without_an_end_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- bench: growth -->\nthe rest of the page\n")
    with pytest.raises(BenchError, match="without '<!-- end -->'"):
        write("growth", RESULTS, page)
    assert "the rest of the page" in page.read_text()


def test_documentation_has_a_table_of_growth():
    assert "<!-- bench: growth -->\n" in PAGE.read_text(encoding="utf-8")

"""report.html: what it says as text, and that it works in a real browser."""

import json
import re
from html.parser import HTMLParser

import pytest
from browser import probe
from synthetic import make_run

from bench.report.figures import PLOTS, draw_all
from bench.report.html import Grid, claims_of, inline, short, write_report
from bench.store.folder import RunFolder
from methods import discover

VOID = {"meta", "link", "input", "br"}


class Tags(HTMLParser):
    """Checks that every element is closed, and collects ids, local links and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of an invented run, with its run folder."""
    folder = make_run(tmp_path_factory.mktemp("run"), tasks=["sst2", "mnli"], backbones=["bert"], seeds=2)
    drawn = draw_all(folder, folder / "figures")
    return write_report(RunFolder(folder), discover(), drawn)


def test_it_is_well_formed_and_every_link_leads_somewhere(report):
    tags = Tags()
    tags.feed(report.read_text())
    assert not tags.open
    assert len(tags.ids) == len(set(tags.ids)), "an id stands twice"
    for link in tags.links:
        if link.startswith("#"):
            assert link[1:] in tags.ids, link
        elif not link.startswith("data:"):
            assert (report.parent / link).is_file(), link


def test_it_needs_no_network(report):
    text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", report.read_text())
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_it_says_what_was_run_and_how_to_repeat_it(report):
    text = " ".join(re.sub(r"<[^>]*>", " ", report.read_text()).split())
    assert "The data are generated, not GLUE" in text
    assert "SST-2 (validation: 200 examples)" in text and "Seeds 0, 1" in text
    assert "1 ok, 1 failed, 0 skipped" in text and "1.5 minutes" in text
    assert "python run_all.py --suite embedded --tasks all --seeds 3" in text and "a processor" in text
    assert "DeeBERT: Dynamic Early Exiting for Accelerating BERT Inference" in text  # the methods' own docstrings


def test_it_has_the_order_of_its_reader(report):
    text = report.read_text()
    order = ["headline", "curves", "claims", "figures", "tables", "run", "failures", "repeat", "cite", "files"]
    assert re.findall(r'<section id="(\w+)"', text) == order
    assert text.index("The data are generated") < text.index('<section id="headline"')
    assert text.index('<figure id="figure2"') < text.index('<section id="claims"') < text.index('<figure id="auc-bert"')
    recipes = text[text.index("<summary>Recipes: ") : text.index('<section id="failures"')]
    assert recipes.index("learning rate") < recipes.index("</details>")  # folded away


def test_published_numbers_are_marked(report):
    folder = report.parent
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | {"published": {"pabee": "bundle <x>"}}))
    try:
        text = write_report(RunFolder(folder), discover(), []).read_text()
    finally:
        (folder / "run.json").write_text(json.dumps(run))
    assert "† is published, not trained in this run:</strong> pabee (bundle &lt;x&gt;)" in text
    text = text[: text.index('<section id="failures"')]
    assert "<td>pabee †</td>" in text and "<td>pabee</td>" not in text and "<td>dact</td>" in text
    drawn = draw_all(folder, folder / "figures")
    assert "†" not in write_report(RunFolder(folder), discover(), drawn).read_text()  # as it was, for the other tests


def test_it_says_what_reproduces(report, tmp_path):
    text = report.read_text()
    section = text[text.index('<section id="claims"') : text.index('<section id="tables"')]
    cells = ["bert", "8", "stops early", "holds here", "0.1235", "6"]
    assert re.findall("<td>(.*?)</td>", section) == cells and 'href="#claims"' in text
    header = (report.parent / "reproduction.csv").read_text().splitlines()[0]
    (tmp_path / "reproduction.csv").write_text(f"{header}\n")
    assert claims_of(tmp_path) is None


def test_text_from_outside_is_escaped(report):
    text = report.read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert(&#39;outside&#39;)&lt;/script&gt; &amp; more" in text
    assert "<b>tasks</b>" not in text


def test_the_same_files_give_the_same_bytes(report):
    before = report.read_bytes()
    drawn = draw_all(report.parent, report.parent / "figures")
    assert write_report(RunFolder(report.parent), discover(), drawn).read_bytes() == before


def test_a_run_without_points_has_a_report(tmp_path):
    make_run(tmp_path, tasks=["sst2"], backbones=["bert"], seeds=1)
    for name in ("points", "auc"):
        header = (tmp_path / f"{name}.csv").read_text().splitlines()[0]
        (tmp_path / f"{name}.csv").write_text(header + "\n")
    text = write_report(RunFolder(tmp_path), discover(), []).read_text()
    assert "Nothing to draw." in text and "alert" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.123456", "0.1235"),
        ("1.0", "1"),
        ("-1e-05", "-1e-05"),
        ("5.25e-05", "5.25e-05"),
        ("12", "12"),
        ("a.b", "a.b"),
    ],
)
def test_numbers_are_cut_to_four_digits(text, shown):
    assert short(text) == shown


def test_inline_figures_keep_their_ids_apart():
    svg = '<?xml version="1.0"?><svg viewBox="0 0 1 1"><title>t</title><metadata>m</metadata>'
    svg += '<path id="a" d="M 1.23456 2"/>'
    svg += '<use xlink:href="#a" clip-path="url(#b)"/><g><title>x 0.12345</title></g></svg>'
    expected = '<svg aria-hidden="true" viewBox="0 0 1 1"><path id="f-a" d="M 1.23 2"/>'
    expected += '<use xlink:href="#f-a" clip-path="url(#f-b)"/><g><title>x 0.12345</title></g></svg>'
    assert inline(svg, "f") == expected


FIGURES = """
const cards = [...document.querySelectorAll("figure .card")];
return {
  figures: cards.map(card => card.closest("figure").id),
  hidden: cards.filter(card => { const box = card.querySelector("svg").getBoundingClientRect();
                                 return box.width < 300 || box.height < 100; }).length,
  unnamed: cards.filter(card => !card.ariaLabel).length,
  titles: document.querySelectorAll("#figure2 svg title").length,
};
"""


def test_every_figure_is_visible_and_nothing_complains(report, tmp_path):
    seen = probe(report, tmp_path, FIGURES)
    assert seen["console"] == seen["errors"] == []
    assert seen["figures"] == [f"{name}-bert" if plot.per_backbone else name for name, plot in PLOTS.items()]
    assert seen["hidden"] == seen["unnamed"] == 0
    assert seen["titles"] > 100


SORT_AND_FILTER = """
const table = document.querySelector("#table-knobs table"), rows = () => [...table.tBodies[0].rows];
const column = name => [...table.querySelectorAll("th")].findIndex(head => head.textContent === name);
const values = name => rows().filter(row => !row.hidden).map(row => row.cells[column(name)].textContent);
const button = name => table.querySelectorAll("th")[column(name)].querySelector("button");
const input = document.querySelector("#table-knobs input");
document.querySelector("#table-knobs summary").click();
button("knob_value").focus();
const focused = document.activeElement === button("knob_value");
button("knob_value").click();
const up = values("knob_value"), state = table.querySelectorAll("th")[column("knob_value")].ariaSort;
button("knob_value").click();
const down = values("knob_value");
input.value = "mnli  DEEBERT";
input.dispatchEvent(new Event("input"));
return { up, down, state, focused, methods: values("method"), tasks: values("task"),
         count: document.querySelector("#table-knobs output").value, all: rows().length,
         proposed: input.placeholder };
"""

WHOLE_WORDS = """
const table = document.querySelector("#table-knobs table"), input = document.querySelector("#table-knobs input");
const column = name => [...table.querySelectorAll("th")].findIndex(head => head.textContent === name);
const found = word => {
  input.value = word;
  input.dispatchEvent(new Event("input"));
  const rows = [...table.tBodies[0].rows].filter(row => !row.hidden);
  return [...new Set(rows.map(row => row.cells[column("backbone")].textContent + " " +
                                     row.cells[column("method")].textContent))].sort();
};
table.tBodies[0].rows[0].cells[column("backbone")].textContent = "roberta";
table.tBodies[0].rows[1].cells[column("backbone")].textContent = "distilbert";
return { bert: found("bert"), dact: found("dact"), part: found("deeb"), all: found(" ").length,
         tau: found("tau=0.005"), number: found("patience 12") };
"""


def test_the_filter_takes_whole_words(report, tmp_path):
    seen = probe(report, tmp_path, WHOLE_WORDS)
    assert seen["console"] == seen["errors"] == []
    assert seen["bert"] and {pair.split()[0] for pair in seen["bert"]} == {"bert"}
    assert {pair.split()[1] for pair in seen["dact"]} == {"dact"}
    assert seen["part"] == [] and seen["all"] > len(seen["bert"])
    assert seen["tau"] == ["bert dact", "bert dact-exact"] and seen["number"] == ["bert pabee"]


def test_the_filter_proposes_words_that_choose():
    header = ["task", "backbone", "method", "value"]
    assert Grid("x", "", header, [["rte", "bert", "dact", "1"], ["rte", "bert", "pabee", "2"]]).example == "dact"
    assert Grid("x", "", header, [["rte", "bert", "a", "1"], ["sst2", "bert", "b", "2"]]).example == "rte a"
    assert Grid("x", "", ["claim", "text"], [["1a", "it is faster"]]).example == "1a"
    assert Grid("x", "", header, []).example == ""


def test_tables_sort_and_filter(report, tmp_path):
    seen = probe(report, tmp_path, SORT_AND_FILTER)
    assert seen["console"] == seen["errors"] == []
    up = [float(value) for value in seen["up"] if value]
    assert up == sorted(up) and up[-1] == 12  # as numbers: 12 comes after 2
    assert [float(value) for value in seen["down"] if value] == up[::-1]
    assert seen["up"][-1] == seen["down"][-1] == "", "rows without a value stay last"
    assert seen["focused"] and seen["state"] == "ascending"
    assert set(seen["methods"]) == {"deebert"} and set(seen["tasks"]) == {"mnli"}
    assert seen["proposed"] == "whole words, such as: sst2 static"
    assert seen["count"] == f"{len(seen['methods'])} of {seen['all']} rows"


WIDTH = """
const paint = element => getComputedStyle(element).backgroundColor;
return { page: document.documentElement.scrollWidth, window: innerWidth,
         dark: paint(document.body), card: paint(document.querySelector(".card")) };
"""


def test_it_fits_a_phone_in_the_dark(report, tmp_path):
    seen = probe(report, tmp_path, WIDTH, 360, "--blink-settings=preferredColorScheme=0")
    assert seen["console"] == seen["errors"] == []
    assert seen["page"] <= seen["window"] == 360, "the page itself must not scroll sideways"
    assert seen["dark"] == "rgb(22, 22, 22)" and seen["card"] == "rgb(255, 255, 255)"

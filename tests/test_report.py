"""The page: nothing from outside, everything escaped, and a browser shows it."""

import base64
import html.parser
import re

import numpy as np
import pytest

from browsing import COLOUR, browsing, needs_chromium, until
from sqair.datasets.images import encode_png
from sqair.datasets.video_out import write_gif, write_video
from sqair.errors import UserError
from sqair.eval.report import Report, line_chart
from sqair.eval.scores import COLUMNS
from sqair.eval.words import MEANINGS, better, percent, terms

NASTY = "</title><script>alert('x')</script>\" onload=\"x & y"
VOID = {"meta", "img", "br", "hr", "link", "input", "source"}


class Page(html.parser.HTMLParser):
    """Collects elements and text, and insists on balanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]


def solid(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((40, 60, 3), (red, green, blue), dtype=np.uint8)


def test_page_fetches_nothing_and_holds_no_script(tmp_path):
    write_video(tmp_path / "a.mp4", [solid(9, 9, 9)] * 3, fps=10)
    report = Report("Title").text("Hello\n\n## Part").table([["a", 1]], ["name", "n"])
    report.figure(line_chart({"a": ([1, 2], [3, 4])}, "x", "y"), "chart").figure(
        encode_png(solid(1, 2, 3)), "png"
    )
    report.video((tmp_path / "a.mp4").read_bytes(), "video")
    page = Page(report.to_html())
    sources = [attrs["src"] for _, attrs in page.elements if "src" in attrs]
    assert len(sources) == 3 and all(source.startswith("data:") for source in sources)
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert not any(name.startswith("on") or name == "href" for _, attrs in page.elements for name in attrs)
    assert "default-src 'none'" in page.all("meta")[1]["content"]
    assert "url(" not in report.to_html() and "@import" not in report.to_html()
    assert base64.b64decode(sources[2].split(",")[1]) == (tmp_path / "a.mp4").read_bytes()


def test_everything_is_escaped():
    report = Report(NASTY).text(NASTY).text(f"## {NASTY}\n\n- {NASTY}\n\n`{NASTY}`")
    report.table([[NASTY, NASTY]], [NASTY, NASTY], caption=NASTY)
    report.figure(encode_png(solid(1, 2, 3)), NASTY).video(b"video", NASTY)
    page = Page(report.to_html())
    assert not page.all("script")
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert page.text.count("<script>alert('x')</script>") == 13
    assert page.all("img")[0]["alt"] == page.all("video")[0]["aria-label"] == NASTY


def test_text():
    html_text = Report("t").text("## A `b`\nnext **c**\n\n- one\n- two `2 < 3`\n\n`**` a*b **").to_html()
    assert "<h2>A <code>b</code></h2><p>next <strong>c</strong></p>" in html_text
    assert "<ul><li>one</li><li>two <code>2 &lt; 3</code></li></ul>" in html_text
    assert "<p><code>**</code> a*b **</p>" in html_text


def test_table():
    rows = [
        ["floor", 0.12345, np.float32(0.5), 7, None, "0.9 ± 0.1", "words"],
        ["OVERALL", float("nan"), 1.0, np.int64(12), 3, None, "more"],
    ]
    text = Report("t").table(rows, ["name", "a", "b", "c", "d", "e", "f"]).to_html()
    assert re.search(r'<tr><th scope="row"[^>]*>floor</th>', text)
    assert re.search(r'<tr class="total"><th scope="row"[^>]*>OVERALL</th>', text)
    cells = re.findall(r"<td( class=\"number\")?[^>]*>([^<]*)</td>", text)
    assert re.findall(r'<t[dh][^>]* data-name="(\w+)"', text) == 2 * ["name", *"abcdef"]
    assert [cell for _, cell in cells] == [
        *("0.123", "0.500", "7", "–", "0.9 ± 0.1", "words"),
        *("–", "1.000", "12", "3", "–", "more"),
    ]
    assert [bool(number) for number, _ in cells] == 2 * [True, True, True, True, True, False]
    assert Report("t").table([], ["name", "a"]).to_html().count("<th scope") == 2
    with pytest.raises(ValueError, match="a row of 1 cells under a header of 2"):
        Report("t").table([["a"]], ["name", "a"])


def best(rows, better, header=("name", "a", "b")):
    text = Report("t").table(rows, header, better=better).to_html()
    return re.findall(r'data-name="(\w)"><strong>([^<]*)</strong>', text)


def test_the_best_is_marked():
    rows = [["x", 0.5, 7], ["y", 0.9, 3], ["z", 0.9000001, None]]
    assert best(rows, {"a": True, "b": False}) == [("a", "0.900"), ("b", "3"), ("a", "0.900")]
    assert best(rows, {"a": False}) == [("a", "0.500")] and best(rows, {}) == []
    assert best(rows[:1], {"a": True}) == best([["x", 1.0, 2], ["y", 1.0, 2]], {"a": True, "b": True}) == []
    assert best([["x", float("nan"), 2], ["y", "word", 3]], {"a": True, "b": True}) == [("b", "3")]


def test_words_are_explained_where_they_stand():
    report = Report("t").lead("Found **3** <things>").table([["x", 1]], ["name", "FN"], terms={"FN": "missed & gone"})
    text = report.code("sqair track", "--source 'a<b'").to_html()
    assert '<p class="lead">Found <strong>3</strong> &lt;things&gt;</p>' in text
    assert "<dl><dt>FN</dt><dd>missed &amp; gone</dd></dl>" in text
    assert "<pre><code>sqair track\n--source &#x27;a&lt;b&#x27;</code></pre>" in text
    Page(text)


def test_every_score_has_a_meaning_and_a_side():
    assert MEANINGS.keys() >= COLUMNS.keys()
    assert terms(["mota", "other"]).keys() == {"MOTA"} and better(["mota", "misses", "objects", "other"]) == {
        COLUMNS["mota"]: True,
        COLUMNS["misses"]: False,
    }


def test_a_phone_gets_another_picture():
    png, svg = encode_png(solid(1, 2, 3)), "<svg/>"
    page = Page(Report("t").figure(png, "words", svg).figure(png).to_html())
    (source,) = page.all("source")
    assert source["srcset"].startswith("data:image/svg") and source["media"] == "(max-width: 40rem)"
    assert [image["alt"] for image in page.all("img")] == ["words", ""]


def test_pictures_in_a_row_share_the_width():
    png = encode_png(solid(1, 2, 3))
    text = Report("t").figure(png).figure(png).text("between").figure(png).to_html()
    assert [group.count("<figure>") for group in text.split('<div class="media">')] == [0, 2, 1]
    Page(text)


def test_kinds_of_pictures(tmp_path):
    write_gif(tmp_path / "a.gif", [solid(1, 2, 3)] * 2, fps=5)
    text = (
        Report("t")
        .figure((tmp_path / "a.gif").read_bytes())
        .figure(b"\xff\xd8\xff\xe0")
        .figure("<svg/>")
        .to_html()
    )
    assert re.findall(r"data:(image[^;]*);", text) == ["image/gif", "image/jpeg", "image/svg+xml"]
    for bad in (b"", b"RIFF....AVI ", "words <svg>"):
        with pytest.raises(ValueError, match="a figure is"):
            Report("t").figure(bad)


def test_save(tmp_path):
    Report("Tïtle").text("ünïcode ✓").save(tmp_path / "page.html")
    assert "ünïcode ✓" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(UserError, match="cannot write .*page.html"):
        Report("t").save(tmp_path / "missing" / "page.html")


def test_chart_is_the_same_every_time_and_follows_the_colour_scheme():
    x = np.linspace(0, 10, 50)
    series = {"train <a>": (x, np.sin(x)), "test": (x, np.cos(x))}
    chart = line_chart(series, "seconds", "nats & more")
    assert chart == line_chart(series, "seconds", "nats & more")
    assert chart.startswith("<svg") and chart.rstrip().endswith("</svg>")
    assert "currentColor" in chart and "prefers-color-scheme" in chart and "#010203" not in chart
    assert "<script" not in chart and set(re.findall(r"https?://[^\"]*", chart)) <= {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }
    assert chart != line_chart(series | {"test": (x, -np.cos(x))}, "seconds", "nats & more")


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"one": ([1], [2])},
        {"none": ([], [])},
        {"gap": ([1, 2, 3], [1, np.nan, np.inf])},
        {"ints": ([1, 2], [5, 5])},
    ],
)
def test_chart_of_odd_data(series):
    assert "</svg>" in line_chart(series, "x", "y")


def test_chart_of_whole_numbers_counts_by_ones_from_nothing(monkeypatch):
    from matplotlib.figure import Figure

    drawn, add = [], Figure.add_subplot
    monkeypatch.setattr(Figure, "add_subplot", lambda self: drawn.append(add(self)) or drawn[-1])
    for values in ([1, 2, 3], [0, 0, 0], [1.0, 2.5, 3.0], [-1, 2, 3]):
        line_chart({"a": ([1, 2, 3], values)}, "x", "y")
    ticks = [axes.get_yticks().tolist() for axes in drawn]
    assert ticks[0][:4] == [0, 1, 2, 3] and drawn[0].get_ylim()[0] == 0 and ticks[1] == [0, 1]
    assert any(tick % 1 for tick in ticks[2]) and drawn[3].get_ylim()[0] < -1


def test_chart_leaves_matplotlib_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    line_chart({"a": ([1, 2], [3, 4])}, "x", "y")
    assert dict(matplotlib.rcParams) == before


@needs_chromium
def test_browser_shows_pictures_and_plays_video(tmp_path):
    """The video turns from red to green after its first frame, so green means that it plays."""
    red, green, blue = solid(220, 30, 30), solid(30, 200, 60), solid(40, 60, 240)
    write_video(tmp_path / "a.mp4", [red] + [green] * 40, fps=10, scale=4)
    picture = encode_png(blue.repeat(4, 0).repeat(4, 1))
    Report("Sample").video((tmp_path / "a.mp4").read_bytes()).figure(picture).save(tmp_path / "page.html")
    with browsing(tmp_path / "page.html", still=False) as page:
        until(page, "document.querySelector('video').currentTime > 0.1")
        assert page.eval_on_selector("img", COLOUR) == pytest.approx([40, 60, 240], abs=8)
        assert page.eval_on_selector("video", COLOUR) == pytest.approx([30, 200, 60], abs=12)


def test_all_is_only_what_is_all() -> None:
    assert [percent(part) for part in (1.0, 0.9951, 0.29, 0.0)] == ["100%", "99%", "29%", "0%"]

"""Pages in a real headless Chromium without a driver: a probe stands in a copy of the page and says what it saw."""

import html
import json
import re
import shutil
import subprocess

import pytest

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run", "--enable-logging=stderr", "--virtual-time-budget=5000"]
PROBE = """<script>
const errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("load", () => {
  const seen = (() => { SCRIPT })();
  parent.postMessage(JSON.stringify({ ...seen, errors }), "*");
});
</script>"""
# a window cannot be as narrow as a phone, a frame can
FRAME = """<!doctype html><pre id="seen"></pre>
<script>addEventListener("message", event => document.getElementById("seen").textContent = event.data)</script>
<iframe src="page.html" style="width: WIDTHpx; height: 900px; border: 0"></iframe>"""


def probe(page, folder, script, width=1200, *flags):
    """What a script returns once a page has loaded, with the errors of the page and the lines on its console.

    Args:
        page: the HTML file.
        folder: an empty one, for a copy of the page and the browser's profile.
        script: the body of a function in the page.
        width: of the viewport, in CSS pixels.
        *flags: more flags of the browser.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no Chromium here: the report is not looked at in a browser")
    probed = page.read_text().replace("<body>", "<body>" + PROBE.replace("SCRIPT", script), 1)
    (folder / "page.html").write_text(probed)
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    command = [chromium, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"--window-size={width + 100},1000"]
    command += ["--dump-dom", (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    seen = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.S)
    assert seen, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(html.unescape(seen[1])), "console": console}

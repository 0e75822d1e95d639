# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A headless Chromium, told what to do over a pipe (Chrome DevTools Protocol). Standard library only.

    with Chromium() as browser:
        page = browser.open(url, width=375, height=800)
        page.wait_for("document.title != ''")
        page.evaluate("1 + 1")
        page.screenshot("file.png")
        page.complaints   # errors and warnings of its console
        page.requests     # URLs that it asked for
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

KEY_CODES = {"Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
PATIENCE_S = float(os.environ.get("NEAP_TEST_PATIENCE_S", "30"))


def path():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Chromium:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="neap-chromium-")
        to_it, self.write_fd = os.pipe()
        self.read_fd, from_it = os.pipe()
        for fd in (to_it, from_it):
            os.set_inheritable(fd, True)
        # It reads descriptor 3 and writes 4.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_it} 4>&{from_it}', "sh", path(), "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--disable-component-update",
             f"--user-data-dir={self.dir}", "about:blank"],
            close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=self.dir))
        os.close(to_it)
        os.close(from_it)
        self.buffer = b""
        self.next_id = 0
        self.pages = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE_S)
        except (TimeoutError, ConnectionError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.read_fd)
        os.close(self.write_fd)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _message(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.read_fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium says nothing")
            part = os.read(self.read_fd, 1 << 16)
            if not part:
                raise ConnectionError("Chromium is gone")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **params):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_fd, data):]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self.next_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._event(answer)

    def _event(self, message):
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.heard(message["method"], message["params"])

    def open(self, url, width, height, dark=False, touch=False):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        page.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.call("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE_S
        while not page.is_loaded:
            self._event(self._message(deadline))
        return page


class Page:
    def __init__(self, browser, session):
        self.browser = browser
        self.session = session
        self.is_loaded = False
        self.complaints = []
        self.requests = []

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def heard(self, method, params):
        if method == "Page.loadEventFired":
            self.is_loaded = True
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([arg.get("value") for arg in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait_for(self, expression):
        """Until it is true; looked at with each frame the browser draws."""
        wait = ("new Promise(done => { const look = () => (%s) ? done(true) : requestAnimationFrame(look); look(); })"
                % expression)
        assert self.evaluate(wait), expression

    def key(self, key, text=None):
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            if key in KEY_CODES:
                more["windowsVirtualKeyCode"] = KEY_CODES[key]
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **more)

    def point(self, x, y, kind="mouseMoved"):
        more = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def screenshot(self, file):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(file, "wb") as out:
            out.write(base64.b64decode(data))

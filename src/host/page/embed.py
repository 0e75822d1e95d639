#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""embed.py HTML CSS JS... - print C source with the page as one document (host/page.h).

The style and the script go between the document's empty <style> and <script>, and the policy allows what has
exactly their hashes and nothing else.
"""
import base64
import hashlib
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def hash_of(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def main():
    html, css, *scripts = (read(path) for path in sys.argv[1:])
    script = "".join(scripts)
    for empty, name, text in (("<style></style>", "style", css), ("<script></script>", "script", script)):
        if html.count(empty) != 1 or f"</{name}" in text:
            sys.exit(f"embed.py: the page must have one {empty}, and its text must not end it")
        html = html.replace(empty, f"<{name}>{text}</{name}>")
    policy = "; ".join((
        "default-src 'none'", "script-src " + hash_of(script), "style-src " + hash_of(css),
        "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"))
    page = html.encode()
    print("/* Made by src/host/page/embed.py. */\n#include \"host/page.h\"\n")
    print("const char page_html[] = {")
    for start in range(0, len(page), 16):
        print("\t" + " ".join("%d," % (byte - 256 if byte > 127 else byte) for byte in page[start:start + 16]))
    print("};\nconst size_t page_html_bytes = sizeof(page_html);")
    print("const char page_policy[] = \"%s\";" % policy)


main()

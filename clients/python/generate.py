#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""generate.py OPENRPC - neap/methods.py for that interface, on standard output.

OPENRPC is what the daemon answers to rpc.discover; the build makes it too:
    clients/python/generate.py build/docs/host-openrpc.json >clients/python/neap/methods.py
"""
import json
import keyword
import re
import sys
import textwrap
from typing import Any, Dict, Iterator, List, Optional, Tuple

Json = Dict[str, Any]
Variant = Tuple[str, List[Json], Optional[str], bool]

LINE = 110
BY_HAND = ("events.subscribe", "vm.console")  # events.py, client.py
TYPES = {"string": "str", "integer": "int", "boolean": "bool", "object": "Dict[str, Any]", "array": "List[Any]"}
PARAMS = {**TYPES, "object": "Mapping[str, Any]", "array": "Sequence[str]"}

HEAD = '''\
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The verbs of a host's daemon: what they take, what they return, how they fail.

Made by generate.py from the daemon's OpenRPC document; edit src/api/*.def instead.
"""
import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, TypeVar

from neap.wire import Call, Error, Outcome, decode_object, make_call, new_key

T = TypeVar("T")

__all__ = [
%s]
'''

MANY = '''

def _outcomes(kind: Type[T], error_of: "Mapping[int, Type[Error]]", value: Any) -> List[Outcome[T]]:
    """The answer to a selector, per VM."""
    outcomes: List[Outcome[T]] = []
    for each in value["results"]:
        error = each.get("error")
        if error is None:
            outcomes.append(Outcome(each["vm"], decode_object(kind, each.get("result", {})), None))
        else:
            kind_of_error = error_of.get(error["code"], Error)
            outcomes.append(Outcome(each["vm"], None, kind_of_error(error["code"], error["message"], error.get("data"))))
    return outcomes
'''

METHODS = '''

class Methods:
    """Each verb as a method. See Calls for what they are as values, to be made in a batch."""

    def do(self, call: Call[T]) -> T:
        raise NotImplementedError
'''


def camel(name: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[._]", name))


def snake(name: str) -> str:
    return name.replace(".", "_")


def variable(name: str) -> str:
    return name + "_" if keyword.iskeyword(name) else name


def result_name(method: Json) -> str:
    return camel(method["name"]) + "Result"


def error_name(identity: str) -> str:
    return camel(identity.lower()) + "Error"


def sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def docstring(text: str, indent: int) -> str:
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = textwrap.wrap(text, LINE - indent - 3, break_long_words=False)
    pad = " " * indent
    body = ("\n" + pad).join(lines)
    return f'{pad}"""{body}"""\n' if len(lines) == 1 and len(lines[0]) + indent + 6 <= LINE else \
        f'{pad}"""{body}\n{pad}"""\n'


def comment(text: str, indent: int) -> str:
    pad = " " * indent + "# "
    return "".join(pad + line + "\n" for line in textwrap.wrap(text, LINE - indent - 2))


def error_classes(document: Json) -> Iterator[str]:
    for identity, error in document["components"]["errors"].items():
        yield f"\n\nclass {error_name(identity)}(Error):\n" + docstring(
            sentence(f"{error['message']}: {error['data']}"), 4) + f"\n    code = {error['code']}\n"
    rows = "".join(f"    {error['code']}: {error_name(identity)},\n"
                   for identity, error in document["components"]["errors"].items())
    yield f"\n\nERRORS: Dict[int, Type[Error]] = {{\n{rows}}}\n"


def members(method: Json) -> Iterator[Tuple[str, Json, bool]]:
    """(name, schema, always there?) of the result for one VM: for a selector the method has a function of its own,
    and the answer to that is the member results."""
    takes_selector = any(param["name"] == "selector" for param in method["params"]) and \
        any(param["name"] == "vm" for param in method["params"])
    for name, member in method["result"]["schema"]["properties"].items():
        if takes_selector and name == "results":
            continue
        text = member["description"].removesuffix("; absent when a selector was given")
        yield name, {**member, "description": text}, "absent when" not in text


def result_class(method: Json) -> Iterator[str]:
    yield f"\n\n@dataclasses.dataclass(frozen=True)\nclass {result_name(method)}:\n"
    yield docstring(f"Of {method['name']}. `raw` is the whole answer.", 4) + "\n"
    yield "    raw: Dict[str, Any] = dataclasses.field(repr=False)\n"
    # Those with a default come last.
    for name, member, is_there in sorted(members(method), key=lambda row: not row[2]):
        kind = TYPES[member["type"]]
        yield comment(member["description"], 4)
        yield f"    {name}: {kind}\n" if is_there else f"    {name}: Optional[{kind}] = None\n"


def signature(params: List[Json], chosen: Optional[str]) -> Tuple[List[str], List[Json]]:
    """(Python parameters after self, names): what is required by position, all others by name."""
    first = [param for param in params if param["required"] or param["name"] == chosen]
    rest = [param for param in params if param not in first]
    words = [f"{variable(param['name'])}: {PARAMS[param['schema']['type']]}" for param in first]
    words += ["*"] if rest else []
    words += [f"{variable(param['name'])}: Optional[{PARAMS[param['schema']['type']]}] = None" for param in rest]
    return words, first + rest


def wrapped(before: str, words: List[str], after: str) -> str:
    """A call or a signature, broken where lines would be too long."""
    text = before + ", ".join(words) + after
    if len(text) <= LINE:
        return text + "\n"
    pad = " " * (before.index("(") + 1)
    lines, line = [], before
    for number, word in enumerate(words):
        piece = word + (", " if number + 1 < len(words) else after)
        if len(line) + len(piece.rstrip()) > LINE and line.strip():
            lines.append(line.rstrip())
            line = pad
        line += piece
    return "\n".join(lines + [line.rstrip()]) + "\n"


def variants(method: Json) -> Iterator[Variant]:
    """(name, parameters, the one that chooses VMs, is it of many): a verb that takes a selector has two."""
    params = method["params"]
    names = {param["name"] for param in params}
    name = snake(method["name"])
    if not {"vm", "selector"} <= names:
        yield name, params, None, False
        return
    yield name, [param for param in params if param["name"] != "selector"], "vm", False
    yield name + "_many", [param for param in params if param["name"] != "vm"], "selector", True


def may_repeat(method: Json) -> bool:
    """Who may not change anything may still ask it: it reads. Else a key must make it known again."""
    reads = {"$ref": "#/components/errors/FORBIDDEN"} not in method["errors"]
    return reads or any(param["name"] == "idempotency_key" for param in method["params"])


def description(method: Json, is_many: bool) -> str:
    more = " All that the selector selects; an outcome per VM." if is_many else ""
    return docstring(sentence(method["summary"]) + more, 8)


def call_function(method: Json, variant: Variant) -> Iterator[str]:
    name, params, chosen, is_many = variant
    words, ordered = signature(params, chosen)
    kind = result_name(method)
    returned = f"List[Outcome[{kind}]]" if is_many else kind
    yield "\n    @staticmethod\n" + wrapped(f"    def {name}(", words, f") -> Call[{returned}]:")
    yield description(method, is_many)
    for param in ordered:
        yield comment(f"{variable(param['name'])}: {param['description']}", 8)
    pairs = []
    for param in ordered:
        value = variable(param["name"])
        if param["name"] == "idempotency_key":
            value = f"{value} or new_key()"
        pairs.append(f'"{param["name"]}": {value}')
    decode = f"_outcomes({kind}, ERRORS, value)" if is_many else f"decode_object({kind}, value)"
    yield wrapped_dict("        params: Dict[str, Any] = {", pairs)
    yield f'        return make_call("{method["name"]}", params, lambda value: {decode}, {may_repeat(method)})\n'


def wrapped_dict(before: str, pairs: List[str]) -> str:
    text = before + ", ".join(pairs) + "}"
    if len(text) <= LINE:
        return text + "\n"
    return before + "\n" + "".join(f"            {pair},\n" for pair in pairs) + "        }\n"


def method_function(method: Json, variant: Variant) -> Iterator[str]:
    name, params, chosen, is_many = variant
    words, ordered = signature(params, chosen)
    kind = result_name(method)
    returned = f"List[Outcome[{kind}]]" if is_many else kind
    yield "\n" + wrapped(f"    def {name}(", ["self"] + words, f") -> {returned}:")
    yield description(method, is_many)
    given = []
    for param in ordered:
        value = variable(param["name"])
        given.append(value if param["required"] or param["name"] == chosen else f"{value}={value}")
    yield wrapped(f"        return self.do(Calls.{name}(", given, "))")


def generate(document: Json) -> Iterator[str]:
    methods = [method for method in document["methods"] if method["name"] not in BY_HAND]
    names = ["Calls", "Methods", "ERRORS"] + [error_name(identity) for identity in document["components"]["errors"]]
    names += [result_name(method) for method in methods]
    yield HEAD % "".join(f'    "{name}",\n' for name in sorted(names))
    yield from error_classes(document)
    for method in methods:
        yield from result_class(method)
    yield MANY
    yield '\n\nclass Calls:\n    """Each verb as a value, to be made later or with others: Host.do(), Host.batch()."""\n'
    for method in methods:
        for variant in variants(method):
            yield from call_function(method, variant)
    yield METHODS
    for method in methods:
        for variant in variants(method):
            yield from method_function(method, variant)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write("".join(generate(json.load(file))))


if __name__ == "__main__":
    main()

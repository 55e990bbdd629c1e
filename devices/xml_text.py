"""XML as devices send it, read into plain values; the one place that touches a parser. Family-independent; no I/O.

Rules
- No document type and no entities of its own: a few hundred bytes of them could ask for gigabytes. The parser stops at
  the first declaration, whatever the document's encoding.
- A document is at most `bytes_max` long, nests at most DEPTH_MAX deep and has at most ELEMENTS_MAX elements.
- Whatever is not so is None, never an exception.
"""

import re
from collections.abc import Iterator
from xml.parsers import expat

from msgspec import Struct, field

DEPTH_MAX = 32
ELEMENTS_MAX = 20_000
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Element(Struct):
    """`name` is local, `namespace` "" when it has none; `prefixes` are those in force here (QNames also stand in text).

    Attributes keep only their local names. `text` is what stands in the element itself, without its children's.
    """

    name: str
    namespace: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def child(self, name: str) -> "Element | None":
        return next((child for child in self.children if child.name == name), None)

    def every(self, name: str) -> "Iterator[Element]":
        """Children of that name."""
        return (child for child in self.children if child.name == name)

    def find(self, *path: str) -> "Element | None":
        found: Element | None = self
        for name in path:
            found = found.child(name) if found else None
        return found

    def said(self, *path: str) -> str | None:
        """The text at the end of `path` without the blanks around it; None when there is no such element."""
        found = self.find(*path)
        return found.text.strip() if found else None

    def walk(self) -> "Iterator[Element]":
        """This element and all below it, in the order of the document."""
        yield self
        for child in self.children:
            yield from child.walk()


class _TooMuch(ValueError):
    """Something that is refused; stops the parser."""


def read_xml(data: bytes, bytes_max: int) -> Element | None:
    """The root of a whole document, or None."""
    if len(data) > bytes_max:
        return None
    builder = _Builder()
    try:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = builder.refuse
        parser.EntityDeclHandler = builder.refuse
        parser.StartNamespaceDeclHandler = builder.declare
        parser.StartElementHandler = builder.start
        parser.EndElementHandler = builder.end
        parser.CharacterDataHandler = builder.characters
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError):  # the latter two: encodings that Python does not have
        return None
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._declared: dict[str, str] = {}
        self._count = 0

    def refuse(self, *_: object) -> None:
        raise _TooMuch

    def declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= DEPTH_MAX or self._count > ELEMENTS_MAX:
            raise _TooMuch
        namespace, _, local = name.rpartition(" ")
        scope = self._open[-1].prefixes if self._open else {}
        if self._declared:
            scope, self._declared = {**scope, **self._declared}, {}
        element = Element(
            name=local,
            namespace=namespace,
            attributes={key.rpartition(" ")[2]: value for key, value in attributes.items()},
            prefixes=scope,
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def characters(self, text: str) -> None:
        self._texts[-1].append(text)

    def end(self, _: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())


def escaped(text: str) -> str:
    """Text for an attribute in double quotes or between tags; characters that XML cannot hold are left out."""
    clean = NOT_XML.sub("", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BOOKS, nameOf, numberText, say, unitText } from "../src/words";

// The server's own tables are read from their source: a kind that is added there without words here fails this test.
const source = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const names = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((found) => found[1] ?? "");

const dictionary = source("devices/dictionary.py");
const incidents = source("hub/incidents.py");
const enrolment = source("edge/enrolment.py");
const tuple = (name: string, of = incidents) => names(new RegExp(`${name} = \\(([^)]*)\\)`).exec(of)?.[1] ?? "", /"(\w+)"/g);

describe("the two books", () => {
  it("have the same keys, and no empty word but the unit one", () => {
    expect(Object.keys(BOOKS.zh).sort()).toEqual(Object.keys(BOOKS.en).sort());
    for (const book of Object.values(BOOKS)) {
      expect(Object.entries(book).filter(([, word]) => word.trim() === "").map(([key]) => key)).toEqual(["unit.1"]);
    }
  });

  it("have the same places in each word", () => {
    const places = (word: string) => names(word, /\{(\w+)\}/g).sort();
    for (const [key, word] of Object.entries(BOOKS.en)) expect([key, places(BOOKS.zh[key as keyof typeof BOOKS.zh])]).toEqual([key, places(word)]);
  });
});

describe.each(["zh", "en"] as const)("what the server can say, in %s", (language) => {
  it.each([
    ["alarm", names(dictionary, /AlarmKind\("(\w+)"/g), 29],
    ["event", names(dictionary, /EventKind\("(\w+)"/g), 20],
    ["metric", names(dictionary, /Metric\("(\w+)"/g), 33],
    ["group", names(dictionary, /AlarmKind\("\w+", P\d, "(\w+)"/g), 29],
    ["action", [...tuple("ACTIONS_OF_PEOPLE"), ...tuple("ACTIONS_OF_THE_HUB")], 10],
    ["did", [...tuple("ACTIONS_OF_PEOPLE"), ...tuple("ACTIONS_OF_THE_HUB")], 10],
    ["phase", names(incidents, /^    [A-Z_]+ = "(\w+)"$/gm), 6],
    ["refusal", tuple("REASONS", enrolment), 6],
    ["short", names(incidents, /^    [A-Z_]+ = "(\w+)"$/gm), 6],
  ] as const)("has words for every %s", (family, found, atLeast) => {
    expect(found.length).toBeGreaterThanOrEqual(atLeast);
    const missing = found.filter((name) => !Object.hasOwn(BOOKS[language], `${family}.${name}`));
    expect(missing).toEqual([]);
  });
});

describe("words", () => {
  it("fill their places and leave unknown ones alone", () => {
    expect(say("en", "incident.number", { number: 12 })).toBe("Incident 12");
    expect(say("en", "incident.number")).toBe("Incident {number}");
  });

  it("fall back to the name for what they do not know, whatever it is called", () => {
    expect(nameOf("zh", "alarm", "smoke")).toBe("烟雾报警");
    expect(nameOf("zh", "alarm", "flood_gate")).toBe("flood_gate");
    expect(nameOf("en", "alarm", "__proto__")).toBe("__proto__");
  });

  it("write numbers and units as people do", () => {
    expect(numberText(1234567)).toBe("1,234,567");
    expect(numberText(36.649)).toBe("36.6");
    expect(unitText("Cel")).toBe("°C");
    expect(unitText("constructor")).toBe("constructor");
  });
});

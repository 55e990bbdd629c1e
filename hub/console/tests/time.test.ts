import { describe, expect, it } from "vitest";
import { ageText, clockText, deltaText, momentText, roughAgeText } from "../src/time";

const words = { second: "s", minute: "min", hour: "h", day: "d" };
const S = 1000;

describe("ages", () => {
  it.each([
    [-5 * S, "0 s"],
    [8.9 * S, "8 s"],
    [134 * S, "2:14"],
    [3734 * S, "1:02:14"],
    [(3 * 86_400 + 4 * 3600 + 59) * S, "3 d 4 h"],
  ])("%d ms is %s", (age, text) => expect(ageText(age, words)).toBe(text));

  it.each([
    [59 * S, "59 s"],
    [60 * S, "1 min"],
    [3600 * S, "1 h"],
    [90_000 * S, "1 d"],
  ])("%d ms is roughly %s", (age, text) => expect(roughAgeText(age, words)).toBe(text));
});

describe("the way of an alarm", () => {
  const at = "2026-11-24T12:00:00.000Z";
  it("is short for machines and rough for people", () => {
    expect(deltaText(at, "2026-11-24T12:00:00.124Z", words)).toBe("+0.12 s");
    expect(deltaText(at, "2026-11-24T12:00:04.300Z", words)).toBe("+4.3 s");
    expect(deltaText(at, "2026-11-24T12:10:04.300Z", words)).toBe("+10 min");
  });
  it("says when a device's clock is ahead, and nothing for what has not happened", () => {
    expect(deltaText(at, "2026-11-24T11:59:59.500Z", words)).toBe("−0.50 s");
    expect(deltaText(at, null, words)).toBe("");
  });
});

describe("clock times", () => {
  it("are the site's, in 24 hours", () => {
    expect(clockText("2026-11-24T16:05:09Z", "Asia/Shanghai")).toBe("00:05:09");
  });
  it("name the day when it is another one there", () => {
    const now = Date.parse("2026-11-24T16:30:00Z"); // after midnight in Shanghai
    expect(momentText("2026-11-24T16:05:09Z", "Asia/Shanghai", now)).toBe("00:05:09");
    expect(momentText("2026-11-24T15:05:09Z", "Asia/Shanghai", now)).toBe("2026-11-24 23:05:09");
  });
});

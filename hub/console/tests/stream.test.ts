import { describe, expect, it } from "vitest";
import { backoffMs, EventCutter } from "../src/stream";

const TEXT = ': heartbeat\n\nevent: hello\ndata: {"at":"2026"}\n\nevent: x\r\ndata: one\r\ndata: two\r\n\r\ndata\n\n';
const WANTED = [
  { event: "hello", data: '{"at":"2026"}' },
  { event: "x", data: "one\ntwo" },
  { event: "message", data: "" },
];

describe("the cutter", () => {
  it("finds the same events whatever the chunks", () => {
    for (let size = 1; size <= TEXT.length; size += 1) {
      const cutter = new EventCutter();
      const found = [];
      for (let at = 0; at < TEXT.length; at += size) found.push(...cutter.receive(TEXT.slice(at, at + size)));
      expect([size, found]).toEqual([size, WANTED]);
    }
  });

  it("gives up on a frame that never ends", () => {
    const cutter = new EventCutter();
    expect(() => {
      for (let index = 0; index < 50; index += 1) cutter.receive("x".repeat(100_000));
    }).toThrow();
  });
});

describe("coming back", () => {
  it("waits longer each time, up to a limit, and never less than a little", () => {
    expect(backoffMs(0, 0)).toBe(500);
    expect(backoffMs(0, 1)).toBe(1000);
    expect(backoffMs(3, 1)).toBe(4500);
    expect(backoffMs(1000, 1)).toBe(15_500);
  });
});

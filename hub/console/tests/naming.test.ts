import { describe, expect, it } from "vitest";
import { deviceText, lastChanges, latestIn, outputText, partBook, partText, ruleCause, sounds } from "../src/naming";
import type { DeviceEvent } from "../src/types";

const panel = { name: "Guest house panel", name_zh: "水乡客栈消防主机", kind: "panel" };

describe("a device's name", () => {
  it("is the site file's, in the language when it has it", () => {
    expect(deviceText("en", "gbt26875:889", panel)).toBe("Guest house panel");
    expect(deviceText("zh", "gbt26875:889", panel)).toBe("水乡客栈消防主机");
    expect(deviceText("zh", "gbt26875:889", { ...panel, name_zh: "" })).toBe("Guest house panel");
  });

  it("is kind and number when the file does not name it, and its id when nobody knows it", () => {
    const unnamed = { name: "gateway:gw-1", name_zh: "", kind: "gateway" };
    expect(deviceText("en", "gateway:gw-1", unnamed)).toBe("Gateway gw-1");
    expect(deviceText("zh", "gateway:gw-1", unnamed)).toBe("网关 gw-1");
    expect(deviceText("en", "watch:1", undefined)).toBe("watch:1");
  });
});

describe("a part's name", () => {
  it("is what the device calls it", () => expect(partText("en", "1-3-0x00000012", "Room 18 ")).toBe("Room 18"));

  it("is its number else, and a system is named by its type", () => {
    expect(partText("en", "1-3-0x00000012")).toBe("Part 18");
    expect(partText("zh", "1-3-0x00000012")).toBe("18号部件");
    expect(partText("en", "12-1")).toBe("Sprinkler system 1");
    expect(partText("en", "250-1")).toBe("System 1");
    expect(partText("en", "door:2")).toBe("Part door:2");
  });

  it("is remembered from the newest report that had words for it", () => {
    const of = (device: string, description: string) => ({ device, component: "1-3-0x00000012", description });
    const book = partBook([of("a:1", ""), of("a:1", "Room 18"), of("a:1", "old name"), of("a:2", "Kitchen")]);
    expect([...book]).toEqual([["a:1 1-3-0x00000012", "Room 18"], ["a:2 1-3-0x00000012", "Kitchen"]]);
  });
});

describe("an output's name", () => {
  const zones = (zone: string) => (zone === "guest-house" ? "Guest house" : null);

  it("says what it is and where", () => {
    expect(outputText("en", "siren-guest-house", zones)).toBe("Siren · Guest house");
    expect(outputText("zh", "siren", zones)).toBe("警报器");
    expect(outputText("en", "door-west-2", zones)).toBe("Door · west 2");
  });

  it("is left as it is when it is of another make", () => {
    expect(outputText("en", "relay7", zones)).toBe("relay7");
    expect(outputText("en", "constructor-1", zones)).toBe("constructor-1");
  });

  it("reads until when a command without an answer may still be done", () => {
    expect(latestIn("no answer within 5 s: it may have been done, and may still be done until 2026-11-25T01:20:00Z")).toBe("2026-11-25T01:20:00Z");
    expect(latestIn("too many commands")).toBeNull();
  });

  it("tells what sounds", () => expect(["siren-a", "bell", "door-a"].map(sounds)).toEqual([true, true, false]));

  it("reads why a rule drove it, and nothing else", () => {
    expect(ruleCause("rule smoke-siren: smoke of gbt26875:889")).toEqual({ rule: "smoke-siren", kind: "smoke", device: "gbt26875:889" });
    expect(ruleCause("command 00ff")).toBeNull();
  });
});

describe("the last change of an output", () => {
  const act = (at: number, state: string, more: Record<string, string> = {}) =>
    ({ kind: "actuator", observed_at: String(at), attributes: { name: "siren-a", state, ...more } }) as unknown as DeviceEvent;
  const since = (...events: DeviceEvent[]) => lastChanges(events).get("siren-a")?.observed_at;

  it("is the first of the acts that say the same, newest first", () => {
    expect(since(act(4, "on"), act(3, "on"), act(2, "off"), act(1, "on"))).toBe("3");
    expect(since(act(2, "off"), act(1, "on"))).toBe("2");
    expect(since()).toBeUndefined();
  });

  it("is the failure when the newest act failed, and a failure before it does not count", () => {
    expect(since(act(3, "off", { error: "no such file" }), act(2, "off"))).toBe("3");
    expect(since(act(3, "off"), act(2, "off", { error: "no such file" }))).toBe("3");
  });
});

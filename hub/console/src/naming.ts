// Names for what has only an address: parts of a device, outputs, devices that no site file names. Pure.

import type { Device, DeviceEvent } from "./types";
import { nameOf, say, type Language } from "./words";

/** The site file's name in the language; a device that it does not name is its kind and number, "Gateway gw-1". */
export function deviceText(language: Language, id: string, device: Pick<Device, "name" | "name_zh" | "kind"> | undefined): string {
  if (!device) return id;
  if (device.name !== id) return (language === "zh" && device.name_zh) || device.name;
  const number = id.slice(id.indexOf(":") + 1);
  return say(language, "title.device", { kind: nameOf(language, "kind", device.kind), number });
}

const FIRE_PART = /^(\d+)-(\d+)(?:-0x([0-9a-f]{8}))?$/;

/** What people call a part: the device's own words when it has some, else its number. */
export function partText(language: Language, component: string, described = ""): string {
  if (described.trim() !== "") return described.trim();
  const found = FIRE_PART.exec(component);
  if (!found) return say(language, "part.number", { number: component });
  const [, type = "", address = "", part] = found;
  if (part !== undefined) return say(language, "part.number", { number: Number.parseInt(part, 16) });
  const system = nameOf(language, "system", type);
  return say(language, "part.system", { system: system === type ? nameOf(language, "system", "0") : system, number: address });
}

interface Described {
  device: string;
  component: string;
  description: string;
}

/** What devices call their parts, by "device component"; the first word for each counts, so newest first. */
export function partBook(reports: Iterable<Described>): ReadonlyMap<string, string> {
  const book = new Map<string, string>();
  for (const { device, component, description } of reports) {
    const key = `${device} ${component}`;
    if (component && description && !book.has(key)) book.set(key, description);
  }
  return book;
}

/** "siren-guest-house" is the siren of zone guest-house; a name of another make is shown as it is. */
export function outputText(language: Language, actuator: string, zoneName: (zone: string) => string | null): string {
  const [kind = "", ...rest] = actuator.split("-");
  const word = nameOf(language, "output", kind);
  if (word === kind) return actuator;
  const where = rest.join("-");
  return where === "" ? word : `${word} · ${zoneName(where) ?? rest.join(" ")}`;
}

const SOUNDING: ReadonlySet<string> = new Set(["siren", "sounder", "bell", "speaker"]);

/** Whether switching it off is silencing it. */
export function sounds(actuator: string): boolean {
  return SOUNDING.has(actuator.split("-")[0] ?? "");
}

export interface OutputCause {
  rule: string;
  kind: string;
  device: string;
}

/** A rule's cause as the edge writes it, "rule smoke-siren: smoke of gbt26875:889"; null when it is something else. */
export function ruleCause(cause: string): OutputCause | null {
  const found = /^rule (\S+): (\S+) of (\S+)$/.exec(cause);
  return found ? { rule: found[1] ?? "", kind: found[2] ?? "", device: found[3] ?? "" } : null;
}

/** Of a gateway's events, newest first: for each output the one that brought it to what it is now, or the failure. */
export function lastChanges(events: readonly DeviceEvent[]): ReadonlyMap<string, DeviceEvent> {
  const found = new Map<string, DeviceEvent>();
  const settled = new Set<string>();
  for (const event of events) {
    const { name: output, state, error } = event.attributes;
    if (event.kind !== "actuator" || !output || settled.has(output)) continue;
    const newer = found.get(output);
    if (newer && (error || newer.attributes["state"] !== state)) settled.add(output);
    else found.set(output, event);
    if (error) settled.add(output);
  }
  return found;
}

/** The moment that the reason of an unanswered command ends with: until then it may still be done. */
export function latestIn(reason: string): string | null {
  return /until (\d{4}-\d\d-\d\dT[\d:.]+Z)$/.exec(reason)?.[1] ?? null;
}

// Words by key, with {places}. Names that the hub sends (alarm kinds, metrics, …) fall back to themselves when there is
// no word for them yet: a newer hub must not make an older console blank. Pure; state/preferences holds the language.

import { en, type Word } from "./en";
import { zh } from "./zh";

export type { Word };
export type Language = "zh" | "en";

export const BOOKS: Record<Language, Record<Word, string>> = { en, zh };

export type Places = Record<string, string | number>;

export function say(language: Language, word: Word, places: Places = {}): string {
  return BOOKS[language][word].replace(/\{(\w+)\}/g, (whole, name: string) => String(places[name] ?? whole));
}

export type Family = "action" | "did" | "phase" | "short" | "priority" | "group" | "alarm" | "event" | "metric" | "kind" | "fix" | "purpose" | "actuator" | "output" | "system" | "refusal";

/** The word for a name of the hub's, else the name itself. */
export function nameOf(language: Language, family: Family, name: string): string {
  const key = `${family}.${name}`;
  return Object.hasOwn(BOOKS[language], key) ? BOOKS[language][key as Word] : name;
}

const UNITS: Record<string, string> = {
  "1": "", "/min": "/min", "mm[Hg]": "mmHg", Cel: "°C", MBy: "MB", "m3/min": "m³/min", "%": "%",
  "[ppm]": "ppm", "dB[mW]": "dBm", "kW.h": "kWh", "ug/m3": "µg/m³", "mg/m3": "mg/m³", deg: "°",
};

/** A UCUM unit as people write it. */
export function unitText(unit: string): string {
  return Object.hasOwn(UNITS, unit) ? (UNITS[unit] ?? unit) : unit;
}

/** At most four significant digits, no exponent, thousands apart. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 1 : 2;
  return new Intl.NumberFormat("en-US", { maximumFractionDigits: digits }).format(value);
}

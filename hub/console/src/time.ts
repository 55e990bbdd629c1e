// Ages and clock texts. `now` is always the hub's time: see state/clock.

export interface AgeWords {
  second: string;
  minute: string;
  hour: string;
  day: string;
}

/** For a glance: 8 s, 2:14, 1:02:14, 3 d 4 h. Never negative. */
export function ageText(ageMs: number, words: AgeWords): string {
  const s = Math.max(0, Math.floor(ageMs / 1000));
  if (s < 60) return `${s} ${words.second}`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes}:${two(s % 60)}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}:${two(minutes % 60)}:${two(s % 60)}`;
  return `${Math.floor(hours / 24)} ${words.day} ${hours % 24} ${words.hour}`;
}

/** For old or unimportant ages, one unit: 8 s, 2 min, 5 h, 3 d. */
export function roughAgeText(ageMs: number, words: AgeWords): string {
  const s = Math.max(0, Math.floor(ageMs / 1000));
  if (s < 60) return `${s} ${words.second}`;
  if (s < 3600) return `${Math.floor(s / 60)} ${words.minute}`;
  if (s < 86_400) return `${Math.floor(s / 3600)} ${words.hour}`;
  return `${Math.floor(s / 86_400)} ${words.day}`;
}

/** The machine's form of an age, for `datetime` of <time>. */
export function duration(ageMs: number): string {
  return `PT${Math.max(0, Math.floor(ageMs / 1000))}S`;
}

/** "+0.12 s" between two times; "" when one is missing. */
export function deltaText(from: string, to: string | null, words: AgeWords): string {
  if (to === null) return "";
  const ms = Date.parse(to) - Date.parse(from);
  const sign = ms < 0 ? "−" : "+";
  const size = Math.abs(ms);
  if (size < 9_950) return `${sign}${(size / 1000).toFixed(size < 995 ? 2 : 1)} ${words.second}`;
  return `${sign}${roughAgeText(size, words)}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(key: string, zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const name = `${key} ${zone}`;
  let found = formats.get(name);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    formats.set(name, found);
  }
  return found;
}

/** 21:04:09 in the site's time zone. */
export function clockText(iso: string, zone: string): string {
  return format("clock", zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(iso));
}

/** 2026-11-24 in the site's time zone. */
export function dayText(iso: string, zone: string): string {
  const parts = format("day", zone, { year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(new Date(iso));
  const part = (type: string) => parts.find((found) => found.type === type)?.value ?? "";
  return `${part("year")}-${part("month")}-${part("day")}`;
}

/** The clock alone on the same day, else with the date. */
export function momentText(iso: string, zone: string, nowMs: number): string {
  const day = dayText(iso, zone);
  const clock = clockText(iso, zone);
  return day === dayText(new Date(nowMs).toISOString(), zone) ? clock : `${day} ${clock}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

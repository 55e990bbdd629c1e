// What this browser remembers: language, theme, whether alarms may sound.

import { nameOf, say, type Language, type Places, type Word } from "../words";

export type Theme = "system" | "light" | "dark";

const KEY = "gridward.";

function remembered<T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
  try {
    const found = localStorage.getItem(KEY + name) as T | null;
    return found !== null && allowed.includes(found) ? found : otherwise;
  } catch {
    return otherwise; // storage is switched off: nothing is remembered
  }
}

function remember(name: string, value: string): void {
  try {
    localStorage.setItem(KEY + name, value);
  } catch {
    // see above
  }
}

class Preferences {
  language = $state<Language>(
    remembered("language", ["zh", "en"], navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"),
  );
  theme = $state<Theme>(remembered("theme", ["system", "light", "dark"], "system"));
  sound = $state(remembered("sound", ["on", "off"], "off") === "on");
  private systemDark = $state(false);

  constructor() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    this.systemDark = dark.matches;
    dark.addEventListener("change", () => (this.systemDark = dark.matches));
  }

  get dark(): boolean {
    return this.theme === "system" ? this.systemDark : this.theme === "dark";
  }

  setLanguage(language: Language): void {
    this.language = language;
    remember("language", language);
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    remember("theme", theme);
  }

  setSound(on: boolean): void {
    this.sound = on;
    remember("sound", on ? "on" : "off");
  }
}

export const preferences = new Preferences();

/** The word in the language of this moment; reactive in templates. */
export function t(word: Word, places: Places = {}): string {
  return say(preferences.language, word, places);
}

export function name(family: Parameters<typeof nameOf>[1], of: string): string {
  return nameOf(preferences.language, family, of);
}

/** The one of two names that fits the language. */
export function local(zh: string | null | undefined, en: string | null | undefined): string {
  return (preferences.language === "zh" ? zh || en : en || zh) ?? "";
}

export function ageWords() {
  return { second: t("age.second"), minute: t("age.minute"), hour: t("age.hour"), day: t("age.day") };
}

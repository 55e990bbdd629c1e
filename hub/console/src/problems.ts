// What went wrong, in words that say what to do. Pure.

import { ApiError } from "./api";
import { say, type Language } from "./words";

export function problemText(language: Language, error: unknown): string {
  if (!(error instanceof ApiError)) return say(language, "problem.other", { status: "?", detail: String(error) });
  const { status, detail } = error;
  if (status === 0) return say(language, "problem.unreachable");
  if (status === 401) return say(language, "problem.session");
  if (status === 403) return say(language, "problem.forbidden");
  if (status === 404) return say(language, "problem.missing");
  if (status === 409) return say(language, "problem.refused", { detail });
  if (status === 412) return say(language, "problem.stale");
  if (status === 400 || status === 422) return say(language, "problem.invalid", { detail });
  if (status === 429) return say(language, "problem.limited");
  if (status >= 500) return say(language, "problem.broken", { status });
  return say(language, "problem.other", { status, detail });
}

/** The login's own answers; everything else as elsewhere. */
export function loginProblemText(language: Language, error: unknown): string {
  if (error instanceof ApiError && error.status === 401) return say(language, "login.wrong");
  if (error instanceof ApiError && error.status === 429) {
    return error.retryAfterS
      ? say(language, "login.limited", { seconds: Math.ceil(error.retryAfterS) })
      : say(language, "login.limitedPlain");
  }
  return problemText(language, error);
}

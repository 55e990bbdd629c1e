// Requests to the hub. The session lives in an HttpOnly cookie: no token is ever held here.

import type { Page } from "./types";

/** What the hub, or the way to it, answered instead of a result. `status` 0: the hub was not reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly detail: string;
  readonly retryAfterS: number | null;

  constructor(status: number, detail: string, retryAfterS: number | null = null) {
    super(`${status} ${detail}`);
    this.status = status;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
  }
}

const ROOT = "/api/v1";
const REQUEST_MS_MAX = 15_000;
const PAGE_ITEMS = 200;

type Handler = () => void;
let signedOut: Handler = () => {};
let sessions = 0;

/** Called once for each 401 outside the login itself. */
export function onSignedOut(handler: Handler): void {
  signedOut = handler;
}

/** Somebody has signed in: a 401 to a request that was sent before says nothing about the new session. */
export function sessionBegan(): void {
  sessions += 1;
}

export function endpoint(path: string): string {
  return ROOT + path;
}

/** `/incidents/{n}/steps` with each part escaped: device names hold colons and whatever a vendor likes. */
export function route(strings: TemplateStringsArray, ...parts: (string | number)[]): string {
  return strings.reduce((path, text, index) => path + encodeURIComponent(String(parts[index - 1])) + text);
}

export function query(values: Record<string, string | number | null | undefined>): string {
  const found = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (found.length === 0) return "";
  return `?${new URLSearchParams(found.map(([name, value]) => [name, String(value)])).toString()}`;
}

export async function problemOf(response: Response): Promise<ApiError> {
  const wait = Number(response.headers.get("Retry-After") ?? "");
  const retryAfterS = Number.isFinite(wait) && wait > 0 ? wait : null;
  let detail = "";
  try {
    const body: unknown = await response.json();
    if (body && typeof body === "object") {
      const problem = body as { detail?: unknown; title?: unknown };
      const said = problem.detail ?? problem.title;
      detail = typeof said === "string" ? said : "";
    }
  } catch {
    // Not JSON: some proxy answered. The status says enough.
  }
  return new ApiError(response.status, detail, retryAfterS);
}

export async function get<T>(path: string): Promise<T> {
  return (await request("GET", path)) as T;
}

export async function post<T>(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  return (await request("POST", path, body, headers)) as T;
}

export async function remove(path: string): Promise<void> {
  await request("DELETE", path);
}

/** All items of a list, page by page, at most `max` of them. */
export async function list<T>(path: string, values: Record<string, string | number>, max: number): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await get(path + query({ ...values, limit: Math.min(PAGE_ITEMS, max), cursor }));
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && items.length < max);
  return items.slice(0, max);
}

async function request(method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<unknown> {
  const headers: Record<string, string> = { Accept: "application/json", ...more };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const asked = sessions;
  let response: Response;
  try {
    response = await fetch(endpoint(path), {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, "");
  }
  if (!response.ok) {
    if (response.status === 401 && path !== "/login" && asked === sessions) signedOut();
    throw await problemOf(response);
  }
  if (response.status === 204) return undefined;
  return response.json();
}

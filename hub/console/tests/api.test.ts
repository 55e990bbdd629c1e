import { afterEach, expect, it, vi } from "vitest";
import { get, onSignedOut, sessionBegan } from "../src/api";

afterEach(() => vi.unstubAllGlobals());

/** Requests wait until `refuse` answers all of them with 401. */
function slowHub() {
  const waiting: (() => void)[] = [];
  const answer = () => new Response(JSON.stringify({ detail: "no session" }), { status: 401 });
  vi.stubGlobal("fetch", () => new Promise<Response>((resolve) => waiting.push(() => resolve(answer()))));
  return { refuse: () => waiting.splice(0).forEach((go) => go()) };
}

it("a refusal of this session signs out; one that was asked for in an earlier session does not", async () => {
  const ended = vi.fn();
  onSignedOut(ended);
  const hub = slowHub();

  const early = get("/devices");
  sessionBegan();
  hub.refuse();
  await expect(early).rejects.toMatchObject({ status: 401 });
  expect(ended).not.toHaveBeenCalled();

  const now = get("/devices");
  hub.refuse();
  await expect(now).rejects.toMatchObject({ status: 401 });
  expect(ended).toHaveBeenCalledOnce();
});

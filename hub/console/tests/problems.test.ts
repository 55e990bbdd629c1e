import { describe, expect, it } from "vitest";
import { ApiError, problemOf, query, route } from "../src/api";
import { loginProblemText, problemText } from "../src/problems";

const answer = (status: number, body: string, headers: Record<string, string> = {}) => new Response(body, { status, headers });

describe("answers that are no result", () => {
  it("keep the hub's own explanation", async () => {
    const error = await problemOf(answer(409, JSON.stringify({ title: "Conflict", status: 409, detail: "still raised: smoke" })));
    expect([error.status, error.detail]).toEqual([409, "still raised: smoke"]);
    expect(problemText("en", error)).toBe("The hub refused it: still raised: smoke");
  });

  it("survive a proxy that answers with a page", async () => {
    const error = await problemOf(answer(502, "<html>Bad gateway</html>"));
    expect(error.detail).toBe("");
    expect(problemText("en", error)).toContain("502");
  });

  it.each([0, 400, 401, 403, 404, 409, 412, 418, 422, 429, 500, 503])("have words for %d in both languages", (status) => {
    const [zh, en] = (["zh", "en"] as const).map((language) => problemText(language, new ApiError(status, "detail")));
    expect(zh).not.toBe(en);
    expect(zh).toMatch(/\p{Script=Han}/u);
  });

  it("name what is wrong at the login", async () => {
    expect(loginProblemText("en", new ApiError(401, ""))).toBe("Name or password is wrong.");
    expect(loginProblemText("en", await problemOf(answer(429, "{}", { "Retry-After": "12" })))).toContain("12 s");
    expect(loginProblemText("en", new ApiError(429, ""))).toBe("Too many attempts. Try again later.");
  });
});

describe("paths", () => {
  it("escape what devices are called", () => {
    expect(route`/devices/${"watch:88/../01?"}/values`).toBe("/devices/watch%3A88%2F..%2F01%3F/values");
  });
  it("leave out what is not asked", () => {
    expect(query({ limit: 50, cursor: null, zone: "", kind: undefined })).toBe("?limit=50");
    expect(query({})).toBe("");
  });
});

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// The address of a running hub, for `npm run dev` only.
const hub = process.env["GRIDWARD_HUB"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte({ configFile: false })],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy has no data: scripts, and hashed files are cached for good
    chunkSizeWarningLimit: 1200,
    reportCompressedSize: false,
    rolldownOptions: { checks: { bundlerTimings: false } }, // how long plugins took is no warning to whoever installs
  },
  worker: { format: "es" },
  server: { proxy: { "/api": { target: hub } } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});

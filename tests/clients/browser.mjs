// The client that browser extensions bundle, in a page that calls the server across origins.

import { createServer } from "node:http";

import chromium from "@sparticuz/chromium";
import { build } from "esbuild";
import puppeteer from "puppeteer-core";

import { apiKey, host, projectId, report } from "./common.mjs";

// The server of the test allows the first.
const allowed = "http://app.example.com";
const stranger = "http://stranger.example.com";

const { outputFiles } = await build({
  stdin: {
    contents: `
      export { MemoryClient } from "mem0ai-2";
      export { MemoryClient as NewestClient } from "mem0ai";
    `,
    resolveDir: import.meta.dirname,
  },
  bundle: true,
  format: "iife",
  globalName: "mem0",
  // What the newest looks for where it finds a Node, and only there.
  external: ["fs", "path", "os", "crypto"],
  banner: { js: 'var process = { env: { MEM0_TELEMETRY: "false" } };' },
  write: false,
  logLevel: "error",
});

const page = createServer((request, response) => {
  const isScript = request.url === "/bundle.js";
  response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? outputFiles[0].contents : '<script src="/bundle.js"></script>');
});
await new Promise((resolve) => page.listen(0, "127.0.0.1", resolve));
const address = `127.0.0.1:${page.address().port}`;

const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  headless: "shell",
  // It ends with this program, also when that is killed.
  pipe: true,
  // Not chromium.args: they switch off what is tried here.
  args: [
    "--no-sandbox",
    "--disable-gpu",
    `--host-resolver-rules=MAP *.example.com ${address}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
  ],
});
try {
  const tab = await browser.newPage();
  await tab.goto(allowed);
  const said = await tab.evaluate(asAnExtension, { apiKey, host, projectId });
  said.newest = await tab.evaluate(asAWebPage, { apiKey, host });
  await tab.goto(stranger);
  said.stranger = await tab.evaluate(asAStranger, { apiKey, host });
  report({ ...said, browser: await browser.version() });
} finally {
  await browser.close();
  page.close();
}

// These three run in the page.

async function asAnExtension({ apiKey, host, projectId }) {
  const user_id = "youtube-assistant-mem0";
  const client = new mem0.MemoryClient({ apiKey, host, projectId });
  const said = { origin: location.origin };
  await client.ping();
  said.project = await client.updateProject({ custom_instructions: "Keep what they learn." });
  const question = [{ role: "user", content: "I am learning to bake.\n\nVideo title: Bread" }];
  said.added = await client.add(question, { user_id, metadata: { videoId: "v1" } });
  said.found = await client.search("What do I learn?", { user_id, limit: 5 });
  said.page = await client.getAll({ user_id, page: 1, page_size: 50 });
  said.all = await client.getAll({ user_id });
  const [{ id }] = said.found;
  // As it is meant; then as the extension does it, whose text gets lost.
  said.updated = await client.update(id, { text: "I can bake." });
  said.notUpdated = await client.update(id, "I can bake bread.").catch(({ message }) => message);
  said.deleted = await client.delete(id);
  await client.add([{ role: "user", content: "I like tea." }], { user_id });
  said.deletedAll = await client.deleteAll({ user_id });
  said.left = await client.getAll({ user_id, page: 1, page_size: 50 });
  return said;
}

async function asAWebPage({ apiKey, host }) {
  const client = new mem0.NewestClient({ apiKey, host });
  await client.add([{ role: "user", content: "I like tea." }], { userId: "ann", infer: false });
  const { results } = await client.search("tea", { filters: { user_id: "ann" } });
  const refused = await client.get("x").catch(({ name }) => name);
  // Every header that a client of Mem0 may send.
  const names = ["Idempotency-Key", "Mem0-User-ID", "X-API-Key", "X-Application", "X-Mem0-Client"];
  const headers = Object.fromEntries([...names, "X-Mem0-Source"].map((name) => [name, apiKey]));
  const { status } = await fetch(`${host}/v1/ping/`, { headers });
  return { memory: results[0].memory, refused, status };
}

async function asAStranger({ apiKey, host }) {
  const client = new mem0.MemoryClient({ apiKey, host });
  return client.ping().catch(({ message }) => message);
}

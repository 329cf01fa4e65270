// Mem0's own client, as a program uses it: every method.

import { Feedback, MemoryClient, WebhookEvent } from "mem0ai";

import { apiKey, host, projectId, refusal, report, until } from "./common.mjs";

const called = new Set();
const client = new Proxy(new MemoryClient({ apiKey, host }), {
  get(target, name) {
    called.add(name);
    const value = target[name];
    return typeof value === "function" ? value.bind(target) : value;
  },
});
const said = {};
const ann = { user_id: "ann" };
const missing = "00000000-0000-4000-8000-000000000000";

const text = (content) => [{ role: "user", content }];
const store = async (content, options) => {
  const { results } = await client.add(text(content), { userId: "ann", infer: false, ...options });
  return results[0].id;
};
const listed = async (filters, options) => {
  const { results } = await client.getAll({ filters, ...options });
  return results.map(({ memory }) => memory);
};

await client.ping();

// Add, and wait for what is under way.
said.pending = await client.add(
  [...text("I am allergic to peanuts."), { role: "assistant", content: "Noted." }],
  { userId: "ann", runId: "r1", metadata: { firstSeen: "here", last_seen: { byWhom: "me" } } },
);
const ofRun = () => client.getAll({ filters: { AND: [ann, { run_id: "r1" }] } });
said.learned = await until(ofRun, ({ count }) => count > 0);
said.stored = await client.add(text("I live in Oslo."), {
  userId: "ann",
  agentId: "guide",
  appId: "travel",
  runId: "r2",
  infer: false,
  metadata: { tripNumber: 1 },
  timestamp: 86_400,
  expirationDate: "2999-12-31",
  customCategories: [{ homeTown: "where somebody lives" }],
  customInstructions: "Keep towns.",
  structuredDataSchema: { homeTown: "string" },
});
const oslo = said.stored.results[0].id;
said.got = await client.get(oslo);

// List and search.
const old = await store("The sale ends today.", { expirationDate: "2020-01-01" });
await store("I am allergic to cats.", { userId: "bob" });
said.page = await client.getAll({ filters: ann, page: 1, pageSize: 1 });
said.camelCase = await listed({ userId: "bob" });
said.since = await listed(ann, { startDate: "1970-01-01", endDate: "1970-01-03" });
said.expired = await listed(ann, { showExpired: true, latestOnly: true });
said.found = await client.search("Where do I live?", {
  filters: { AND: [ann, { app_id: "travel" }] },
  topK: 1,
  threshold: 0.1,
  rerank: true,
  latestOnly: true,
  showExpired: false,
  keywordSearch: true,
  referenceDate: "2026-11-24",
  source: "OTHERS",
});
said.fields = await client.search("allergies", {
  filters: { OR: [{ userId: "ann" }, { userId: "bob" }] },
  topK: 2,
  fields: ["user_id"],
});

// Change, with its history.
said.updated = await client.update(oslo, {
  text: "I live in Rome.",
  metadata: { tripNumber: 2, bySea: true },
  timestamp: "1970-01-03T00:00:00Z",
  expirationDate: null,
});
said.feedback = await client.feedback({
  memoryId: oslo,
  feedback: Feedback.POSITIVE,
  feedbackReason: "True.",
});
said.history = await client.history(oslo);
said.batchUpdate = await client.batchUpdate([{ memoryId: old, text: "The sale is over." }]);
said.changed = (await client.get(old)).memory;

// Exports.
const whatToExport = {
  schema: { type: "object", properties: { memory: { type: "string" }, tripNumber: {} } },
  filters: { AND: [{ user_id: "ann" }, { app_id: "travel" }] },
};
said.job = await client.createMemoryExport({ ...whatToExport, exportInstructions: "Be brief." });
said.exported = await client.getMemoryExport({ memoryExportId: said.job.id });
said.exportedByFilters = await client.getMemoryExport({ filters: whatToExport.filters });

// The project and its webhooks.
said.projectUpdate = await client.updateProject({
  customInstructions: "Keep numbers.",
  customCategories: [{ homeTown: "where somebody lives" }],
  memoryDepth: "deep",
  multilingual: true,
});
said.project = await client.getProject({ fields: ["customInstructions", "customCategories"] });
said.webhook = await client.createWebhook({
  name: "hook",
  url: "http://127.0.0.1:9/",
  eventTypes: [WebhookEvent.MEMORY_DELETED],
});
const { webhookId } = said.webhook;
said.webhookUpdate = await client.updateWebhook({
  webhookId,
  name: "new",
  eventTypes: [WebhookEvent.MEMORY_ADDED, WebhookEvent.MEMORY_UPDATED],
});
said.webhooks = await client.getWebhooks();
said.webhookDelete = await client.deleteWebhook({ webhookId });
said.webhooksLeft = await client.getWebhooks({ projectId });

// Profiles, which there are none of.
said.profiles = await Promise.all(
  [
    client.getProfile({ entityId: "ann" }),
    client.generateProfile({ entityId: "ann" }),
    client.getProfileSettings(),
    client.updateProfileSettings({ enabled: true }),
    client.sampleProfiles({ limit: 1 }),
    client.getProfileJob("1"),
  ].map(refusal),
);

// Errors, which name what is wrong.
said.refused = {
  unknown: await refusal(client.get(missing)),
  malformed: await refusal(client.get("a/b")),
  ofNobody: await refusal(client.add(text("I like tea."), {})),
  filter: await refusal(client.getAll({ filters: { ...ann, colour: "red" } })),
};

// Delete.
said.users = await client.users({ page: 1, pageSize: 50 });
said.deleted = await client.delete(oslo);
said.deletedLinked = await client.delete(old, { deleteLinked: true });
said.batchDelete = await client.batchDelete([await store("One."), await store("Two.")]);
said.left = await listed(ann, { showExpired: true });
await store("In a session.", { runId: "a/b c" });
said.deletedAll = await client.deleteAll({ userId: "bob", runId: undefined });
said.deletedUser = await client.deleteUser({ entity_type: "run", entity_id: "a/b c" });
said.deletedUsers = await client.deleteUsers({ userId: "ann" });
await store("Of an agent.", { agentId: "guide" });
said.deletedEverybody = await client.deleteUsers();
said.nobody = (await client.users()).results;
said.nobodyToDelete = await refusal(client.deleteUsers());

// A wrong key; the client mentions that its ping failed.
const stranger = new MemoryClient({ apiKey: "m0-wrong", host });
said.wrongKey = await refusal(stranger.getAll({ filters: ann }));
await stranger.getProject({}).catch(() => {});

const isPublic = (name) => name !== "constructor" && !name.startsWith("_");
const methods = Object.getOwnPropertyNames(MemoryClient.prototype).filter(isPublic);
said.notCalled = methods.filter((name) => !called.has(name));
report(said);

// The Vercel AI SDK with Mem0's provider: what is remembered comes into the model's prompt.

import {
  addMemories,
  createMem0,
  getMemories,
  retrieveMemories,
  searchMemories,
} from "@mem0/vercel-ai-provider";
import { generateText, streamText } from "ai";

import { apiKey, host, report, until } from "./common.mjs";

const ann = { user_id: "ann", host, mem0ApiKey: apiKey };
const mem0 = createMem0({
  provider: "openai",
  apiKey: "not-a-secret",
  mem0ApiKey: apiKey,
  mem0Config: { host, user_id: "ann", top_k: 5 },
  config: { baseURL: process.env.OPENAI_BASE_URL },
});
const said = {};

// By hand.
const prompt = [{ role: "user", content: [{ type: "text", text: "I am allergic to peanuts." }] }];
said.added = await addMemories(prompt, { ...ann, infer: false, metadata: { from: "chat" } });
said.retrieved = await retrieveMemories("What am I allergic to?", ann);
said.got = await getMemories("What am I allergic to?", { ...ann, threshold: 0.2, rerank: true });
said.ofNobodyElse = await searchMemories("allergies", { ...ann, user_id: "bob" });
said.notOfThisAgent = await searchMemories("allergies", { ...ann, agent_id: "guide" });
said.filtered = await searchMemories("allergies", {
  ...ann,
  filters: { metadata: { from: "chat" } },
});
await addMemories("I am allergic to milk.", { ...ann, user_id: "bob", infer: false });

// Around a model: it is asked with the memories, and what was said is remembered.
const generated = await generateText({
  model: mem0.chat("gpt-test"),
  system: "Be brief.",
  messages: [
    { role: "user", content: "I live in Oslo." },
    { role: "assistant", content: "A fine town." },
    {
      role: "user",
      content: [
        { type: "text", text: "Which cake may I eat, with my allergy?" },
        { type: "image", image: new URL("https://example.com/cake.png") },
        { type: "image", image: Buffer.from("cake"), mediaType: "image/png" },
      ],
    },
  ],
});
said.generated = generated.text;
said.sources = generated.sources;
const learned = (memories) => memories.some(({ memory }) => memory === "I live in Oslo.");
said.learned = await until(() => getMemories("Where do I live?", ann), learned);

// As it streams; a model can have a user of its own.
const streamed = streamText({
  model: mem0.chat("gpt-test", { user_id: "bob" }),
  prompt: "Which cake may I eat?",
});
said.streamed = await streamed.text;

report(said);

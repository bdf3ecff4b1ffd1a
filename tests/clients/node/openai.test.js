// openai-node with nothing but the two variables that it reads itself.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: "I am unhappy." }];
const model = "builtin/sim";
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: { location: { type: "string" } },
        required: ["location"],
      },
    },
  },
];
const asked = [{ role: "user", content: "What is the weather in Paris?" }];

test("a whole answer", async () => {
  const answer = await client.chat.completions.create({ messages });
  assert.equal(answer.object, "chat.completion");
  assert.ok(answer.choices[0].message.content);
  assert.ok(answer.usage.total_cost_usd > 0);
});

test("a stream says the same as a whole answer", async () => {
  const whole = await client.chat.completions.create({ model, messages });
  const stream = await client.chat.completions.create({
    model, messages, stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, 32);
});

test("the stream helper gathers a tool call in pieces", async () => {
  const run = client.chat.completions.stream({ model, messages: asked, tools });
  const seen = [];
  run.on("tool_calls.function.arguments.delta", (event) => seen.push(event.arguments_delta));
  const answer = await run.finalChatCompletion();
  const [call] = answer.choices[0].message.tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { location: "Paris" });
  assert.ok(seen.length > 1);
});

test("a runner calls the tool and is told its result", async () => {
  const get_weather = ({ location }) => `It rains in ${location}.`;
  const run = client.chat.completions.runTools({
    model,
    messages: asked,
    tools: [
      {
        type: "function",
        function: { ...tools[0].function, function: get_weather, parse: JSON.parse },
      },
    ],
  });
  assert.equal(await run.finalContent(), "get_weather says: It rains in Paris.");
});

test("an answer in a JSON schema is parsed", async () => {
  const schema = {
    type: "object",
    properties: { place: { type: "string" }, degrees: { type: "integer" } },
    required: ["place", "degrees"],
    additionalProperties: false,
  };
  const answer = await client.chat.completions.parse({
    model,
    messages: [{ role: "user", content: "21 degrees in 'Paris'" }],
    response_format: { type: "json_schema", json_schema: { name: "report", strict: true, schema } },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { place: "Paris", degrees: 21 });
});

test("a response, whole and in events that are numbered without a hole", async () => {
  const whole = await client.responses.create({ model, input: "I am unhappy." });
  assert.equal(whole.output_text.split(" ").length, 32);
  const events = [];
  const stream = await client.responses.create({ model, input: "I am unhappy.", stream: true });
  for await (const event of stream) events.push(event);
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.equal(events.at(-1).type, "response.completed");
  assert.equal(events.at(-1).response.output[0].content[0].text, whole.output_text);
});

test("a response in the background is fetched until it is done", async () => {
  let now = await client.responses.create({ model, input: "Take your time.", background: true });
  const deadline = Date.now() + 10_000;
  while (now.status !== "completed" && Date.now() < deadline) {
    now = await client.responses.retrieve(now.id);
  }
  assert.equal(now.output_text.split(" ").length, 32);
});

test("a picture", async () => {
  const answer = await client.images.generate({
    model: "builtin/image", prompt: "a moon", size: "256x256", response_format: "b64_json",
  });
  assert.equal(Buffer.from(answer.data[0].b64_json, "base64").toString("latin1", 1, 4), "PNG");
});

test("embeddings, which it asks for in base64", async () => {
  const answer = await client.embeddings.create({
    model: "all-MiniLM-L6-v2", input: ["a moon", "a pool"],
  });
  assert.deepEqual(answer.data.map((row) => row.embedding.length), [384, 384]);
  assert.ok(answer.data[0].embedding.every((value) => Math.abs(value) <= 1));
});

test("models are listed page by page", async () => {
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.ok(names.includes("builtin/sim"));
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("errors are of the classes that users catch", async () => {
  const stranger = new OpenAI({ apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(
    stranger.chat.completions.create({ model, messages }),
    (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
  );
  await assert.rejects(
    client.chat.completions.create({ model: "no-such-model", messages }),
    (error) => error instanceof OpenAI.NotFoundError && error.param === "model",
  );
  await assert.rejects(
    client.chat.completions.create({ model, messages, temperature: 7 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
  );
  const limited = { sim_status: "429", sim_retry_after: "30" };
  await assert.rejects(
    client.chat.completions.create({ model, messages, metadata: limited }),
    OpenAI.RateLimitError,
  );
});

test("a stream that is cut is an error and not a short success", async () => {
  const metadata = { sim_cut_after: "3", sim_tokens: "9" };
  const stream = await client.chat.completions.create({ model, messages, metadata, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, /interrupted/);
});

test("leaving a stream cancels its job", async () => {
  const metadata = { sim_tokens: "500", sim_tokens_per_second: "20" };
  const { data: stream, response } = await client.chat.completions
    .create({ model, messages, metadata, stream: true })
    .withResponse();
  for await (const _ of stream) break;
  const job = `/jobs/${response.headers.get("x-job-id")}`;
  const deadline = Date.now() + 10_000;
  let status = "";
  while (status !== "cancelled" && Date.now() < deadline) {
    status = (await client.get(job)).status;
  }
  assert.equal(status, "cancelled");
});

test("a background job is fetched with the same client", async () => {
  const job = await client.chat.completions.create({ model, messages, background: true });
  assert.equal(job.object, "job");
  const deadline = Date.now() + 10_000;
  let now = job;
  while (now.status !== "completed" && Date.now() < deadline) {
    now = await client.get(`/jobs/${job.id}`);
  }
  assert.ok(now.result.choices[0].message.content);
});

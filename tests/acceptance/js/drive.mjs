// Runs one scenario with the unmodified JavaScript Graph client and prints what it saw as JSON.
// usage: node drive.mjs <scenario>, with {base, token, ...} as JSON on standard input
import graph from "@microsoft/microsoft-graph-client";
import { parse } from "@sap-ux/edmx-parser";

const {
  Client, PageIterator, GraphError, ResponseType, RetryHandlerOptions, BatchRequestContent, BatchResponseContent,
} = graph;

const given = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));

const client = Client.init({
  baseUrl: given.base,
  defaultVersion: given.version ?? "v1.0",
  customHosts: new Set([new URL(given.base).hostname]),
  authProvider: (done) => done(null, given.token),
});

async function collect(path) {
  const found = [];
  const first = await client.api(path).get();
  await new PageIterator(client, first, (item) => found.push(item)).iterate();
  return found;
}

async function refusal(call) {
  try {
    await call();
  } catch (problem) {
    return {
      isGraphError: problem instanceof GraphError,
      statusCode: problem.statusCode,
      code: problem.code,
      message: problem.message,
      requestId: problem.requestId,
      hasBody: Boolean(problem.body),
    };
  }
  throw new Error("nothing was refused");
}

// What the client hands over for an answer without a body: nothing, or a stream that holds nothing.
async function text(answer) {
  return answer === undefined || answer === null ? "" : new Response(answer).text();
}

const scenarios = {
  async lists() {
    const seen = {};
    for (const path of given.paths) seen[path] = (await collect(path)).map((item) => item.id);
    return seen;
  },
  async count() {
    return client.api(given.path).responseType(ResponseType.TEXT).get();
  },
  // The metadata as a parser of OData reads it: what is declared, and every type that is named anywhere.
  async metadata() {
    const { schema, version } = parse(await client.api("/$metadata").responseType(ResponseType.TEXT).get(), "graph");
    const types = {};
    const named = [...schema.entitySets, ...schema.singletons].map((one) => one.entityTypeName);
    for (const kind of [...schema.entityTypes, ...schema.complexTypes]) {
      const properties = kind.entityProperties ?? kind.properties;
      const links = kind.navigationProperties;
      types[kind.name] = {
        properties: properties.map((one) => [one.name, one.type, one.nullable]),
        links: links.map((one) => [one.name, one.targetTypeName, one.isCollection]),
      };
      named.push(...properties.map((one) => one.type), ...links.map((one) => one.targetTypeName));
    }
    for (const one of schema.actions) named.push(one.sourceType, one.returnType);
    return {
      version,
      namespace: schema.namespace,
      types,
      enums: Object.fromEntries(schema.enumTypes.map((one) => [one.name, one.members.map((member) => member.name)])),
      operations: schema.actions.map((one) => [one.name, one.sourceType, one.isFunction]),
      roots: [...schema.entitySets, ...schema.singletons].map((one) => one.name),
      named,
    };
  },
  async main() {
    const profiles = "/education/synchronizationProfiles";
    const created = await client.api(profiles).post(given.profile);
    const path = `${profiles}/${created.id}`;
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    while ((await client.api(path).get()).state !== "provisioned") await pause(20);
    const container = new URL((await client.api(`${path}/uploadUrl`).get()).value);
    for (const [name, content] of Object.entries(given.files)) {
      const target = `${container.origin}${container.pathname}/${name}${container.search}`;
      const answer = await fetch(target, { method: "PUT", body: content, headers: { "x-ms-blob-type": "BlockBlob" } });
      if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
    }
    const started = await client.api(`${path}/start`).post({});
    let status;
    do {
      await pause(20);
      status = await client.api(`${path}/profileStatus`).header("Prefer", "include-unknown-enum-members").get();
    } while (["extracting", "validating", "inProgress"].includes(status.status));
    const actions = {};
    for (const action of ["pause", "resume", "reset"]) {
      const answer = await client.api(`${path}/${action}`).post({});
      actions[action] = await text(answer);
    }
    do {
      await pause(20);
      status = await client.api(`${path}/profileStatus`).header("Prefer", "include-unknown-enum-members").get();
    } while (["extracting", "validating", "inProgress"].includes(status.status));
    const patched = await client.api(`${path}/profileStatus`).patch(given.report);
    return { id: created.id, state: created.state, started: started.value, status, actions, patched };
  },
  async changes() {
    const path = given.path;
    const renamed = await client.api(path).patch({ displayName: "Renamed" });
    const minimal = await client.api(`${path}/profileStatus`).delete();
    const deleted = await client.api(path).delete();
    return { renamed: renamed.displayName, status: await text(minimal), profile: await text(deleted) };
  },
  // A class and a person made, linked in Graph's own words, followed and asked for in a batch of the client's own.
  async directory() {
    const begun = await client.api("/education/classes/delta?$deltatoken=latest").get();
    const group = await client.api("/education/classes").post({ displayName: "7A", mailNickname: "seven-a" });
    const person = await client.api("/education/users").post(given.person);
    const link = { "@odata.id": `https://graph.microsoft.com/v1.0/directoryObjects/${person.id}` };
    const linked = await text(await client.api(`/education/classes/${group.id}/members/$ref`).post(link));
    const told = await client.api(begun["@odata.deltaLink"]).get();
    const [change] = told.value;
    const found = await client.api("/education/users").filter("startswith(displayName,'Ida')").select(["id", "mail"])
      .expand("classes($select=id)").orderby("displayName").top(5).count(true).get();
    const url = (path) => `${given.base}/v1.0${path}`;
    const batch = new BatchRequestContent([
      { id: "1", request: new Request(url(`/education/users/${person.id}`), { method: "GET" }) },
      { id: "2", dependsOn: ["1"], request: new Request(url("/education/classes"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ displayName: "7A again", mailNickname: "seven-a" }),
      }) },
      { id: "3", dependsOn: ["2"], request: new Request(url("/education/classes/$count"), { method: "GET" }) },
    ]);
    const answers = new BatchResponseContent(await client.api("/$batch").post(await batch.getContent()));
    const statuses = {};
    for (const [id, answer] of answers.getResponses()) statuses[id] = answer.status;
    const named = (await answers.getResponseById("1").json()).displayName;
    // The documented example leaves /$ref off: the link goes, the person stays.
    const unlinked = await text(await client.api(`/education/classes/${group.id}/members/${person.id}`).delete());
    const still = await client.api(`/education/users/${person.id}`).select("id").get();
    return {
      linked, unlinked, statuses, named, still: still.id === person.id,
      change: [change.id === group.id, change["members@delta"].map((one) => one.id === person.id)],
      found: [found["@odata.count"], found.value.map((one) => one.classes.map((each) => each.id === group.id))],
    };
  },
  // Each call with a token of its own, to a path or a whole address, without the client's own repetitions.
  async refusals() {
    const asked = Object.entries(given.calls).map(async ([name, { method, path, content, headers, token }]) => {
      const own = Client.init({
        baseUrl: given.base,
        defaultVersion: "v1.0",
        customHosts: new Set([new URL(given.base).hostname]),
        authProvider: (done) => done(null, token),
      });
      const request = own.api(path).middlewareOptions([new RetryHandlerOptions(0, 0)]).headers(headers);
      const [word, ...body] = method === "GET" ? ["get"] : [method.toLowerCase(), content];
      return [name, await refusal(() => request[word](...body))];
    });
    return Object.fromEntries(await Promise.all(asked));
  },
};

console.log(JSON.stringify((await scenarios[process.argv[2]]()) ?? null));
